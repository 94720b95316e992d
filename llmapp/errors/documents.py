"""Errors of sources and of single documents."""

from __future__ import annotations

from collections.abc import Sequence

from llmapp.errors.root import LLMAppError


class ConnectorError(LLMAppError, code="source_failed"):
    """A source cannot be read."""


class SourceNotFoundError(ConnectorError, code="source_not_found"):
    """The path or address of a source is not there."""


class SourceEmptyError(ConnectorError, code="source_empty"):
    """A source mentions no document at all; what was taken in from it before is kept."""


class ConnectorAuthError(ConnectorError, code="source_auth_failed"):
    """The source refused the credentials, or there are none."""


class SourceUnavailableError(ConnectorError, code="source_unavailable", retryable=True):
    """The source does not answer, or takes no more requests for now."""

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float | None = None) -> None:
        """Keep what went wrong, and when to try again.

        Args:
            message: What went wrong, one line.
            hint: What to do next, one sentence.
            retry_after_s: Seconds after which the source asks to be tried again; None when it did not say.
        """
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class AddressRefusedError(ConnectorError, code="address_refused"):
    """An address leads into a private network, or is none that is fetched."""


class CursorRejectedError(ConnectorError, code="cursor_rejected"):
    """The source no longer takes this cursor; the host reads it from the start."""


class MassDeletionError(ConnectorError, code="mass_deletion"):
    """A source would lose more documents than it may unasked; those that are named are still there."""

    def __init__(self, source: str, *, documents: Sequence[str], held: int, doomed: int) -> None:
        """Name what would be deleted.

        Args:
            source: Name of the source.
            documents: Ids of the documents that would go now, sorted.
            held: Documents that the source had before the first of them was to go.
            doomed: How many of these would then be gone.
        """
        named = ", ".join(documents[:3]) + (", …" if len(documents) > 3 else "")  # noqa: PLR2004 - as many as fit a line
        super().__init__(
            f"{source}: {doomed:,} of {held:,} documents would be deleted ({named})",
            hint=f"if they are really gone, run llmapp ingest --confirm-deletions {source}",
        )
        self.source = source
        self.documents = tuple(documents)
        self.held = held


class TooManyFailuresError(ConnectorError, code="too_many_failures"):
    """More documents of a source failed than a run may have; what was good is committed."""


class SourceMovedError(ConnectorError, code="source_moved"):
    """A source is no longer what a manifest says; what it says differently was left alone."""


class IngestionError(LLMAppError, code="document_failed"):
    """One document cannot be taken in; it is quarantined and the run goes on."""


class UnsupportedMediaTypeError(IngestionError, code="unsupported_media_type"):
    """No parser reads this media type."""


class ParseError(IngestionError, code="parse_failed"):
    """The parser refused the document, or found no text in it."""


class ParserCrashedError(IngestionError, code="parser_crashed"):
    """The parser process died, took too long or took too much memory."""


class InvalidDocumentError(IngestionError, code="invalid_document"):
    """What a source says of a document cannot be taken: its facts, or its access list."""


class LimitExceededError(IngestionError, code="limit_exceeded"):
    """The document is larger than a limit allows."""
