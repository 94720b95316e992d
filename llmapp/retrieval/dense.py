"""Search by meaning: plans between exact search and the vector index.

Exact search over the readable chunks serves while they are few; it needs no index and is never wrong. Beyond that the
index is asked for more than is wanted and the catalog drops what is not live or not readable; chunks that the index has
not applied yet are scored exactly and merged in. Whenever the index cannot serve, or brings too little, exact search does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from llmapp.errors import IndexUnavailableError
from llmapp.filters.tree import Filter
from llmapp.retrieval.exact import rank_exact, search_exact
from llmapp.types import Chunk, Hit, Principal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmapp.catalog.catalog import Catalog
    from llmapp.catalog.lock import FileLock
    from llmapp.protocols import Embedder, FloatArray, VectorIndex

_Read: TypeAlias = Callable[[Sequence[str]], Mapping[str, Chunk]]
"""Reads those of some chunks that may be found."""

_EXACT_UP_TO = 10_000
"""Readable chunks that are searched exactly: 0.9 ms at 10,000, against 2.5 ms and an import of a second for Chroma."""
_OVERFETCH = 2
_MOST_CANDIDATES = 1_000
"""Widening beyond this takes longer than exact search over 100,000 chunks."""
_AS_NEAR = 1e-5
"""Similarities that differ by less count as equal: the index computes them in float32, in an order of its own."""
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
        lock: FileLock | None = None,
        exact_up_to: int = _EXACT_UP_TO,
    ) -> None:
        """Search this catalog.

        Args:
            catalog: Holds the vectors, and decides what may be read.
            embedder: The one that made the vectors.
            index: Projection of the catalog; None searches exactly whatever the size.
            lock: The lock of the index; taken at the first search that needs the index, and kept. None asks always.
            exact_up_to: Most readable chunks that are searched exactly.
        """
        self._catalog = catalog
        self._embedder = embedder
        self._index = index
        self._lock = lock
        self._exact_up_to = exact_up_to
        self._degraded: str | None = None
        self._taking = threading.Lock()
        self._taken = False

    @property
    def degraded(self) -> str | None:
        """Why the last search that wanted the index went without it; None while all is well."""
        return self._degraded

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
        rows = self._catalog.readable_rows(principal, where)
        if not len(rows):
            return []
        self._catalog.check_embedder(self._embedder.identity)
        vector = self._embedder.embed_query(query)
        found = self._search(vector, rows, partial(self._catalog.chunks, principal=principal, where=where), top_k)
        return [Hit(chunk, score, rank, "dense") for rank, (chunk, score) in enumerate(found, start=1)]

    def _search(self, vector: FloatArray, rows: NDArray[np.int64], read: _Read, top_k: int) -> list[tuple[Chunk, float]]:
        if len(rows) > self._exact_up_to:
            found = self._from_index(vector, read, top_k)
            if found is not None:
                return found
        ranked = search_exact(self._catalog.live_vectors(), rows, vector, top_k=top_k)
        chunks = read([chunk_id for chunk_id, _ in ranked])
        return [(chunks[chunk_id], score) for chunk_id, score in ranked if chunk_id in chunks]

    def _from_index(self, vector: FloatArray, read: _Read, top_k: int) -> list[tuple[Chunk, float]] | None:
        """Search the index; None when there is none, or it cannot serve or brings too little."""
        if self._index is None:
            return None
        if not self._holds_index():
            self._degraded = "another process holds the vector index; exact search serves"
            return None
        try:
            found = self._ask_index(self._index, vector, read, top_k)
        except IndexUnavailableError as error:
            self._degraded = f"{error.message}; exact search serves"
            return None
        self._degraded = None
        return found

    def _holds_index(self) -> bool:
        """Take the lock at the first need and keep it: whoever else of this process holds it may give it back any time."""
        with self._taking:
            self._taken = self._taken or self._lock is None or self._lock.try_acquire()
            return self._taken

    def _ask_index(
        self, index: VectorIndex, vector: FloatArray, read: _Read, top_k: int
    ) -> list[tuple[Chunk, float]] | None:
        """Search the index and what it has not applied; None when that brings too little to be trusted."""
        pending = self._catalog.pending(limit=_MOST_PENDING + 1)
        if len(pending) > _MOST_PENDING:
            return None
        fresh = [work.chunk_id for work in pending if work.action == "upsert"]
        fetch = _OVERFETCH * top_k
        while fetch <= max(_MOST_CANDIDATES, _OVERFETCH * top_k):
            nearest = index.query(vector, top_k=fetch)
            if len(nearest) < fetch:
                return None  # so few that exact search costs nothing; and an approximate index may have missed some
            readable = _readable(nearest, read, top_k)
            if len(readable) >= top_k:
                return self._merge(readable, read(fresh), vector, top_k)
            fetch *= 2
        return None

    def _merge(
        self, readable: Mapping[str, Chunk], fresh: Mapping[str, Chunk], vector: FloatArray, top_k: int
    ) -> list[tuple[Chunk, float]]:
        import numpy as np

        chunks = {**readable, **fresh}
        vectors = self._catalog.vectors(list(chunks))
        ranked = rank_exact(list(vectors), np.stack(list(vectors.values())), vector, top_k=top_k) if vectors else []
        return [(chunks[chunk_id], score) for chunk_id, score in ranked]


def _readable(nearest: Sequence[tuple[str, float]], read: _Read, top_k: int) -> dict[str, Chunk]:
    """At least the first `top_k` of `nearest` that may be found, and all that are as near; fewer when there are no more."""
    readable: dict[str, Chunk] = {}
    for start in range(0, len(nearest), top_k):
        part, rest = nearest[start : start + top_k], nearest[start + top_k :]
        readable |= read([chunk_id for chunk_id, _ in part])
        if len(readable) >= top_k and (not rest or rest[0][1] < part[-1][1] - _AS_NEAR):
            break
    return readable
