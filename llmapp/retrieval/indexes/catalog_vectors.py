"""Exact search over the vectors of the catalog: a store that holds nothing itself, so nothing can be lost or out of date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmapp.errors import DimensionMismatchError
from llmapp.retrieval.exact import search_exact

if TYPE_CHECKING:
    from llmapp.catalog.catalog import Catalog
    from llmapp.protocols import FloatArray


class ExactIndex:
    """The live vectors, compared one by one. Implements `llmapp.protocols.VectorIndex`; safe to use from several threads."""

    name = "exact"
    """Name of the store."""
    is_shared = True
    """Whoever reads the catalog reads its vectors."""

    def __init__(self, catalog: Catalog) -> None:
        """Use the vectors of `catalog`."""
        self._catalog = catalog

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        """Do nothing: the catalog holds them before anyone is told."""

    def delete(self, ids: Sequence[str]) -> None:
        """Do nothing: the catalog has removed them before anyone is told."""

    def query(self, vector: FloatArray, *, top_k: int) -> list[tuple[str, float]]:
        """The `top_k` nearest ids with their cosine similarity, best first, ties by id.

        Raises:
            DimensionMismatchError: The catalog holds vectors of another length.
        """
        table = self._catalog.live_vectors()
        if len(table.rows) and table.vectors.shape[1] != len(vector):
            raise DimensionMismatchError(stored=table.vectors.shape[1], given=len(vector))
        return search_exact(table, table.live_slots(), vector, top_k=top_k, names=self._catalog.ids_of_rows)

    def ids(self) -> set[str]:
        """The ids of all live chunks."""
        return self._catalog.chunk_ids()

    def vectors(self, ids: Sequence[str]) -> dict[str, FloatArray]:
        """The vectors of those `ids` that are live, each of shape (dim,)."""
        return self._catalog.vectors(ids)

    def mend(self) -> None:
        """Do nothing: the catalog commits as a whole."""

    def settle(self) -> None:
        """Do nothing: there is nothing that could be made."""

    def fault(self) -> str | None:
        """None: when the catalog cannot be read, there is no search at all."""
        return None

    def clear(self) -> None:
        """Do nothing: what there is belongs to the catalog."""

    def close(self) -> None:
        """Do nothing: the catalog is closed by its owner."""
