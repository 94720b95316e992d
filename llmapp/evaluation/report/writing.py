"""What stands in a report: of searches, and of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

import numpy as np

from llmapp.evaluation.measures import HEADLINES, MAIN, RECALL_AT
from llmapp.evaluation.report.plots import curve, histogram, whisker
from llmapp.pages import el, page, table

if TYPE_CHECKING:
    from pydantic import JsonValue

    from llmapp.evaluation.answers import AnswerReport, Asked
    from llmapp.evaluation.retrieval import Ranking, RetrievalReport
    from llmapp.evaluation.scores import Scores
    from llmapp.evaluation.statistics import Comparison

_WORST = 20
_SURE = 0.05
_ON_THE_CURVE = {f"recall@{depth}" for depth in RECALL_AT} - set(HEADLINES)


def retrieval_page(report: RetrievalReport, other: RetrievalReport | None = None) -> str:
    """A report of searches; with `other`, of two settings."""
    milliseconds = [1e3 * ranking.seconds for ranking in report.rankings]
    plots = [
        histogram(f"{MAIN} of the questions", report.scores.of(MAIN).tolist(), most=1.0, label=lambda value: f"{value:.1f}"),
        curve("recall by depth", report.curve()),
        histogram("milliseconds of a search", milliseconds, most=_scale(milliseconds), label=lambda value: f"{value:g}"),
    ]
    said = f"{len(report.rankings):,} questions over {report.documents:,} documents in {report.chunks:,} chunks"
    sections = [
        *_head(report.dataset, said, (*report.warnings, *report.incomplete)),
        _measures(report.scores),
        el("div", *plots, class_="row"),
    ]
    if other is not None:
        sections += [el("h2", "Against the other setting"), _compared(report.scores.against(other.scores))]
        sections.append(_settings(report.settings, other.settings))
    worst = [_ranking(ranking, value) for ranking, value in report.worst(_WORST)]
    sections += [el("h2", "Found worst"), *worst] if worst else [el("h2", "Every question found all that it should")]
    return page(f"{report.dataset}: searches", *sections, el("h2", "Settings"), _settings(report.settings))


def answers_page(report: AnswerReport) -> str:
    """A report of answers."""
    refusing = report.abstention
    matrix = table(
        ["", "answered", "refused"],
        [
            [
                "can be answered",
                el("b", f"{refusing.answered:,}", class_="good"),
                el("b", f"{refusing.wrongly_refused:,}", class_="bad"),
            ],
            [
                "cannot be answered",
                el("b", f"{refusing.wrongly_answered:,}", class_="bad"),
                el("b", f"{refusing.refused:,}", class_="good"),
            ],
        ],
        numbers=frozenset({1, 2}),
    )
    figures = {"precision": refusing.precision, "recall": refusing.recall, "F1": refusing.f1}
    known = ", ".join(f"{name} {value:.3f}" for name, value in figures.items() if value is not None)
    seconds = [each.seconds for each in report.asked if each.answer]
    costs = [1e3 * answer.cost_usd for answer in report.answers]
    plots = [
        el(
            "figure",
            el("figcaption", "Answered and refused"),
            matrix,
            el("p", f"of refusing: {known}" if known else "nothing was refused"),
        ),
        histogram("seconds of an answer", seconds, most=_scale(seconds), label=lambda value: f"{value:g}"),
    ]
    if any(costs):
        plots.append(
            histogram("thousandths of a dollar an answer", costs, most=_scale(costs), label=lambda value: f"{value:g}")
        )
    usage = report.usage
    said = (
        f"{len(report.asked):,} questions asked of {report.settings['model']}: ${report.cost_usd:.6f}, "
        f"{usage.input_tokens:,} tokens read, {usage.output_tokens:,} written"
    )
    sections = [
        *_head(report.dataset, said, (*report.warnings, *report.incomplete)),
        _measures(report.scores),
        el("div", *plots, class_="row"),
    ]
    worst = [_answer(each) for each in _wrong(report)[:_WORST]]
    sections += [el("h2", "Answered worst"), *worst] if worst else []
    return page(f"{report.dataset}: answers", *sections, el("h2", "Settings"), _settings(report.settings))


def _head(title: str, said: str, warnings: Sequence[str]) -> list[Element]:
    return [el("h1", title), el("p", said), *(el("p", warning, class_="warn") for warning in warnings)]


def _measures(scores: Scores) -> Element:
    rows: list[list[Element | str]] = [
        [name, f"{each.mean:.4f}", whisker(each), f"{each.low:.3f} – {each.high:.3f}", f"{each.count:,}"]
        for name, each in scores.intervals().items()
        if name not in _ON_THE_CURVE
    ]
    return table(["measure", "mean", "", "95 % interval", "questions"], rows, numbers=frozenset({1, 3, 4}))


def _compared(compared: Mapping[str, Comparison]) -> Element:
    rows: list[list[Element | str]] = []
    for name, each in compared.items():
        if name in _ON_THE_CURVE:
            continue
        kind = "soft" if each.p >= _SURE else "good" if each.difference > 0 else "bad"
        change = el("b", f"{each.difference:+.4f}", class_=kind)
        rows.append(
            [name, f"{each.before:.4f}", f"{each.after:.4f}", change, f"{each.p:.4f}", f"{each.better:,}", f"{each.worse:,}"]
        )
    return table(["measure", "first", "second", "change", "p", "better", "worse"], rows, numbers=frozenset(range(1, 7)))


def _settings(settings: Mapping[str, JsonValue], other: Mapping[str, JsonValue] | None = None) -> Element:
    if other is None:
        return table(["setting", "value"], [[key, str(value)] for key, value in settings.items()])
    changed = [[key, str(value), str(other.get(key))] for key, value in settings.items() if value != other.get(key)]
    return table(["setting", "first", "second"], [list(row) for row in changed])


def _ranking(ranking: Ranking, value: float) -> Element:
    found = [
        el(
            "li",
            el("b", each.title, class_="good" if each.is_expected else "soft"),
            f" {each.name} ",
            el("span", each.text, class_="soft"),
        )
        for each in ranking.found
    ]
    expected = el("p", f"expected {', '.join(ranking.expected)}")
    return el(
        "article",
        el("h3", f"{value:.2f}  {ranking.question.text}"),
        expected,
        el("ol", *found) if found else el("p", "nothing was found"),
    )


def _answer(each: Asked) -> Element:
    question = each.question
    expected = (
        "to be refused"
        if question.unanswerable
        else " or ".join(question.answers or question.quotes or tuple(question.documents))
    )
    said = each.answer.text if each.answer else each.error
    cited = [
        el("li", el("b", citation.title), f" {citation.quote}")
        for citation in (each.answer.citations if each.answer else ())
    ]
    return el(
        "article", el("h3", question.text), el("p", f"expected {expected}"), el("div", said), el("ol", *cited, class_="soft")
    )


def _wrong(report: AnswerReport) -> list[Asked]:
    """What failed, was refused or answered wrongly, or lacks the expected answer or citation."""
    names = [name for name in ("answered", "refused", "contains", "citation recall") if name in report.scores.values]
    worst = [
        min((report.scores.by_question(name).get(each.question.id, 1.0) for name in names), default=1.0)
        for each in report.asked
    ]
    return [each for each, value in zip(report.asked, worst, strict=True) if value < 1.0 or each.answer is None]


def _scale(values: Sequence[float]) -> float:
    """A round end of a scale that a few slow ones do not stretch: they are in the last bin."""
    return _round_up(float(np.percentile(values, 97)))


def _round_up(value: float) -> float:
    """The next of 1, 2 and 5 times a power of ten that is not smaller; 1 for 0."""
    size = 1e-9
    while value > 0:
        for factor in (1, 2, 5):
            if size * factor >= value:
                return float(f"{size * factor:g}")
        size *= 10
    return 1.0
