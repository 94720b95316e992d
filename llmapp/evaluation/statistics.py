"""How sure a mean is, and whether two settings differ: resampling, seeded, so that the same figures come out each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_SEED = 20
_RESAMPLES = 4_000
_PERMUTATIONS = 10_000
_BLOCK_CELLS = 2_000_000
"""Random numbers drawn at once: 16 MB."""
_LOW, _HIGH = 2.5, 97.5
_EQUAL = 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % confidence interval."""

    mean: float
    low: float
    high: float
    count: int
    """Questions that it is the mean of."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure under two settings, over the same questions."""

    before: float
    after: float
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    p: float
    """Two-sided; probability of a difference this large if the settings were the same."""
    better: int
    """Questions that gain."""
    worse: int
    """Questions that lose."""
    count: int

    @property
    def difference(self) -> float:
        """After less before."""
        return self.after - self.before


def interval_of_mean(values: Sequence[float] | Floats) -> Interval:
    """Mean of `values` and its 95 % interval by the percentile bootstrap over questions.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; for retrieval measures Sakai,
    "Evaluating evaluation metrics based on the bootstrap", SIGIR 2006. For shares near 0 or 1 of few questions it is narrow.

    Raises:
        ValueError: There is no value.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample):
        raise ValueError("no values")
    random = np.random.default_rng(_SEED)
    means = np.concatenate(
        [
            sample[random.integers(0, len(sample), (rows, len(sample)))].mean(axis=1)
            for rows in _blocks(_RESAMPLES, len(sample))
        ]
    )
    low, high = np.percentile(means, [_LOW, _HIGH])
    return Interval(float(sample.mean()), float(low), float(high), len(sample))


def compare(before: Sequence[float] | Floats, after: Sequence[float] | Floats) -> Comparison:
    """Two settings on the same questions, aligned.

    Raises:
        ValueError: They are not of one length, or empty.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError("the two are not of the same questions")
    differences = second - first
    differences[np.abs(differences) < _EQUAL] = 0.0
    interval = interval_of_mean(differences)
    return Comparison(
        before=float(first.mean()),
        after=float(second.mean()),
        low=interval.low,
        high=interval.high,
        p=paired_p(differences),
        better=int((differences > 0).sum()),
        worse=int((differences < 0).sum()),
        count=len(differences),
    )


def paired_p(differences: Floats) -> float:
    """Two-sided p of the paired randomisation test: the sign of each question's difference is flipped at random.

    It asks nothing of the distribution, and agrees with the t-test and the bootstrap on retrieval measures, where the sign
    test and Wilcoxon's do not: Smucker, Allan and Carterette, "A comparison of statistical significance tests for
    information retrieval evaluation", CIKM 2007. The observed labelling counts as one of the permutations, so p is never 0:
    Phipson and Smyth, "Permutation p-values should never be zero", 2010.

    Args:
        differences: Second setting less first, one a question. Shape (n,).
    """
    changed = differences[differences != 0]
    if not len(changed):
        return 1.0
    random = np.random.default_rng(_SEED)
    observed = abs(changed.sum()) - _EQUAL * len(changed)
    as_large = sum(
        int((np.abs(random.choice([-1.0, 1.0], (rows, len(changed))) @ changed) >= observed).sum())
        for rows in _blocks(_PERMUTATIONS, len(changed))
    )
    return (1 + as_large) / (1 + _PERMUTATIONS)


def _blocks(rows: int, width: int) -> Iterator[int]:
    """Numbers of rows that add up to `rows` and are not too large to draw at once."""
    size = max(1, _BLOCK_CELLS // width)
    while rows > 0:
        yield min(size, rows)
        rows -= size
