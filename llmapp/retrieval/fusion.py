"""Merges rankings whose scores cannot be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from math import fsum

from llmapp.types import Chunk, Hit


def fuse(rankings: Sequence[Sequence[Hit]], *, k: int = 60, top_k: int = 10) -> list[Hit]:
    """Merge several rankings into one by reciprocal rank.

    A chunk's score is the sum of 1 / (k + rank) over the rankings that hold it, at its best rank in each.

    Args:
        rankings: One list of hits for each retriever, best first; a hit's place in the list is its rank.
        k: How much the first ranks are flattened; larger flattens more. Unitless, positive.
        top_k: Most hits to return.

    Returns:
        Best first, `rank` from 1, `retriever` ``fused``; ties by chunk id.

    Raises:
        ValueError: `k` or `top_k` is not positive.

    Source:
        Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
        methods", SIGIR 2009; k = 60 is theirs.

    Example:
        >>> fuse([[], []])
        []
    """
    if k < 1 or top_k < 1:
        raise ValueError(f"k and top_k must be positive, got {k} and {top_k}")
    shares: dict[str, list[float]] = defaultdict(list)
    chunks: dict[str, Chunk] = {}
    for ranking in rankings:
        distinct = {hit.chunk.id: hit.chunk for hit in ranking}
        chunks |= distinct
        for rank, chunk_id in enumerate(distinct, start=1):
            shares[chunk_id].append(1 / (k + rank))
    # fsum rounds once, so equal shares make equal scores in whatever order they are added.
    scores = {chunk_id: fsum(parts) for chunk_id, parts in shares.items()}
    best = sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))[:top_k]
    return [Hit(chunks[chunk_id], scores[chunk_id], rank, "fused") for rank, chunk_id in enumerate(best, start=1)]


def drop_repeats(hits: Sequence[Hit], *, top_k: int) -> list[Hit]:
    """The first `top_k` hits whose text no earlier hit has, in order, ranks from 1 again."""
    first = {hit.chunk.text: hit for hit in reversed(hits)}
    kept = [hit for hit in hits if first[hit.chunk.text] is hit][:top_k]
    return [replace(hit, rank=rank) for rank, hit in enumerate(kept, start=1)]
