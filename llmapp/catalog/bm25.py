"""BM25 over postings: which chunks have the highest score, and what it is. Pure; the postings are the caller's.

score = sum over the terms of idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / mean length)), with
idf = ln(1 + (n - df + .5) / (df + .5)), as in Robertson and Zaragoza, "The Probabilistic Relevance Framework" (2009), section
3, and the idf of Lucene, which is never negative. tf and length are weighted by field (section 3.6). n, df and the mean length are
those of the chunks that the asker may read: so no score tells of others, and it is the one that an index of these alone has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Bm25:
    """The two parameters."""

    k1: float = 1.2
    """From which number of occurrences on a further one counts little, from 0 (only whether a term occurs)."""
    b: float = 0.4
    """How much a long text must repeat a term, from 0 (not at all) to 1 (in proportion)."""


@dataclass(frozen=True, slots=True)
class Visible:
    """The chunks that the asker may read, among all slots."""

    mask: NDArray[np.bool_]
    """Shape (slots,)."""
    lengths: NDArray[np.uint32]
    """Of all slots, in halves of a word. Shape (slots,)."""
    count: int
    """Chunks that may be read."""
    mean_length: float
    """Of these, in halves of a word."""


@dataclass(frozen=True, slots=True)
class TermPostings:
    """Where a term occurs."""

    slots: NDArray[np.int64]
    """All different. Shape (n,)."""
    freqs: NDArray[np.uint16]
    """Weighted occurrences, in halves. Shape (n,)."""


def best(
    terms: Sequence[TermPostings],
    visible: Visible,
    *,
    parameters: Bm25,
    top_k: int,
    within: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The slots with the highest scores, and all that have the score of the last of them.

    Args:
        terms: Of the question.
        visible: What may be read.
        parameters: k1 and b.
        top_k: Slots wanted, at least 1.
        within: Slots that may be found; what counts as rare is still decided by all that may be read. None is all. Shape (slots,).

    Returns:
        Slots and scores, in no order; both of shape (n,).
    """
    scores = np.zeros(len(visible.mask))
    seen = [term for term in (_seen(term, visible) for term in terms) if len(term.slots)]
    for term in sorted(seen, key=lambda term: len(term.slots)):
        kept = slice(None) if within is None else within[term.slots]
        slots, tf = term.slots[kept], term.freqs[kept] / 2
        norm = parameters.k1 * (1 - parameters.b + parameters.b / visible.mean_length * visible.lengths[slots])
        scores[slots] += _idf(len(term.slots), visible.count) * (parameters.k1 + 1) * (tf / (tf + norm))
    found = np.flatnonzero(scores)
    values = scores[found]
    if len(found) > top_k:
        last = np.partition(values, -top_k)[-top_k]
        found = found[values >= last]
    return found, scores[found]


def _seen(term: TermPostings, visible: Visible) -> TermPostings:
    kept = visible.mask[term.slots]
    return TermPostings(term.slots[kept], term.freqs[kept])


def _idf(df: int, count: int) -> float:
    return math.log(1 + (count - df + 0.5) / (df + 0.5))
