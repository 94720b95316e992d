"""Figures by question: what every measure says of every question, and what follows for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmapp.evaluation.statistics import Comparison, Interval, compare, interval_of_mean


@dataclass(frozen=True, slots=True)
class Scores:
    """Values of several measures for the same questions."""

    questions: tuple[str, ...]
    """Ids, in the order of the data set."""
    values: Mapping[str, NDArray[np.float64]]
    """By measure, each of shape (len(questions),); NaN where the measure says nothing of a question."""

    def of(self, measure: str) -> NDArray[np.float64]:
        """The values of one measure where it has one. Shape (n,), n at most the number of questions."""
        values = self.values[measure]
        return values[~np.isnan(values)]

    def intervals(self) -> dict[str, Interval]:
        """Mean and confidence interval of every measure that has a value."""
        return {measure: interval_of_mean(values) for measure in self.values if len(values := self.of(measure))}

    def against(self, other: Scores) -> dict[str, Comparison]:
        """What `other` has more than these, by measure, over the questions that both have a value for."""
        compared = {}
        for measure in (name for name in self.values if name in other.values):
            mine, theirs = self.by_question(measure), other.by_question(measure)
            common = [question for question in mine if question in theirs]
            if common:
                compared[measure] = compare([mine[each] for each in common], [theirs[each] for each in common])
        return compared

    def by_question(self, measure: str) -> dict[str, float]:
        """The values of one measure by the question's id, where it has one."""
        return {
            question: float(value)
            for question, value in zip(self.questions, self.values[measure], strict=True)
            if not np.isnan(value)
        }

    def at(self, number: int) -> dict[str, float]:
        """The values of the question at that place, by measure, where it has one."""
        return {measure: float(each[number]) for measure, each in self.values.items() if not np.isnan(each[number])}


def gather(questions: Sequence[str], rows: Sequence[Mapping[str, float | None]]) -> Scores:
    """Put together what was measured question by question; None and what a row lacks become NaN.

    Args:
        questions: Ids.
        rows: Values by measure, aligned with `questions`.
    """
    measures = dict.fromkeys(measure for row in rows for measure in row)
    return Scores(
        tuple(questions),
        {measure: np.array([_number(row.get(measure)) for row in rows], dtype=np.float64) for measure in measures},
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
