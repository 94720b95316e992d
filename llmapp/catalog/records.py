"""The rows of the catalog as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from llmapp.types import Chunk

RunStatus = Literal["running", "completed", "completed_with_failures", "failed", "interrupted"]
ALL_SOURCES = ""
"""In the place of a source's name, which is never empty."""
Retry = Literal["host", "source", "never"]
"""Who tries a failed document again: the host by reading the source anew, the source itself from its cursor, or nobody until
the document or the parser changes."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What a sync compares to see what of a document has changed, and so how much is to be done again."""

    document_id: str
    revision: str | None
    content_hash: str
    """Of the content and the facts that are indexed."""
    acl: frozenset[str]
    own_acl: bool
    """Whether the access list is the document's own; else it is that of the source."""
    parser: str
    chunker: str
    is_narrowed: bool = False
    """Whether the source grants more by now, to a content that is not committed yet."""


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """All that one document brings; committed as a whole."""

    source: str
    document_id: str
    uri: str
    title: str
    text: str
    page_starts: tuple[int, ...]
    media_type: str | None
    metadata: Mapping[str, JsonValue]
    acl: tuple[str, ...]
    revision: str | None
    content_hash: str
    """Of the content and the facts that are indexed; together with access list, parser, chunker and embedder it says what
    is to be done again."""
    parser: str
    chunks: tuple[Chunk, ...] = ()
    embedding_keys: tuple[str, ...] = ()
    """Keys of the embedded texts, aligned with `chunks`."""
    own_acl: bool = True
    """Whether the access list is the document's own."""
    chunker: str = ""
    """Version of the chunker."""
    is_staged: bool = False
    """Whether the chunks were staged before, for there are too many to be handed over at once; `chunks` is empty then."""


@dataclass(frozen=True, slots=True)
class StoredText:
    """What cutting a stored document anew takes."""

    source: str
    document_id: str
    uri: str
    title: str
    text: str
    page_starts: tuple[int, ...]
    media_type: str | None
    parser: str


@dataclass(frozen=True, slots=True)
class StagedChunks:
    """Some chunks of one document that wait behind the live ones."""

    source: str
    document_id: str
    version: str
    """Hash of the content and of the parts that made text, chunks and vectors of it."""
    chunks: Sequence[Chunk]
    """In the order of the text."""
    keys: Sequence[str]
    """Keys of their vectors, aligned with `chunks`."""
    is_complete: bool
    """Whether these are the last ones of the document."""


@dataclass(frozen=True, slots=True)
class QuarantineRecord:
    """A document that could not be taken in, and why."""

    source: str
    document_id: str
    uri: str
    stage: str
    """Where it failed: ``read``, ``parse``, ``chunk`` or ``embed``."""
    code: str
    reason: str
    revision: str | None = None
    attempts: int = 1
    last_at: str = ""
    """UTC, ISO 8601; set by the catalog."""
    retry: Retry = "host"
    next_try_at: str = ""
    """UTC, ISO 8601; not tried again before, unless asked for. Empty where nobody tries it again by time."""
    is_dropped: bool = False
    """Whether an operator has let go of it: neither listed nor tried until it changes."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What a search for a document looks for."""

    source: str
    document_id: str
    chunk_ids: tuple[str, ...]
    rows: tuple[int, ...]
    """Row numbers of the chunks, aligned with `chunk_ids`."""
    texts: tuple[str, ...]
    """Pieces of its text that no other document has."""
    terms: tuple[str, ...]
    """Terms of these pieces that no other document has, as the full text keeps them."""
    vectors: tuple[bytes, ...]
    """Vectors that no other chunk uses, as they are stored."""


@dataclass(frozen=True, slots=True)
class PendingWork:
    """A chunk that the vector index has not applied yet."""

    seq: int
    chunk_id: str
    action: Literal["upsert", "delete"]


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """Where a chunk stands in its document, without its text."""

    chunk_id: str
    start_char: int
    end_char: int
    page: int | None
    heading: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a source."""

    id: int
    source: str
    """Name of the source; `ALL_SOURCES` where all documents were cut and embedded anew."""
    started_at: str
    ended_at: str | None
    status: RunStatus
    counts: Mapping[str, int]
    seconds: Mapping[str, float]
    """Seconds by stage: ``read``, ``parse``, ``embed``, ``commit``, which overlap, and ``total``."""
    embedder: str
    cost_nano_usd: int
    error: str
    """Why it failed, one line; empty when it did not."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the catalog holds."""

    documents: int
    chunks: int
    embeddings: int
    pending: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class FieldRecord:
    """A field that filters may name."""

    name: str
    documents: Mapping[str, int]
    """Documents by the kind of their values: ``text``, ``number``, ``boolean``, ``time``, ``object``. A text that is a time counts as both."""
