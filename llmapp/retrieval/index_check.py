"""Compares a vector index with the catalog: ids both ways, every vector, and some searched for by their own vector.

Counts are not believed: Chroma has been seen to count 6,000 vectors with 5,999 of them gone. Neither is a search for a vector by
itself: an approximate index overlooks some, however good it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmapp.errors import IndexUnavailableError

if TYPE_CHECKING:
    from llmapp.catalog.catalog import Catalog
    from llmapp.protocols import FloatArray, VectorIndex

_BATCH_CHUNKS = 5_000
_MOST_SEARCHED = 200
_NEIGHBOURS = 10
_MOST_OVERLOOKED = 0.05
"""1 of 600 was seen. More than this share is a fault."""
_SAME = 0.9999
"""Cosine similarity from which two vectors count as equal."""


@dataclass(frozen=True, slots=True)
class IndexCheck:
    """What a comparison of the vector index with the catalog has found."""

    ok: bool
    chunks: int
    """Live chunks in the catalog."""
    pending: int
    """Work that the index has not applied yet; no fault, since it is searched exactly."""
    missing: int | None
    """Chunks that should be in the index and are not; None when it cannot be read."""
    unknown: int | None
    """Ids in the index that no live chunk has; None when it cannot be read."""
    lost: int | None
    """Chunks of which the index holds no vector or another one; None when it cannot be read."""
    searched: int
    """Chunks that were searched for by their own vector, a sample."""
    overlooked: int
    """Of these, the ones that were not found: a few are no fault of an approximate index."""
    reason: str
    """What is wrong, one line; empty when `ok`."""


def compare(catalog: Catalog, index: VectorIndex) -> IndexCheck:
    """Compare the index with the catalog; one that cannot be read is a finding, not an error."""
    live = catalog.chunk_ids()
    pending = {work.chunk_id for work in catalog.pending()}
    expected = live - pending
    if not expected:
        return IndexCheck(True, len(live), len(pending), 0, 0, 0, 0, 0, "")
    try:
        found = index.ids()
        there = sorted(expected & found)
        lost = sum(1 for _ in lost_ids(catalog, index, there))
        searched, overlooked = overlooked_ids(catalog, index, there)
    except IndexUnavailableError as error:
        return IndexCheck(False, len(live), len(pending), None, None, None, 0, 0, error.message)
    missing, unknown = len(expected - found), len(found - live - pending)
    parts = [
        f"{missing} chunks are missing" if missing else "",
        f"{unknown} ids belong to no chunk" if unknown else "",
        f"{lost} chunks have another vector, or none" if lost else "",
        blindness(searched, overlooked),
    ]
    reason = ", ".join(part for part in parts if part)
    return IndexCheck(not reason, len(live), len(pending), missing, unknown, lost, searched, overlooked, reason)


def lost_ids(catalog: Catalog, index: VectorIndex, ids: Sequence[str]) -> Iterator[str]:
    """Those of `ids` that are live and have no vector in the index, or another than in the catalog.

    Raises:
        IndexUnavailableError: The index cannot be read.
    """
    for start in range(0, len(ids), _BATCH_CHUNKS):
        batch = ids[start : start + _BATCH_CHUNKS]
        stored = index.vectors(batch)
        for chunk_id, vector in catalog.vectors(batch).items():
            if chunk_id not in stored or not _is_same(stored[chunk_id], vector):
                yield chunk_id


def overlooked_ids(catalog: Catalog, index: VectorIndex, ids: Sequence[str]) -> tuple[int, int]:
    """How many of `ids` were searched for by their own vector, a sample, and how many of these were not found.

    Raises:
        IndexUnavailableError: The index cannot be read.
    """
    sample = catalog.vectors(ids[:: -(-len(ids) // _MOST_SEARCHED) or 1])
    return len(sample), _count(not _finds(index, *pair) for pair in sample.items())


def blindness(searched: int, overlooked: int) -> str:
    """What is wrong when so many were not found, one line; empty when that is no more than an approximate index may."""
    if overlooked <= max(1, _MOST_OVERLOOKED * searched):
        return ""
    return f"{overlooked} of {searched} chunks are not found by their own vector"


def _finds(index: VectorIndex, chunk_id: str, vector: FloatArray) -> bool:
    hits = dict(index.query(vector, top_k=_NEIGHBOURS))
    # Of many chunks with one and the same vector, any will do.
    return chunk_id in hits or max(hits.values(), default=0.0) >= _SAME


def _is_same(stored: FloatArray, vector: FloatArray) -> bool:
    return stored.shape == vector.shape and float(stored @ vector) >= _SAME


def _count(found: Iterable[bool]) -> int:
    return sum(found)
