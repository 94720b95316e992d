"""Search by meaning: exact or through the vector index, as `llmapp.retrieval.planning` finds faster.

The index is asked for more than is wanted, and what is not live or may not be found is dropped by what the catalog says; if
that leaves too little, it is asked for more. Chunks that it has not applied yet are scored exactly and merged in. Whenever
it cannot serve, or would take longer than exact search, exact search does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from llmapp.errors import EmbedderError, IndexUnavailableError
from llmapp.filters.tree import Filter
from llmapp.retrieval.exact import rank_exact, search_exact
from llmapp.retrieval.planning import MEASURED, Costs, plan, widened
from llmapp.types import Hit, Principal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmapp.catalog.catalog import Catalog
    from llmapp.catalog.readable import Readable
    from llmapp.protocols import Embedder, FloatArray, VectorIndex

_log = logging.getLogger(__name__)

_EXACT_UP_TO = 10_000
"""Readable chunks that are searched exactly: 0.7 ms at 10,000, and no import of a second for Chroma."""
_AS_NEAR = 1e-5
"""Similarities that differ by less count as equal: the index computes them in float32, in an order of its own."""
_REMEMBERED = 8
"""Questions whose vectors are kept: one search may ask several times for each of its wordings, and embedding costs time or money."""
_MOST_PENDING = 2_000
"""More chunks than this that the index has not applied are not read one by one; exact search serves."""


class DenseRetriever:
    """Nearest chunks by cosine similarity. Implements `llmapp.protocols.Retriever`; safe to use from several threads."""

    def __init__(
        self,
        catalog: Catalog,
        embedder: Embedder,
        *,
        index: VectorIndex | None = None,
        exact_up_to: int = _EXACT_UP_TO,
        costs: Costs = MEASURED,
    ) -> None:
        """Search this catalog.

        Args:
            catalog: Holds the vectors, and decides what may be read.
            embedder: The one that made the vectors.
            index: Projection of the catalog, e.g. a `llmapp.retrieval.serving.ServingIndex`; None searches exactly whatever the size.
            exact_up_to: Up to so many readable chunks the index is never asked, nor opened.
            costs: What the steps of a search take; beyond `exact_up_to` they decide.
        """
        self._catalog = catalog
        self._embedder = embedder
        self._index = index
        self._exact_up_to = exact_up_to
        self._costs = costs
        self._degraded: str | None = None
        self._not_embedded: str | None = None
        self._remembered: dict[str, FloatArray] = {}

    @property
    def degraded(self) -> str | None:
        """Why the last question could not be embedded, or the last search that wanted the index went without it; else None."""
        return self._not_embedded or self._degraded

    def retrieve(self, query: str, *, principal: Principal, top_k: int, where: Filter | None = None) -> list[Hit]:
        """At most `top_k` hits that `principal` may read, best first, ranks from 1; none for a blank question.

        Args:
            query: A question.
            principal: Who asks.
            top_k: Most hits to return.
            where: What the documents of the hits must satisfy; None is nothing.

        Raises:
            EmbedderMismatchError: The vectors were made by another embedder.
            EmbedderError: The question cannot be embedded.
        """
        if not query.strip() or top_k < 1:
            return []
        readable = self._catalog.readable(principal, where)
        if not len(readable.slots):
            return []
        self._catalog.check_embedder(self._embedder.identity)
        vector = self.vector_of(query)
        ranked = self._search(vector, readable, top_k)
        chunks = self._catalog.chunks([chunk_id for chunk_id, _ in ranked], principal=principal, where=where)
        found = [(chunks[chunk_id], score) for chunk_id, score in ranked if chunk_id in chunks]
        return [Hit(chunk, score, rank, "dense") for rank, (chunk, score) in enumerate(found, start=1)]

    def vector_of(self, query: str) -> FloatArray:
        """The vector of a question; one that was just searched for is not embedded again.

        Raises:
            EmbedderError: The question cannot be embedded.
        """
        if (vector := self._remembered.get(query)) is None:
            vector = self._embedded(query)
            newest = [*self._remembered.items(), (query, vector)][-_REMEMBERED:]
            self._remembered = dict(newest)  # in one step, for other threads
        return vector

    def _embedded(self, query: str) -> FloatArray:
        try:
            vector = self._embedder.embed_query(query)
        except EmbedderError as error:
            self._not_embedded = f"{error.message}; questions are searched for by words alone" if error.retryable else None
            raise
        self._not_embedded = None
        return vector

    def _search(self, vector: FloatArray, readable: Readable, top_k: int) -> list[tuple[str, float]]:
        """Ids and similarity, best first."""
        count, dim = len(readable.slots), len(vector)
        chosen = plan(self._costs, readable=count, live=readable.table.live, dim=dim, top_k=top_k)
        if self._index is None or count <= self._exact_up_to:
            chosen = replace(chosen, fetch=None)
        _log.debug("dense search, %s", chosen)
        if self._index is not None and chosen.fetch is not None:
            found = self._from_index(self._index, vector, readable, chosen.fetch, top_k)
            if found is not None:
                return found
            _log.debug("dense search, the index does not do: %s", self._degraded or "it brings too little")
        return search_exact(readable.table, readable.slots, vector, top_k=top_k, names=self._catalog.ids_of_rows)

    def _from_index(
        self, index: VectorIndex, vector: FloatArray, readable: Readable, fetch: int, top_k: int
    ) -> list[tuple[str, float]] | None:
        """Search the index; None when it cannot serve or brings too little."""
        try:
            found = self._ask_index(index, vector, readable, fetch, top_k)
        except IndexUnavailableError as error:
            self._degraded = f"{error.message}; exact search serves"
            return None
        self._degraded = None
        return found

    def _ask_index(
        self, index: VectorIndex, vector: FloatArray, readable: Readable, fetch: int, top_k: int
    ) -> list[tuple[str, float]] | None:
        """Search the index and what it has not applied; None when that brings too little to be trusted."""
        pending = self._catalog.pending(limit=_MOST_PENDING + 1)
        if len(pending) > _MOST_PENDING:
            return None
        at_most_s = self._costs.exact_s(len(readable.slots), readable.table.live, len(vector))
        while True:
            nearest = index.query(vector, top_k=fetch)
            if len(nearest) < fetch:
                return None  # so few that exact search costs nothing; and an approximate index may have missed some
            slots = self._slots_of([chunk_id for chunk_id, _ in nearest], readable)
            if (slots >= 0).sum() >= top_k:
                fresh = self._slots_of([work.chunk_id for work in pending if work.action == "upsert"], readable)
                return self._ranked(readable, [*_best(nearest, slots, top_k), *fresh[fresh >= 0].tolist()], vector, top_k)
            fetch = widened(fetch, found=int((slots >= 0).sum()), top_k=top_k)
            if self._costs.index_s(fetch) > at_most_s:
                return None

    def _slots_of(self, ids: Sequence[str], readable: Readable) -> NDArray[np.int32]:
        """Slots of chunks, -1 for those that may not be found. Shape (len(ids),)."""
        import numpy as np

        rows = self._catalog.rows_of_ids(ids) if ids else {}
        numbers = np.array([rows.get(chunk_id, 0) for chunk_id in ids], dtype=np.int64)
        return np.where(readable.holds(numbers), readable.table.slots(numbers), np.int32(-1))

    def _ranked(self, readable: Readable, slots: Iterable[int], vector: FloatArray, top_k: int) -> list[tuple[str, float]]:
        table, distinct = readable.table, sorted(set(slots))
        names = self._catalog.ids_of_rows(table.rows[distinct].tolist())
        known = [slot for slot in distinct if int(table.rows[slot]) in names]
        return rank_exact([names[int(table.rows[slot])] for slot in known], table.vectors[known], vector, top_k=top_k)


def _best(nearest: Sequence[tuple[str, float]], slots: NDArray[np.int32], top_k: int) -> list[int]:
    """The first `top_k` slots that may be found, and all that are as near; of equal ones the ids decide, not the index."""
    allowed = [(score, slot) for (_, score), slot in zip(nearest, slots.tolist(), strict=True) if slot >= 0]
    worst = allowed[top_k - 1][0] - _AS_NEAR
    return [slot for score, slot in allowed if score >= worst]
