"""BM25 over postings: which chunks have the highest score, and what it is. Pure; the postings are the caller's.

score = sum over the terms of idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / mean length)), with
idf = ln(1 + (n - df + .5) / (df + .5)), as in Robertson and Zaragoza, "The Probabilistic Relevance Framework" (2009), section
3, and the idf of Lucene, which is never negative. tf and length are weighted by field (section 3.6). n, df and the mean length are
those of the chunks that the asker may read: so no score tells of others, and it is the one that an index of these alone has.

Rare terms are scored first. Once what all later ones could add at most is less than what the last of the best already has,
only chunks that can still be among the best are looked up in the rest (MaxScore: Turtle and Flood, "Query evaluation:
strategies and optimizations", 1995). What is found is the same; of 500,000 chunks it takes less than half the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

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

    slots: NDArray[np.uint32]
    """Ascending. Shape (n,)."""
    freqs: NDArray[np.uint16]
    """Weighted occurrences, in halves. Shape (n,)."""


def best(
    terms: Sequence[TermPostings],
    visible: Visible,
    *,
    parameters: Bm25,
    top_k: int,
    within: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
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
    weighted = _rarest_first(terms, visible, parameters)
    scores = np.zeros(len(visible.mask))
    candidates = np.zeros(0, dtype=np.uint32)
    is_closed = False
    for term, earlier, later in zip(weighted, *_bounds(weighted), strict=True):
        slots, tf = term.among(candidates) if is_closed else term.within(within)
        before = scores[slots]
        scores[slots] = before + term.weight * (tf / (tf + _norms(slots, visible, parameters)))
        if not is_closed:
            candidates = np.concatenate([candidates, slots[before == 0]])
        if earlier > later:
            sums = scores[candidates]
            least = _least_of_best(sums, top_k)
            if least > later:
                candidates = candidates[sums + later >= least]
                is_closed = True
    return candidates, scores[candidates]


@dataclass(frozen=True, slots=True)
class _Weighted:
    """A term with what it is worth; its chunks are those that may be read."""

    slots: NDArray[np.uint32]
    """Ascending. Shape (n,)."""
    freqs: NDArray[np.uint16]
    weight: float
    """What it adds to a score is this times tf / (tf + norm)."""
    most: float
    """No score gains more by it."""

    def within(self, mask: NDArray[np.bool_] | None) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
        """Slots and occurrences in a mask; None is all."""
        kept = slice(None) if mask is None else mask[self.slots]
        return self.slots[kept], self.freqs[kept] / 2

    def among(self, wanted: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
        """Slots and occurrences in some chunks."""
        places = np.searchsorted(self.slots, wanted)
        places[places == len(self.slots)] = 0
        is_there = self.slots[places] == wanted
        return wanted[is_there], self.freqs[places[is_there]] / 2


def _rarest_first(terms: Sequence[TermPostings], visible: Visible, parameters: Bm25) -> list[_Weighted]:
    weighted = [_weighted(term, visible, parameters) for term in terms if len(term.slots)]
    return sorted((term for term in weighted if len(term.slots)), key=lambda term: len(term.slots))


def _weighted(term: TermPostings, visible: Visible, parameters: Bm25) -> _Weighted:
    slots, freqs = term.slots, term.freqs
    if visible.count < len(visible.mask):
        kept = visible.mask[slots]
        slots, freqs = slots[kept], freqs[kept]
    weight = _idf(len(slots), visible.count) * (parameters.k1 + 1)
    most_tf = float(freqs.max(initial=1)) / 2
    return _Weighted(slots, freqs, weight, most=weight * most_tf / (most_tf + parameters.k1 * (1 - parameters.b)))


def _bounds(weighted: Sequence[_Weighted]) -> tuple[list[float], list[float]]:
    """Of each term: what those up to it can give a score at most, and what those behind it can; in sums that err upwards."""
    most = [term.most * (1 + 1e-9) for term in weighted]
    earlier = list(accumulate(most))
    later = list(accumulate(reversed(most), initial=0.0))[-2::-1]
    return earlier, later


def _norms(slots: NDArray[np.uint32], visible: Visible, parameters: Bm25) -> NDArray[np.float64]:
    k1, b = parameters.k1, parameters.b
    lengths = visible.lengths[slots].astype(np.float64)
    return k1 * (1 - b) + k1 * b / visible.mean_length * lengths


def _least_of_best(scores: NDArray[np.float64], top_k: int) -> float:
    """The score of the last of the best; below all where there are no more than these."""
    return float(np.partition(scores, -top_k)[-top_k]) if len(scores) > top_k else -math.inf


def _idf(df: int, count: int) -> float:
    return math.log(1 + (count - df + 0.5) / (df + 0.5))
