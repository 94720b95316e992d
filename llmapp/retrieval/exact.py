"""Exact search over the vectors of the catalog: the oracle of every index, and the default for small sets.

Measured with 384 dimensions on one core: some 0.6 ms over 10,000 vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmapp.catalog.records import VectorTable
    from llmapp.protocols import FloatArray

_SLACK = 1e-5
"""How far the fast score of a unit vector may be from the exact one; float32 sums over 384 products stay well below it."""
_GATHER_SHARE = 0.25
"""Copying the wanted rows pays below this share of the table; above it, scoring the whole table is faster."""


def search_exact(table: VectorTable, rows: NDArray[np.int64], query: FloatArray, *, top_k: int) -> list[tuple[str, float]]:
    """Find the nearest chunks among some rows of the catalog.

    Args:
        table: Vectors of all live chunks.
        rows: Catalog row numbers that may be found, ascending. Shape (n,). Rows that the table lacks are ignored.
        query: Unit vector. Shape (dim,).
        top_k: Most hits to return.

    Returns:
        Chunk ids with cosine similarity, best first, ties by chunk id.
    """
    import numpy as np

    if not len(table.rows) or not len(rows) or top_k < 1:
        return []
    known = np.isin(rows, table.rows, assume_unique=True)
    positions = np.searchsorted(table.rows, rows[known])
    scores = _fast_scores(table.vectors, positions, query)
    if len(scores) > top_k:
        worst = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        positions = positions[scores >= worst - _SLACK]
    return rank_exact([table.chunk_ids[i] for i in positions], table.vectors[positions], query, top_k=top_k)


def rank_exact(ids: Sequence[str], vectors: FloatArray, query: FloatArray, *, top_k: int) -> list[tuple[str, float]]:
    """Rank a few vectors by cosine similarity, summed in float64 so that equal vectors have equal scores anywhere.

    Args:
        ids: Chunk ids.
        vectors: Unit vectors of `ids`. Shape (len(ids), dim).
        query: Unit vector. Shape (dim,).
        top_k: Most hits to return.

    Returns:
        Chunk ids with cosine similarity, best first, ties by chunk id.
    """
    import numpy as np

    scores = (vectors.astype(np.float64) * query).sum(axis=1).tolist() if ids else []
    ranked = sorted(zip(ids, scores, strict=True), key=lambda hit: (-hit[1], hit[0]))
    return ranked[:top_k]


def _fast_scores(vectors: FloatArray, positions: NDArray[np.int64], query: FloatArray) -> FloatArray:
    """Scores of some rows in float32, in the order of `positions`.

    Row by row and not as one product: a product takes half the time, but the threads of BLAS go on spinning after it and
    take the core on which full-text search runs meanwhile; a whole search took three times as long.
    """
    import numpy as np

    if len(positions) < _GATHER_SHARE * len(vectors):
        gathered: FloatArray = np.vecdot(vectors[positions], query)
        return gathered
    scored: FloatArray = np.vecdot(vectors, query)[positions]
    return scored
