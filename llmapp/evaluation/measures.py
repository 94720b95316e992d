"""Measures of rankings. The one door to ir-measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmapp.errors import MissingDependencyError
from llmapp.evaluation.scores import Scores, gather

MAIN = "nDCG@10"
"""The measure that a ranking is called good or bad by."""
HEADLINES = (MAIN, "MRR@10", "MAP@100", "recall@10", "recall@100")
"""Those that a table shows."""
RECALL_AT = (1, 3, 5, 10, 20, 50, 100)
"""Depths of the curve of recall."""


def score_rankings(relevant: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Sequence[str]]) -> Scores:
    """Score rankings against judgements with trec_eval's own code.

    Args:
        relevant: By question, the grade of everything relevant, from 1; each question has at least one.
        rankings: By question, what was found, best first, each item once. One that is missing counts as found nothing.

    Returns:
        By question in the order of `relevant`: nDCG@10 (Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR
        techniques", 2002), recall at `RECALL_AT`, MRR@10 (reciprocal rank of the first relevant) and MAP@100.

    Raises:
        MissingDependencyError: ir-measures is not installed.
    """
    try:
        import ir_measures
        from ir_measures import AP, RR, Qrel, R, ScoredDoc, nDCG
    except ImportError as error:
        raise MissingDependencyError("ir_measures", extra="eval") from error
    measures: dict[str, Any] = {MAIN: nDCG @ 10, "MRR@10": RR @ 10, "MAP@100": AP @ 100}
    measures |= {f"recall@{depth}": R @ depth for depth in RECALL_AT}
    names = {measure: name for name, measure in measures.items()}
    judged = [Qrel(question, item, grade) for question, items in relevant.items() for item, grade in items.items()]
    # Scores are ranks counted down: trec_eval sorts by score, and equal ones by name.
    found = [
        ScoredDoc(question, item, float(-rank))
        for question, items in rankings.items()
        for rank, item in enumerate(items, start=1)
    ]
    rows: dict[str, dict[str, float | None]] = {question: dict.fromkeys(measures, 0.0) for question in relevant}
    for metric in ir_measures.iter_calc(list(measures.values()), judged, found):
        rows[metric.query_id][names[metric.measure]] = metric.value
    return gather(list(rows), list(rows.values()))
