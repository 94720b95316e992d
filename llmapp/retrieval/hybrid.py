"""Dense and full-text search together: what one misses, the other often finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from llmapp.filters.tree import Filter
from llmapp.protocols import Retriever
from llmapp.retrieval.fusion import Fusion, drop_repeats
from llmapp.types import Chunk, Hit, Principal


class ReadLive(Protocol):
    """Reads chunks at one moment, as `llmapp.catalog.live_chunks.LiveChunks.chunks` does."""

    def __call__(self, ids: Sequence[str], *, principal: Principal, where: Filter | None = None) -> Mapping[str, Chunk]:
        """Those of `ids` that are live, that `principal` may read, and whose documents satisfy `where`."""


class HybridRetriever:
    """Fuses two retrievers. Implements `llmapp.protocols.Retriever`."""

    def __init__(
        self, dense: Retriever, lexical: Retriever, *, fuse: Fusion, candidates: int, live: ReadLive | None = None
    ) -> None:
        """Fuse these two.

        Args:
            dense: Finds by meaning.
            lexical: Finds by words.
            fuse: Merges what the two bring, dense first.
            candidates: Hits to ask of each; more are asked when `top_k` is larger.
            live: Reads all hits once more at one moment: between the reads of the two a document may have been replaced,
                and a search must not find half of the old one and half of the new one.
        """
        self._dense = dense
        self._lexical = lexical
        self._fuse = fuse
        self._candidates = candidates
        self._live = live
        self._aside = ThreadPoolExecutor(thread_name_prefix="lexical")

    def retrieve(self, query: str, *, principal: Principal, top_k: int, where: Filter | None = None) -> list[Hit]:
        """At most `top_k` hits of different texts that `principal` may read and whose documents satisfy `where`, best first.

        Ranks are from 1; there are none when the query is blank.
        """
        if not query.strip() or top_k < 1:
            return []
        wanted = max(self._candidates, top_k)
        # SQLite matches words on one core while the other embeds the question; each takes about as long.
        by_words = self._aside.submit(self._lexical.retrieve, query, principal=principal, top_k=wanted, where=where)
        by_meaning = self._dense.retrieve(query, principal=principal, top_k=wanted, where=where)
        fused = self._fuse([by_meaning, by_words.result()], top_k=2 * wanted)
        if self._live is not None:
            live = self._live([hit.chunk.id for hit in fused], principal=principal, where=where)
            fused = [hit for hit in fused if hit.chunk.id in live]
        return drop_repeats(fused, top_k=top_k)

    def close(self) -> None:
        """End the thread that matches words."""
        self._aside.shutdown()
