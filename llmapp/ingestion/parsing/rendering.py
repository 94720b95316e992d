"""Formats that a library renders: HTML, PDF, office files, mail, books. The only importer of kreuzberg.

Runs in the parser process alone: native code reads untrusted bytes here. Pages of a PDF stay apart, all else is Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmapp.errors import IngestionError, LimitExceededError, ParseError
from llmapp.ingestion.parsing.media_types import SPREADSHEETS
from llmapp.ingestion.parsing.office_passwords import protected
from llmapp.ingestion.parsing.titles import heading_title, metadata_title

if TYPE_CHECKING:
    from kreuzberg import ExtractionResult

_FRONT_MATTER = re.compile(r"\A---\n(?:[\w:.-]+:.*\n)*+\n?## [\w:.-]+:.*\n+")
_SUBJECT = re.compile(r"\A\*\*Subject\*\*: (.+)$", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a document says."""

    title: str | None
    """None when it has none of its own."""
    pages: list[str]
    """Its text by pages; one part where the format has none."""


def tidy(text: str) -> str:
    """The text without control characters, line ends as newlines."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def render_html(page: str) -> Reading:
    """Markdown of a page, its metadata left out.

    Raises:
        ParseError: It cannot be read.
    """
    result = _extract(page.encode(), "text/html")
    text = tidy(result.content)
    text = _FRONT_MATTER.sub("", text, count=1) if result.metadata else text
    return Reading(metadata_title(result.metadata.get("title")) or heading_title(text), [text])


def render_pages(content: bytes, media_type: str, passwords: Sequence[str]) -> Reading:
    """Plain text of each page.

    Raises:
        ParseError: It cannot be read, or no password opens it.
    """
    result = _extract(content, media_type, passwords)
    pages = [tidy(page["content"]) for page in result.pages or []] or [tidy(result.content)]
    return Reading(metadata_title(result.metadata.get("title")), pages)


def render_markdown(content: bytes, media_type: str) -> Reading:
    """Markdown of an office file, a mail or a book.

    Raises:
        ParseError: It cannot be read.
    """
    result = _extract(content, media_type)
    text = tidy(result.content)
    subject = _SUBJECT.match(text)
    heading = None if media_type in SPREADSHEETS else heading_title(text)
    return Reading(subject[1] if subject else heading or metadata_title(result.metadata.get("title")), [text])


def _extract(content: bytes, media_type: str, passwords: Sequence[str] = ()) -> ExtractionResult:
    import kreuzberg

    is_pdf = media_type == "application/pdf"
    formats = kreuzberg.OutputFormat  # type: ignore[attr-defined]  # missing from its stubs, as is disable_ocr
    config = kreuzberg.ExtractionConfig(  # type: ignore[call-arg]
        use_cache=False,
        disable_ocr=True,
        output_format=formats.PLAIN if is_pdf else formats.MARKDOWN,
        pages=kreuzberg.PageConfig(extract_pages=True) if is_pdf else None,
        pdf_options=kreuzberg.PdfConfig(passwords=list(passwords)) if passwords else None,
    )
    try:
        return kreuzberg.extract_bytes_sync(content, media_type, config=config)
    except MemoryError:
        raise
    except Exception as error:  # every failure of the library is one document's failure
        raise _failure(error) from error


def _failure(error: Exception) -> IngestionError:
    reason = " ".join(str(error).split()).removeprefix("ParsingError: ")
    half = (len(reason) - 2) // 2
    reason = reason[:half] if reason == f"{reason[:half]}: {reason[:half]}" else reason  # it tends to say things twice
    if "password" in reason.lower() or "encrypted" in reason.lower():
        return protected()
    if "security limit" in reason.lower():  # one of its own, which no setting raises
        return LimitExceededError(reason[:300], hint="leave this document out")
    return ParseError(reason[:300] or type(error).__name__, hint="open it in its own program and save it again")
