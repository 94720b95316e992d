"""What one document may take of the machine that parses it.

Every limit is a setting of the same name under ``[ingestion]``. A document over one of them is refused for good; one that
takes too much time or memory costs its worker process besides.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmapp.errors import LimitExceededError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may take."""

    max_bytes: int = 512 << 20
    """Size of the document as its source holds it; plain text is limited by this alone. Bytes."""
    max_pages: int = 20_000
    """Pages of a PDF. Count."""
    max_chars: int = 20_000_000
    """Length of the text of a format that is rendered: all but plain text and Markdown. Characters."""
    archive_depth: int = 3
    """Archives inside one another, the outermost counted; a compressed tar is one. Count."""
    archive_members: int = 10_000
    """Files in an archive and in the archives inside it. Count."""
    archive_bytes: int = 256 << 20
    """What an archive, the archives inside it, and an office file may unpack to, all in all. Bytes."""
    seconds: float = 60.0
    """Wall-clock time. Seconds."""
    memory_bytes: int = 2 << 30
    """Address space of the worker process. Bytes."""


def over(limit: str, message: str) -> LimitExceededError:
    """The error of a document that is over a limit.

    Args:
        limit: Name of the field of `Limits`.
        message: What the document has and what it may have.
    """
    return LimitExceededError(message, hint=raising(limit))


def raising(limit: str) -> str:
    """What can be done about a document that is over this limit."""
    return f"raise ingestion.{limit}, or leave this document out"
