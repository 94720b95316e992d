"""The best of what a search has scored, by score and then by id, with no more ids read than that takes.

Ids alone make an order that is the same after a re-ingest, but there may be a hundred thousand equal pages: the
database reads their ids in order, and hands out the first few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FEW_TIES = 200
"""So many chunks that share the last place are named one and all, together with those before them."""


class Names(Protocol):
    """Reads ids of chunks by row number, as `llmapp.catalog.live_chunks.LiveChunks.ids_of_rows` does."""

    def __call__(self, rows: Sequence[int], first: int | None = None) -> Mapping[int, str]:
        """Ids of those that are live; with `first` no more than so many, those whose ids come first."""


def ranked(rows: NDArray[np.int64], scores: NDArray[np.float64], *, top_k: int, names: Names) -> list[tuple[str, float]]:
    """The best chunks, best first, ties by id.

    Args:
        rows: Row numbers of chunks. Shape (n,).
        scores: Higher is better. Shape (n,).
        top_k: Most to return, at least 1.
        names: Reads their ids; those that it lacks have left meanwhile, and are passed over.
    """
    import numpy as np

    last = np.partition(scores, -top_k)[-top_k] if len(scores) > top_k else -np.inf
    better, tied = scores > last, scores == last
    missing = top_k - int(better.sum())
    if tied.sum() <= max(missing, _FEW_TIES):
        named = dict(names(rows[better | tied].tolist()))
    else:
        named = {**names(rows[better].tolist()), **names(rows[tied].tolist(), missing)}
    score_of = dict(zip(rows[better].tolist(), scores[better].tolist(), strict=True))
    found = [(name, score_of.get(row, float(last))) for row, name in named.items()]
    return sorted(found, key=lambda hit: (-hit[1], hit[0]))[:top_k]
