"""From bytes to text, format by format, under the limits of `llmapp.ingestion.parsing.limits`.

An archive becomes one text: a Markdown heading with its path for each file in it, in the order of the paths, and at the end what
could not be read, with the reason. A limit that is exceeded anywhere inside refuses the whole document: half an archive
would pass for all of it.
"""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
from collections.abc import Sequence

from llmapp.errors import IngestionError, LimitExceededError, ParseError
from llmapp.ingestion.parsing.archives import Budget, members
from llmapp.ingestion.parsing.limits import Limits, over
from llmapp.ingestion.parsing.media_types import ENCRYPTED_OFFICE, OLD_OFFICE, WAYS, ZIPPED_OFFICE, has_headings, sniff
from llmapp.ingestion.parsing.office_passwords import decrypt, is_encrypted, protected
from llmapp.ingestion.parsing.rendering import Reading, render_html, render_markdown, render_pages, tidy
from llmapp.ingestion.parsing.rows import records
from llmapp.ingestion.parsing.slides import slides
from llmapp.ingestion.parsing.subtitles import spoken
from llmapp.ingestion.parsing.text_decoding import decode
from llmapp.ingestion.parsing.titles import heading_title

_HEADING_MARK = re.compile(r"^(#{1,6})(?=[ \t])", re.MULTILINE)
_DEEPEST = "######"


class Reader:
    """Reads documents of every format in `media_types.WAYS`, one after another."""

    def __init__(self, limits: Limits, passwords: Sequence[str] = ()) -> None:
        """Keep what a document may take and what may open it."""
        self.limits = limits
        self.passwords = passwords

    def read(self, content: bytes, media_type: str, name: str, budget: Budget | None = None) -> Reading:
        """Read one document.

        Args:
            content: Its raw bytes.
            media_type: A key of `WAYS`, or `ENCRYPTED_OFFICE`.
            name: Its file name.
            budget: What the archive that it lies in may still unpack; None when it lies in none.

        Raises:
            IngestionError: It cannot be read, or is over a limit.
        """
        if media_type == ENCRYPTED_OFFICE or (media_type in OLD_OFFICE and is_encrypted(content)):
            content = decrypt(content, self.passwords)
            media_type = sniff(content, name=name)
        if media_type not in WAYS:
            raise protected()  # twice
        if WAYS.get(media_type) == "text":
            text = decode(content)
            return Reading(heading_title(text) if media_type == "text/markdown" else None, [text])
        reading = self._render(content, media_type, name, budget or Budget(self.limits))
        _check("max_pages", len(reading.pages), self.limits.max_pages, "pages")
        _check("max_chars", sum(map(len, reading.pages)), self.limits.max_chars, "characters of text")
        if not any(page and not page.isspace() for page in reading.pages):
            raise ParseError("it holds no text", hint="scanned pages need OCR first")
        return reading

    def _render(self, content: bytes, media_type: str, name: str, budget: Budget) -> Reading:
        if media_type in ZIPPED_OFFICE:
            _check("archive_bytes", _unpacked_bytes(content), self.limits.archive_bytes, "bytes when it is unpacked")
        match WAYS[media_type]:
            case "html":
                return render_html(decode(content, is_html=True))
            case "pages":
                return render_pages(content, media_type, self.passwords)
            case "markdown":
                return render_markdown(content, media_type)
            case "archive":
                text = _Unpacking(self, budget).text(content, media_type, name)
            case "rows":
                text = records(tidy(decode(content)), max_chars=self.limits.max_chars)
            case "subtitles":
                text = spoken(tidy(decode(content)))
            case _:
                text = tidy(slides(content))
        return Reading(heading_title(text) if WAYS[media_type] == "slides" else None, [text])


def _check(limit: str, found: int, most: int, what: str) -> None:
    if found > most:
        raise over(limit, f"it has {found:,} {what}, the limit is {most:,}")


def _unpacked_bytes(content: bytes) -> int:
    """What an office file says that it unpacks to; one that lies meets the limit on memory."""
    with (
        contextlib.suppress(zipfile.BadZipFile, ValueError, NotImplementedError),
        zipfile.ZipFile(io.BytesIO(content)) as office,
    ):
        return sum(entry.file_size for entry in office.infolist())
    return 0


class _Unpacking:
    """The texts of one archive and of the archives inside it, by path."""

    def __init__(self, reader: Reader, budget: Budget) -> None:
        self._reader = reader
        self._budget = budget
        self._texts: dict[str, str] = {}
        self._unread: dict[str, IngestionError] = {}
        self._chars = 0

    def text(self, content: bytes, media_type: str, name: str) -> str:
        self._unpack(content, media_type, name, "")
        if not self._texts:
            self._refuse()
        parts = [f"# {path}\n\n{self._texts[path]}" for path in sorted(self._texts)]
        if self._unread:
            lines = [f"- {path}: {self._unread[path].message}" for path in sorted(self._unread)]
            parts.append("# Not read\n\n" + "\n".join(lines))
        return "\n\n".join(parts)

    def _unpack(self, content: bytes, media_type: str, name: str, above: str) -> None:
        with self._budget.inside():
            for path, member in members(content, media_type, name, self._budget, self._reader.passwords):
                place = above + path
                try:
                    self._take(member, path, place)
                except LimitExceededError:
                    raise
                except IngestionError as error:
                    self._unread[place] = error

    def _take(self, member: bytes | ParseError, path: str, place: str) -> None:
        if isinstance(member, ParseError):
            raise member
        media_type = sniff(member, name=path)
        if WAYS.get(media_type) == "archive":
            self._unpack(member, media_type, path, f"{place}/")
            return
        text = "\n\n".join(self._reader.read(member, media_type, path, self._budget).pages).strip()
        if not text:
            raise ParseError("it holds no text")
        self._chars += len(text)
        _check("max_chars", self._chars, self._reader.limits.max_chars, "characters of text or more")
        self._texts[place] = _below(text, has_headings=has_headings(media_type))

    def _refuse(self) -> None:
        """Say why an archive without a single text is refused, by its first file where they are many."""
        if not self._unread:
            raise ParseError("the archive holds no file")
        path = min(self._unread)
        error = self._unread[path]
        more = f" (and {len(self._unread) - 1:,} more)" if len(self._unread) > 1 else ""
        raise ParseError(f"nothing in the archive can be read: {path}: {error.message}{more}", hint=error.hint)


def _below(text: str, *, has_headings: bool) -> str:
    """The text of a file under its path: its headings go one down; what is none in its format is marked as none."""
    if not has_headings:
        return _HEADING_MARK.sub(r"\\\1", text)
    return _HEADING_MARK.sub(lambda mark: f"#{mark[1]}"[: len(_DEEPEST)], text)
