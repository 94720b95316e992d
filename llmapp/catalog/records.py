"""The rows of the catalog as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue

from llmapp.types import Chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RunStatus = Literal["running", "completed", "completed_with_failures", "failed"]


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What a sync compares to see whether a document has changed."""

    document_id: str
    revision: str | None
    content_hash: str


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
    """Covers everything that is indexed; an equal one means that nothing is to be done."""
    parser: str
    chunks: tuple[Chunk, ...]
    embedding_keys: tuple[str, ...]
    """Keys of the embedded texts, aligned with `chunks`."""


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


@dataclass(frozen=True, slots=True)
class PendingWork:
    """A chunk that the vector index has not applied yet."""

    seq: int
    chunk_id: str
    action: Literal["upsert", "delete"]


@dataclass(frozen=True, slots=True)
class VectorTable:
    """The vectors of all live chunks at one generation."""

    chunk_ids: list[str]
    rows: NDArray[np.int64]
    """Catalog row numbers, ascending. Shape (n,)."""
    vectors: NDArray[np.float32]
    """Unit vectors. Shape (n, dim)."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a source."""

    id: int
    source: str
    started_at: str
    ended_at: str | None
    status: RunStatus
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the catalog holds."""

    documents: int
    chunks: int
    embeddings: int
    pending: int
    quarantined: int
