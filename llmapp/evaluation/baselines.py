"""A stored measurement that later ones are compared with: a JSON file that belongs into version control."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from llmapp.errors import BaselineMismatchError, EvaluationError
from llmapp.evaluation.files import write_file
from llmapp.evaluation.statistics import Comparison, Interval, compare, interval_of_mean

SURE = 0.05
"""A drop with a smaller p is more than chance."""
_DIGITS = 6


class Baseline(BaseModel):
    """Figures of every question, and of what they were measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(default=1, ge=1, le=1)
    """Of the file's form."""
    dataset: str
    fingerprints: dict[str, str]
    """Of ``corpus`` and ``questions``; a comparison needs the same ones."""
    settings: dict[str, JsonValue]
    """In force when it was measured. They may differ: that is what a gate is for."""
    tolerance: float = Field(ge=0, le=1)
    """A mean may drop by so much."""
    measures: dict[str, dict[str, float]]
    """Mean, interval and number of questions by measure; for readers, the values below are what counts."""
    values: dict[str, dict[str, float]]
    """By measure, by question."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One measure, compared with the baseline."""

    comparison: Comparison
    drop: str
    """Why it counts as dropped: ``significant``, ``over tolerance``; empty when it did not drop."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A question that is worse than in the baseline."""

    question: str
    """Its id."""
    measure: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Gate:
    """What a comparison with a baseline has found."""

    verdicts: Mapping[str, Verdict]
    worse: tuple[Changed, ...]
    """Losses question by question, the largest first."""
    changed_settings: Mapping[str, tuple[JsonValue, JsonValue]]
    """Before and after, by key."""

    @property
    def has_dropped(self) -> bool:
        """Whether any measure counts as dropped."""
        return any(verdict.drop for verdict in self.verdicts.values())


def make_baseline(
    dataset: str,
    fingerprints: Mapping[str, str],
    settings: Mapping[str, JsonValue],
    values: Mapping[str, Mapping[str, float]],
    *,
    tolerance: float,
) -> Baseline:
    """Put a baseline together from the values of every question, by measure and by the question's id."""
    intervals = {measure: interval_of_mean(list(each.values())) for measure, each in values.items() if each}
    return Baseline(
        dataset=dataset,
        fingerprints=dict(fingerprints),
        settings=dict(settings),
        tolerance=tolerance,
        measures={measure: _rounded(interval) for measure, interval in intervals.items()},
        values={measure: {name: round(value, _DIGITS) for name, value in each.items()} for measure, each in values.items()},
    )


def read_baseline(file: Path) -> Baseline:
    """Read a baseline.

    Raises:
        EvaluationError: There is none, or the file is broken.
    """
    try:
        return Baseline.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EvaluationError(f"there is no baseline {file}", hint="llmapp eval gate … --update writes it") from None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise EvaluationError(
            f"{file} is no baseline: {first}",
            hint="restore it, or delete it and write it anew with llmapp eval gate … --update",
        ) from error


def write_baseline(file: Path, baseline: Baseline) -> None:
    """Write a baseline, a line a measure and a question, so that a change of it can be read.

    Raises:
        EvaluationError: The file cannot be written.
    """
    write_file(file, json.dumps(baseline.model_dump(), indent=1, ensure_ascii=False) + "\n")


def check_same_data(baseline: Baseline, fingerprints: Mapping[str, str]) -> None:
    """See that a measurement with these fingerprints may be compared.

    Raises:
        BaselineMismatchError: The documents or the questions are other ones.
    """
    for part, words in (("corpus", "documents"), ("questions", "questions or what is expected of them")):
        if baseline.fingerprints.get(part) != fingerprints.get(part):
            raise BaselineMismatchError(
                f"the {words} are not those of the baseline",
                hint="if the change is meant, look at the figures and write the baseline anew with --update",
            )


def judge(baseline: Baseline, now: Baseline) -> Gate:
    """Compare two measurements.

    A measure counts as dropped when its mean is lower by more than the baseline's tolerance, or is lower at all and the
    paired test says that this is more than chance.

    Raises:
        BaselineMismatchError: The documents or the questions are other ones.
        EvaluationError: The new one lacks a measure that the baseline has.
    """
    check_same_data(baseline, now.fingerprints)
    held = {measure: before for measure, before in baseline.values.items() if before}
    lacking = [measure for measure, before in held.items() if not before.keys() & now.values.get(measure, {}).keys()]
    if lacking:
        raise EvaluationError(
            f"the baseline has {', '.join(lacking)}, this run has not",
            hint="measure what the baseline holds, or write it anew with --update",
        )
    verdicts = {measure: _verdict(before, now.values[measure], baseline.tolerance) for measure, before in held.items()}
    keys = dict.fromkeys([*baseline.settings, *now.settings])
    return Gate(
        verdicts=verdicts,
        worse=tuple(sorted(_losses(baseline, now), key=lambda each: (each.after - each.before, each.question))),
        changed_settings={
            key: (baseline.settings.get(key), now.settings.get(key))
            for key in keys
            if baseline.settings.get(key) != now.settings.get(key)
        },
    )


def _verdict(before: Mapping[str, float], after: Mapping[str, float], tolerance: float) -> Verdict:
    common = [name for name in before if name in after]
    comparison = compare([before[name] for name in common], [after[name] for name in common])
    if comparison.difference < -tolerance - 10**-_DIGITS:
        return Verdict(comparison, "over tolerance")
    return Verdict(comparison, "significant" if comparison.difference < 0 and comparison.p < SURE else "")


def _losses(baseline: Baseline, now: Baseline) -> list[Changed]:
    return [
        Changed(name, measure, value, now.values[measure][name])
        for measure, values in baseline.values.items()
        for name, value in values.items()
        if now.values.get(measure, {}).get(name, value) < value
    ]


def _rounded(interval: Interval) -> dict[str, float]:
    figures = {"mean": interval.mean, "low": interval.low, "high": interval.high, "count": interval.count}
    return {name: round(value, _DIGITS) for name, value in figures.items()}
