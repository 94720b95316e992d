"""The parser process: reads documents from one pipe, writes their text to another. The only importer of kreuzberg.

Run as ``python -m llmapp.ingestion.parse_worker LIMITS FOLDER`` by `llmapp.ingestion.parsing`. A frame is a header, JSON facts and a
body, both ways. What native code prints goes to the null device, so it cannot disturb the frames. The process ends
when its input ends, or when a document has taken too long and nobody was left to kill it.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
import shutil
import signal
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from llmapp.errors import IngestionError, ParseError
from llmapp.ingestion.media_types import ENCRYPTED_OFFICE, SPREADSHEETS, WAYS
from llmapp.ingestion.rows import records
from llmapp.ingestion.text_decoding import decode

if TYPE_CHECKING:
    from kreuzberg import ExtractionResult

HEADER = struct.Struct(">IQ")
"""Length of the facts and of the body. Bytes, both."""

_FRONT_MATTER = re.compile(r"\A---\n(?:[\w:.-]+:.*\n)*+\n?## [\w:.-]+:.*\n+")
_FIRST_HEADING = re.compile(r"^#{1,6} +(\S.*)", re.MULTILINE)
_SUBJECT = re.compile(r"\A\*\*Subject\*\*: (.+)$", re.MULTILINE)
_NO_TITLE = re.compile(
    r"\.(?:docx?|pdf|tex|indd|pptx?|xlsx?|dvi|rtf|odt|ps)$|^microsoft word\b|^\(?(?:untitled|anonymous|document)\d*\)?$",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{3,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_MAX_TITLE_CHARS = 300
_MAX_MARKED_CHARS = 4 * _MAX_TITLE_CHARS  # a title with its markup; the search for the end of a link is quadratic
_MAX_FILE_BYTES = 1 << 28  # kreuzberg unpacks a library of 8 MB; nothing else needs a file


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may take."""

    seconds: float = 60.0
    """Wall-clock time. Seconds."""
    memory_bytes: int = 2 << 30
    """Address space of the process. Bytes."""
    output_chars: int = 20_000_000
    """Length of its text. Characters."""


def write_frame(pipe: BinaryIO, facts: Mapping[str, object], body: bytes) -> None:
    """Write one frame.

    Raises:
        OSError: The other side is gone.
    """
    head = json.dumps(facts).encode()
    pipe.write(HEADER.pack(len(head), len(body)) + head)
    pipe.write(body)
    pipe.flush()


def main() -> None:
    """Serve until the input ends."""
    limits = Limits(**json.loads(sys.argv[1]))
    requests, replies = _private_pipes()
    _restrict(limits)
    while len(header := requests.read(HEADER.size)) == HEADER.size:
        facts_bytes, body_bytes = HEADER.unpack(header)
        facts = json.loads(requests.read(facts_bytes))
        content = requests.read(body_bytes)
        with _alarm(limits.seconds + 2):
            answer, text = _answer(content, facts["media_type"], limits)
        with contextlib.suppress(BrokenPipeError):
            write_frame(replies, answer, text)
    shutil.rmtree(sys.argv[2], ignore_errors=True)  # the parent that made it may have been killed


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    return requests, replies


def _restrict(limits: Limits) -> None:
    if os.name != "posix":
        return  # the pool's own limits on time and output hold everywhere
    import resource

    ceilings = {resource.RLIMIT_AS: limits.memory_bytes, resource.RLIMIT_FSIZE: _MAX_FILE_BYTES, resource.RLIMIT_CORE: 0}
    for what, most in ceilings.items():
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """End the process when time is up: the parent does so earlier, but it may have died."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(content: bytes, media_type: str, limits: Limits) -> tuple[dict[str, object], bytes]:
    try:
        title, pages = _read(content, media_type)
        text, page_starts = _join(pages)
        if len(text) > limits.output_chars:
            raise ParseError(f"{len(text):,} characters of text, the limit is {limits.output_chars:,}")
        if not text.strip():
            raise ParseError("it holds no text", hint="scanned pages need OCR first")
    except IngestionError as error:
        return {"error": error.message, "hint": error.hint}, b""
    except MemoryError:
        return {"error": f"it needs more than {limits.memory_bytes >> 20:,} MiB of memory"}, b""
    return {"title": title, "page_starts": page_starts if WAYS.get(media_type) == "pages" else []}, text.encode()


def _join(pages: list[str]) -> tuple[str, list[int]]:
    starts, position = [], 0
    for page in pages:
        starts.append(position)
        position += len(page) + 2
    return "\n\n".join(pages), starts


def _read(content: bytes, media_type: str) -> tuple[str | None, list[str]]:
    """The title, None when it has none, and the text by pages; formats without pages are one."""
    if media_type == ENCRYPTED_OFFICE:
        raise ParseError("it is protected by a password", hint="save a copy without a password")
    way = WAYS[media_type]
    if way == "text":
        text = decode(content)
        return (_heading(text) if media_type == "text/markdown" else None), [text]
    if way == "rows":
        return None, [records(_tidy(decode(content)))]
    if way == "html":
        content = decode(content, is_html=True).encode()
    result = _extract(content, media_type, is_markdown=way in ("html", "markdown"))
    if way == "pages":
        return _metadata_title(result), [_tidy(page["content"]) for page in result.pages or []] or [_tidy(result.content)]
    text = _tidy(result.content)
    if way == "html":
        text = _FRONT_MATTER.sub("", text, count=1) if result.metadata else text
        return _metadata_title(result) or _heading(text), [text]
    subject = _SUBJECT.match(text)
    heading = None if media_type in SPREADSHEETS else _heading(text)
    return (subject[1] if subject else heading or _metadata_title(result)), [text]


def _extract(content: bytes, media_type: str, *, is_markdown: bool) -> ExtractionResult:
    import kreuzberg

    formats = kreuzberg.OutputFormat  # type: ignore[attr-defined]  # missing from its stubs, as is disable_ocr
    config = kreuzberg.ExtractionConfig(  # type: ignore[call-arg]
        use_cache=False,
        disable_ocr=True,
        output_format=formats.MARKDOWN if is_markdown else formats.PLAIN,
        pages=kreuzberg.PageConfig(extract_pages=True) if media_type == "application/pdf" else None,
    )
    try:
        return kreuzberg.extract_bytes_sync(content, media_type, config=config)
    except MemoryError:
        raise
    except Exception as error:  # every failure of the library is one document's failure
        reason = " ".join(str(error).split()).removeprefix("ParsingError: ")
        half = (len(reason) - 2) // 2
        reason = reason[:half] if reason == f"{reason[:half]}: {reason[:half]}" else reason  # it tends to say things twice
        if "password" in reason.lower():
            raise ParseError("it is protected by a password", hint="save a copy without a password") from error
        raise ParseError(
            reason[:300] or type(error).__name__, hint="open it in its own program and save it again"
        ) from error


def _tidy(text: str) -> str:
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def _heading(text: str) -> str | None:
    found = _FIRST_HEADING.search(text)
    if not found:
        return None
    title = found[1].rstrip(" #")[:_MAX_MARKED_CHARS]
    return re.sub(r"[*_`\\]|!?\[|\]\([^)]*\)", "", title).strip()[:_MAX_TITLE_CHARS] or None


def _metadata_title(result: ExtractionResult) -> str | None:
    """The title in the metadata when a person could have written it: words, and not the name of a file."""
    title = " ".join(html.unescape(str(result.metadata.get("title") or "")).split())
    return title[:_MAX_TITLE_CHARS] if _WORD.search(title) and not _NO_TITLE.search(title) else None


if __name__ == "__main__":
    main()
