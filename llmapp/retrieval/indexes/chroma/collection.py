"""What both Chromas have in common: one collection of ids and vectors, and the calls on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from llmapp.errors import DimensionMismatchError
from llmapp.retrieval.indexes.chroma.watchdog import Watchdog

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api.client import Client

    from llmapp.protocols import FloatArray

_T = TypeVar("_T")


class ChromaCollection:
    """An open collection. Safe to use from several threads."""

    def __init__(
        self, client: Client, collection: Collection, watchdog: Watchdog, *, read_deadline_s: float, write_deadline_s: float
    ) -> None:
        """Take an open collection.

        Args:
            client: Of the collection; closed by whoever opened it.
            collection: Its space is that of the inner product.
            watchdog: Runs the calls.
            read_deadline_s: Seconds that a search may take.
            write_deadline_s: Seconds that one batch of a write, or a list of all ids, may take.
        """
        self.client = client
        """Of the collection."""
        self._collection = collection
        self._watchdog = watchdog
        self._read_deadline_s = read_deadline_s
        self._write_deadline_s = write_deadline_s
        self._dim: int | None = None

    def check_dim(self, vector: FloatArray) -> None:
        """See that a vector, or the rows of several, have the length of those that are stored.

        Raises:
            DimensionMismatchError: They have another length.
            IndexUnavailableError: The store cannot be read.
        """
        if self._dim is None:
            some = self._read(lambda: self._collection.get(limit=1, include=["embeddings"]))["embeddings"]
            self._dim = len(some[0]) if some is not None and len(some) else None
        if self._dim not in {None, vector.shape[-1]}:
            raise DimensionMismatchError(stored=self._dim or 0, given=vector.shape[-1])

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        """Put vectors in as many batches as Chroma needs. `vectors` has shape (len(ids), dim)."""
        self._in_parts(len(ids), lambda part: self._collection.upsert(ids=list(ids[part]), embeddings=vectors[part]))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove ids; unknown ones are ignored."""
        self._in_parts(len(ids), lambda part: self._collection.delete(ids=list(ids[part])))

    def query(self, vector: FloatArray, *, top_k: int) -> list[tuple[str, float]]:
        """The `top_k` nearest ids with their cosine similarity, best first. `vector` has shape (dim,) and length 1."""
        self.check_dim(vector)
        found = self._read(
            lambda: self._collection.query(query_embeddings=vector[None, :], n_results=top_k, include=["distances"])
        )
        ids, distances = found["ids"][0], (found["distances"] or [[]])[0]
        # The distance of the inner-product space is 1 - cosine for unit vectors.
        return [(chunk_id, 1.0 - float(distance)) for chunk_id, distance in zip(ids, distances, strict=True)]

    def ids(self) -> set[str]:
        """All ids; their vectors may still be gone, so a check reads them too."""
        return set(self._watchdog.run(self._write_deadline_s, lambda: self._collection.get(include=[]))["ids"])

    def vectors(self, ids: Sequence[str]) -> dict[str, FloatArray]:
        """The stored vectors of `ids`, each of shape (dim,)."""
        import numpy as np

        stored: dict[str, FloatArray] = {}

        def get(part: slice) -> None:
            found = self._collection.get(ids=list(ids[part]), include=["embeddings"])
            rows = np.asarray(found["embeddings"], dtype=np.float32)
            stored.update(zip(found["ids"], rows, strict=True))

        self._in_parts(len(ids), get)
        return stored

    def _read(self, call: Callable[[], _T]) -> _T:
        return self._watchdog.run(self._read_deadline_s, call)

    def _in_parts(self, count: int, call: Callable[[slice], object]) -> None:
        """Run `call` on slices of `count` things, each as large as Chroma takes."""
        for part in self._parts(count):
            self._watchdog.run(self._write_deadline_s, lambda part=part: call(part))  # type: ignore[misc]

    def _parts(self, count: int) -> Iterator[slice]:
        size = self._read(self.client.get_max_batch_size)
        return (slice(start, start + size) for start in range(0, count, size))
