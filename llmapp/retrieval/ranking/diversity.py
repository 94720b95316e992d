"""Puts hits that say something new before hits that say the same again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from llmapp.retrieval.fusion import min_max
from llmapp.retrieval.ranking.stage import Asked
from llmapp.types import Hit

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray


class ReadVectors(Protocol):
    """Reads vectors by chunk id, as `llmapp.catalog.live_chunks.LiveChunks.vectors` does."""

    def __call__(self, chunk_ids: Sequence[str]) -> Mapping[str, FloatArray]:
        """The vectors of those that are live, each of shape (dim,) and of length 1."""


class Diversity:
    """Orders hits by maximal marginal relevance. A stage of `llmapp.retrieval.hybrid`."""

    name = "diversity"

    def __init__(self, vectors: ReadVectors, *, share: float) -> None:
        """Choose how much novelty counts.

        Args:
            vectors: Reads the vectors of the hits.
            share: Weight of novelty, 0 to 1; the rest is that of relevance. 0 changes nothing.
        """
        self._vectors = vectors
        self._share = share

    def __call__(self, asked: Asked, hits: Sequence[Hit]) -> list[Hit]:
        """All of `hits`, each the best of what is left when what stands before it has been read."""
        del asked
        if len(hits) < 2:  # noqa: PLR2004 - one hit has nothing to differ from
            return list(hits)
        relevance = list(min_max({str(place): hit.score for place, hit in enumerate(hits)}).values())
        order = marginal_order(relevance, self._stacked(hits), share=self._share)
        return [hits[place] for place in order]

    def _stacked(self, hits: Sequence[Hit]) -> FloatArray:
        """A row for each hit; all zero, so like no other, for one whose document was replaced meanwhile."""
        import numpy as np

        found = self._vectors([hit.chunk.id for hit in hits])
        dim = len(next(iter(found.values()), ()))
        nothing = np.zeros(dim, dtype=np.float32)
        return np.stack([found.get(hit.chunk.id, nothing) for hit in hits])


def marginal_order(relevance: Sequence[float], vectors: FloatArray, *, share: float) -> list[int]:
    """The order by maximal marginal relevance.

    Args:
        relevance: Of each item, 0 to 1.
        vectors: Shape (len(relevance), dim), rows of length 1 or 0.
        share: Weight of novelty, 0 to 1.

    Returns:
        Every index once. The next is the one with the largest (1 - share) * relevance - share * (its largest cosine
        similarity to one that stands before it); of equals the first.

    Source:
        Carbonell and Goldstein, "The use of MMR, diversity-based reranking for reordering documents and producing
        summaries", SIGIR 1998; their lambda is 1 - share.
    """
    import numpy as np

    similarity = vectors @ vectors.T
    wanted = (1 - share) * np.asarray(relevance, dtype=np.float64)
    nearest = np.zeros(len(wanted))
    order: list[int] = []
    left = np.ones(len(wanted), dtype=bool)
    while left.any():
        best = int(np.argmax(np.where(left, wanted - share * nearest, -np.inf)))
        order.append(best)
        left[best] = False
        nearest = np.maximum(nearest, similarity[best]) if len(order) > 1 else similarity[best].astype(np.float64)
    return order
