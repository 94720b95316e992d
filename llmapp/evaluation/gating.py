"""Measures what a gate looks at: searches always, answers where they are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from llmapp.errors import EvaluationError
from llmapp.evaluation.answers import evaluate_answers
from llmapp.evaluation.baselines import Baseline, check_same_data, make_baseline
from llmapp.evaluation.measures import MAIN
from llmapp.evaluation.questions import Dataset
from llmapp.evaluation.retrieval import DEPTH, evaluate_retrieval

if TYPE_CHECKING:
    from llmapp.application import App
    from llmapp.evaluation.answers import AnswerReport
    from llmapp.evaluation.retrieval import RetrievalReport
    from llmapp.protocols import Progress

SEARCH_MEASURES = (MAIN, "MRR@10", "recall@10")
ANSWER_MEASURES = ("contains", "citation precision", "citation recall", "answered", "refused")
TOLERANCE = 0.01
"""Of means that are shares: one point."""


class Wanted(NamedTuple):
    """What a gate measures beside searches, and lets pass."""

    answers: bool
    tolerance: float


def plan(stored: Baseline | None, *, with_answers: bool | None = None, tolerance: float | None = None) -> Wanted:
    """What to measure: what is told, else what the baseline holds, so that writing it anew narrows nothing in silence.

    Args:
        stored: The baseline as it stands; None where there is none yet.
        with_answers: Whether a model is asked; None goes by the baseline.
        tolerance: What a later mean may be lower by; None goes by the baseline.
    """
    if with_answers is None:
        with_answers = stored is not None and any(stored.values.get(name) for name in ANSWER_MEASURES)
    if tolerance is None:
        tolerance = TOLERANCE if stored is None else stored.tolerance
    return Wanted(with_answers, tolerance)


def measure(
    app: App,
    dataset: Dataset,
    *,
    with_answers: bool,
    tolerance: float = TOLERANCE,
    depth: int = DEPTH,
    against: Baseline | None = None,
    ingesting: Progress | None = None,
    asking: Progress | None = None,
) -> Baseline:
    """Measure a data set as it would be kept as a baseline.

    Args:
        app: The application.
        dataset: The questions.
        with_answers: Whether to ask every question on the whole path too, which costs what the model costs.
        tolerance: What a later mean may be lower by.
        depth: Documents of a ranking.
        against: What it will be compared with; no model is asked where that will be refused.
        ingesting: Told of every document of a corpus that is taken in.
        asking: Told of every question.

    Raises:
        BaselineMismatchError: `against` is of other documents or questions.
        EvaluationError: A stage of a search was left out, or a question failed: the figures are not those of the settings.
        LLMAppError: As `evaluate_retrieval` and `evaluate_answers`.
    """
    searched = evaluate_retrieval(app, dataset, depth=depth, ingesting=ingesting, asking=asking)
    if against is not None:
        check_same_data(against, searched.fingerprints)
    _check_complete(searched)
    settings = dict(searched.settings)
    values = {name: searched.scores.by_question(name) for name in SEARCH_MEASURES}
    if with_answers:
        answered = evaluate_answers(app, dataset, ingesting=ingesting, asking=asking)
        _check_complete(answered)
        settings |= answered.settings
        values |= {name: answered.scores.by_question(name) for name in ANSWER_MEASURES if name in answered.scores.values}
    return make_baseline(dataset.name, searched.fingerprints, settings, values, tolerance=tolerance)


def _check_complete(report: RetrievalReport | AnswerReport) -> None:
    if report.incomplete:
        raise EvaluationError(
            "; ".join(report.incomplete), hint="see to that and run the gate again: it has compared nothing"
        )
