"""Measures what a gate looks at: searches always, answers where they are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmapp.evaluation.answers import evaluate_answers
from llmapp.evaluation.baselines import Baseline, make_baseline
from llmapp.evaluation.measures import MAIN
from llmapp.evaluation.questions import Dataset
from llmapp.evaluation.retrieval import DEPTH, evaluate_retrieval

if TYPE_CHECKING:
    from llmapp.application import App
    from llmapp.protocols import Progress

SEARCH_MEASURES = (MAIN, "MRR@10", "recall@10")
ANSWER_MEASURES = ("contains", "citation precision", "citation recall", "answered", "refused")
TOLERANCE = 0.01
"""Of means that are shares: one point."""


def measure(
    app: App,
    dataset: Dataset,
    *,
    with_answers: bool,
    tolerance: float = TOLERANCE,
    depth: int = DEPTH,
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
        ingesting: Told of every document of a corpus that is taken in.
        asking: Told of every question.

    Raises:
        LLMAppError: As `evaluate_retrieval` and `evaluate_answers`.
    """
    searched = evaluate_retrieval(app, dataset, depth=depth, ingesting=ingesting, asking=asking)
    settings = dict(searched.settings)
    values = {name: searched.scores.by_question(name) for name in SEARCH_MEASURES}
    if with_answers:
        answered = evaluate_answers(app, dataset, ingesting=ingesting, asking=asking)
        settings |= answered.settings
        values |= {name: answered.scores.by_question(name) for name in ANSWER_MEASURES if name in answered.scores.values}
    return make_baseline(dataset.name, searched.fingerprints, settings, values, tolerance=tolerance)
