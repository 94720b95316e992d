"""Search by words: hands a question to the catalog's full text. Any text is a question; none is a syntax error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmapp.filters.tree import Filter
from llmapp.types import Hit, Principal

if TYPE_CHECKING:
    from llmapp.catalog.bm25 import Bm25
    from llmapp.catalog.catalog import Catalog


class LexicalRetriever:
    """BM25 over title, heading and text. Implements `llmapp.protocols.Retriever`."""

    def __init__(self, catalog: Catalog, *, parameters: Bm25 | None = None) -> None:
        """Search this catalog, with these parameters of BM25; None takes their defaults."""
        self._catalog = catalog
        self._parameters = parameters

    def retrieve(self, query: str, *, principal: Principal, top_k: int, where: Filter | None = None) -> list[Hit]:
        """At most `top_k` hits that `principal` may read and whose documents satisfy `where`, best first, ranks from 1.

        None for a question without words.
        """
        rows = None if where is None else self._catalog.readable_rows(principal, where)
        scores = self._catalog.match(query, principal=principal, top_k=top_k, rows=rows, parameters=self._parameters)
        chunks = self._catalog.chunks([chunk_id for chunk_id, _ in scores], principal=principal, where=where)
        found = [(chunks[chunk_id], score) for chunk_id, score in scores if chunk_id in chunks]
        return [Hit(chunk, score, rank, "lexical") for rank, (chunk, score) in enumerate(found, start=1)]
