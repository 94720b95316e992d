"""Dense and full-text search together, and the order of what they find.

    candidates of both -> fused -> what is live at one moment -> the same text once -> the stages -> top_k

The stages are those of `llmapp.retrieval.ranking`: by default there are none. While the embedder's server is away the words alone
are searched for, and the search says so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from llmapp.errors import EmbedderError
from llmapp.filters.tree import Filter
from llmapp.protocols import Retriever
from llmapp.retrieval.fusion import Fusion, drop_repeats, reciprocal_rank
from llmapp.retrieval.ranking.stage import Asked, Stage, run_stages
from llmapp.types import Chunk, Found, Hit, Principal

_log = logging.getLogger(__name__)

_WIDER = 8
_WIDENED = 2
"""How often more is asked for: 100 candidates become 800 and 6,400."""


class Moments(Protocol):
    """Tells moments apart and reads chunks at one, as `llmapp.catalog.live_chunks.LiveChunks` does."""

    def generation(self) -> int:
        """A number that grows with every committed change of documents."""

    def chunks(self, ids: Sequence[str], *, principal: Principal, where: Filter | None = None) -> Mapping[str, Chunk]:
        """Those of `ids` that are live, that `principal` may read, and whose documents satisfy `where`."""


class HybridRetriever:
    """Fuses two retrievers. Implements `llmapp.protocols.Retriever` and `llmapp.protocols.Searcher`."""

    def __init__(
        self,
        dense: Retriever,
        lexical: Retriever,
        *,
        fuse: Fusion,
        candidates: int,
        moments: Moments | None = None,
        stages: Sequence[Stage] = (),
    ) -> None:
        """Fuse these two.

        Args:
            dense: Finds by meaning.
            lexical: Finds by words.
            fuse: Merges what the two bring, dense first.
            candidates: Hits to ask of each; more are asked when `top_k` is larger.
            moments: Where the catalog has moved on between the reads of the two, all hits are read once more at one moment:
                a document may have been replaced, and a search must not find half of the old one and half of the new one.
            stages: What happens to the hits then, in this order.
        """
        self._dense = dense
        self._lexical = lexical
        self._fuse = fuse
        self._candidates = candidates
        self._moments = moments
        self._stages = stages
        self._aside = ThreadPoolExecutor(thread_name_prefix="lexical")

    def retrieve(self, query: str, *, principal: Principal, top_k: int, where: Filter | None = None) -> list[Hit]:
        """At most `top_k` hits of different texts that `principal` may read and whose documents satisfy `where`, best first.

        Ranks are from 1; there are none when the query is blank.
        """
        return list(self.search(query, principal=principal, top_k=top_k, where=where).hits)

    def search(
        self,
        query: str,
        *,
        wordings: Sequence[str] = (),
        principal: Principal,
        top_k: int,
        where: Filter | None = None,
    ) -> Found:
        """As `retrieve`; also for other wordings of the question, which are merged by reciprocal rank."""
        if not query.strip() or top_k < 1:
            return Found(())
        asked = Asked(query, principal, top_k, where)
        every = [query, *(wording for wording in wordings if wording.strip())]
        notes: list[str] = []
        found = run_stages(self._stages, asked, self._distinct(every, asked, notes))
        best = tuple(replace(hit, rank=rank) for rank, hit in enumerate(found.hits[:top_k], start=1))
        return replace(found, hits=best, notes=(*notes, *found.notes))

    def _distinct(self, every: Sequence[str], asked: Asked, notes: list[str]) -> list[Hit]:
        """Hits of different texts. Where copies of a few texts take all places, more candidates are asked for."""
        candidates = max(self._candidates, asked.top_k)
        for widened in range(_WIDENED + 1):
            wanted = candidates * _WIDER**widened
            before = self._moment()
            fused = [self._fused(replace(asked, query=one, top_k=wanted), notes) for one in every]
            merged = fused[0] if len(fused) == 1 else reciprocal_rank(fused, top_k=2 * wanted)
            distinct = drop_repeats(self._of_one_moment(merged, asked, before), top_k=len(merged))
            if len(distinct) >= asked.top_k or len(merged) < wanted:
                break  # enough, or neither side has more
        return distinct[: 2 * candidates]

    def _fused(self, asked: Asked, notes: list[str]) -> list[Hit]:
        # Words are matched on one core while the other embeds the question; each takes about as long.
        by_words = self._aside.submit(_ask, self._lexical, asked)
        by_meaning = self._by_meaning(asked, notes)
        return self._fuse([by_meaning, by_words.result()], top_k=2 * asked.top_k)

    def _by_meaning(self, asked: Asked, notes: list[str]) -> list[Hit]:
        """Nothing where the embedder cannot be reached, from the first time in a search to its end: each try takes seconds."""
        if notes:
            return []
        try:
            return _ask(self._dense, asked)
        except EmbedderError as error:
            if not error.retryable:
                raise
            _log.warning("a search went by words alone: %s: %s", error.code, error.message)
            notes.append(f"the search by meaning was left out: {error.message}")
            return []

    def _moment(self) -> int:
        return 0 if self._moments is None else self._moments.generation()

    def _of_one_moment(self, hits: list[Hit], asked: Asked, before: int) -> list[Hit]:
        if self._moments is None or self._moment() == before:
            return hits  # every read since then has seen the same
        live = self._moments.chunks([hit.chunk.id for hit in hits], principal=asked.principal, where=asked.where)
        return [replace(hit, chunk=live[hit.chunk.id]) for hit in hits if hit.chunk.id in live]

    def close(self) -> None:
        """End the thread that matches words."""
        self._aside.shutdown()


def _ask(side: Retriever, asked: Asked) -> list[Hit]:
    return side.retrieve(asked.query, principal=asked.principal, top_k=asked.top_k, where=asked.where)
