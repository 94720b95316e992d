"""The stage that asks a reranker, and believes of its answer only what can be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from llmapp.errors import RerankerError
from llmapp.protocols import RelevanceScorer, Reranker
from llmapp.retrieval.ranking.stage import Asked
from llmapp.types import Hit


class Reranking:
    """Orders the first hits anew. A stage of `llmapp.retrieval.hybrid`."""

    name = "rerank"

    def __init__(self, reranker: Reranker, *, candidates: int) -> None:
        """Ask this reranker.

        Args:
            reranker: Any implementation of the port; it is not trusted.
            candidates: Hits to show to it, however many are wanted: whoever asks does not set the price. What is not shown is
                not returned, because its score would mean something else.
        """
        self._reranker = reranker
        self._candidates = candidates

    def __call__(self, asked: Asked, hits: Sequence[Hit]) -> list[Hit]:
        """The best of `hits` by the reranker's judgement; what it leaves out is left out.

        Raises:
            RerankerError: It failed, or its answer cannot be: a hit that it was not given, one twice, a score that is no
                number, or none of the hits at all.
        """
        shown = list(hits[: self._candidates])
        if len(shown) < 2:  # noqa: PLR2004 - one hit has one order
            return shown
        by_id = {hit.chunk.id: hit for hit in shown}
        answered = self._reranker.rerank(asked.query, shown, top_k=len(shown))
        _check(answered, by_id, self._reranker.name)
        # The chunk is ours, whatever the reranker has made of it: its text goes into the prompt.
        return [replace(by_id[hit.chunk.id], score=hit.score, retriever="reranked") for hit in answered]


class PassageReranker:
    """A reranker that judges every hit by itself. Implements `llmapp.protocols.Reranker`."""

    def __init__(self, scorer: RelevanceScorer) -> None:
        """Judge by this scorer."""
        self._scorer = scorer

    @property
    def name(self) -> str:
        """That of the scorer."""
        return self._scorer.name

    def rerank(self, query: str, hits: Sequence[Hit], *, top_k: int) -> list[Hit]:
        """The `top_k` hits with the highest scores, ties in the order they had.

        Raises:
            RerankerError: The scorer failed, or gave another number of scores than there are hits.
        """
        scores = self._scorer.score(query, [passage_of(hit) for hit in hits]).scores
        if len(scores) != len(hits):
            raise RerankerError(f"{self.name} gave {len(scores)} scores for {len(hits)} passages")
        judged = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
        return sorted(judged, key=lambda hit: -hit.score)[:top_k]


def passage_of(hit: Hit) -> str:
    """What a judge reads of a hit: where it stands, then its words."""
    chunk = hit.chunk
    place = chunk.heading if chunk.heading.startswith(chunk.title) else f"{chunk.title} › {chunk.heading}"
    return f"{place.strip(' ›')}\n{chunk.text}".strip("\n")


def _check(answered: Sequence[Hit], given: dict[str, Hit], name: str) -> None:
    ids = [hit.chunk.id for hit in answered]
    if not ids or len(set(ids)) < len(ids) or not given.keys() >= set(ids):
        raise RerankerError(f"{name} did not answer with hits that it was given, each once")
    if not all(isfinite(hit.score) for hit in answered):
        raise RerankerError(f"{name} gave a score that is no number")
