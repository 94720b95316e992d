"""Merges rankings whose scores cannot be compared: by their ranks, or by their scores brought to one scale.

Ranks are safe and forget how sure a retriever was; scores keep that. Neither adds a chunk that no ranking holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import fsum, isclose
from typing import Protocol

from llmapp.types import Chunk, Hit


class Fusion(Protocol):
    """One of the functions below, its settings bound."""

    def __call__(self, rankings: Sequence[Sequence[Hit]], *, top_k: int) -> list[Hit]:
        """At most `top_k` hits of these rankings, best first, ranks from 1."""


def reciprocal_rank(rankings: Sequence[Sequence[Hit]], *, top_k: int, k: int = 60) -> list[Hit]:
    """Merge rankings by the ranks that they give.

    A chunk's score is the sum of 1 / (k + rank) over the rankings that hold it, at its best rank in each.

    Args:
        rankings: One list of hits for each retriever, best first; a hit's place in the list is its rank.
        top_k: Most hits to return.
        k: How much the first ranks are flattened; larger flattens more. Unitless, positive.

    Returns:
        Best first, `rank` from 1, `retriever` ``fused``; ties by chunk id.

    Raises:
        ValueError: `k` or `top_k` is not positive.

    Source:
        Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
        methods", SIGIR 2009; k = 60 is theirs.

    Example:
        >>> reciprocal_rank([[], []], top_k=10)
        []
    """
    if k < 1:
        raise ValueError(f"k must be positive, got {k}")
    distinct = [list(_best_scores(ranking)) for ranking in rankings]
    return _merged(
        rankings, [{name: 1 / (k + rank) for rank, name in enumerate(names, start=1)} for names in distinct], top_k
    )


def convex(rankings: Sequence[Sequence[Hit]], *, top_k: int, weights: Sequence[float]) -> list[Hit]:
    """Merge rankings by their scores, each ranking brought to 0 to 1 first and weighted.

    The best hit of a ranking has 1, the worst 0, and a chunk that it does not hold 0 as well. Where all its scores are equal,
    as where there is but one hit, all have 1: nothing says that they are bad. The weight of an empty ranking goes to the others.

    Args:
        rankings: One list of hits for each retriever, in any order; scores are finite, higher is better.
        top_k: Most hits to return.
        weights: One for each ranking, none negative, together 1.

    Returns:
        Best first, scores from 0 to 1, `rank` from 1, `retriever` ``fused``; ties by the scores without their weights, then
        by chunk id.

    Raises:
        ValueError: The weights are not as above, or `top_k` is not positive.

    Source:
        Bruch, Gai and Ingber, "An analysis of fusion functions for hybrid retrieval", ACM TOIS 42(1), 2023, equations 2 and 3.

    Example:
        >>> convex([[], []], top_k=10, weights=(0.5, 0.5))
        []
    """
    if len(weights) != len(rankings) or min(weights, default=0.0) < 0 or not isclose(fsum(weights), 1.0):
        raise ValueError(f"there must be a weight for each ranking, together 1, got {tuple(weights)}")
    scaled = [min_max(_best_scores(ranking)) for ranking in rankings]
    held = _of_those_that_hold(scaled, weights)
    shares = [{name: weight * score for name, score in one.items()} for weight, one in zip(held, scaled, strict=True)]
    return _merged(rankings, shares, top_k, ties=scaled)


def drop_repeats(hits: Sequence[Hit], *, top_k: int) -> list[Hit]:
    """The first `top_k` hits whose text no earlier hit has, in order, ranks from 1 again."""
    first = {hit.chunk.text: hit for hit in reversed(hits)}
    kept = [hit for hit in hits if first[hit.chunk.text] is hit][:top_k]
    return [replace(hit, rank=rank) for rank, hit in enumerate(kept, start=1)]


def min_max(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores from 0 for the worst to 1 for the best; 1 for all where all are equal."""
    low, high = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    return {name: (score - low) / (high - low) if high > low else 1.0 for name, score in scores.items()}


def _best_scores(ranking: Sequence[Hit]) -> dict[str, float]:
    """The best score of each chunk, chunks in the order of their first hits."""
    scores: dict[str, float] = {}
    for hit in ranking:
        scores[hit.chunk.id] = max(hit.score, scores.get(hit.chunk.id, hit.score))
    return scores


def _of_those_that_hold(scaled: Sequence[Mapping[str, float]], weights: Sequence[float]) -> list[float]:
    """Weights that are together 1 again once the empty rankings have none; equal ones where nothing else is left."""
    held = [weight if one else 0.0 for one, weight in zip(scaled, weights, strict=True)]
    if not any(held):
        held = [1.0 if one else 0.0 for one in scaled]
    total = fsum(held) or 1.0
    return held if isclose(total, 1.0) else [weight / total for weight in held]


def _merged(
    rankings: Sequence[Sequence[Hit]],
    shares: Sequence[Mapping[str, float]],
    top_k: int,
    *,
    ties: Sequence[Mapping[str, float]] = (),
) -> list[Hit]:
    """The hits by the sum of their shares, one mapping from chunk id to share for each ranking; ties by the sum of `ties`."""
    if top_k < 1:
        raise ValueError(f"top_k must be positive, got {top_k}")
    chunks: dict[str, Chunk] = {hit.chunk.id: hit.chunk for ranking in rankings for hit in ranking}
    scores, then = _sums(shares), _sums(ties)
    best = sorted(scores, key=lambda name: (-scores[name], -then.get(name, 0.0), name))[:top_k]
    return [Hit(chunks[name], scores[name], rank, "fused") for rank, name in enumerate(best, start=1)]


def _sums(shares: Sequence[Mapping[str, float]]) -> dict[str, float]:
    parts: dict[str, list[float]] = defaultdict(list)
    for one in shares:
        for name, share in one.items():
            parts[name].append(share)
    # fsum rounds once, so equal shares make equal scores in whatever order they are added.
    return {name: fsum(each) for name, each in parts.items()}
