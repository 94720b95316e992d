"""Answers are scored on the whole path: with its guard, its citations and its refusals."""

import json
from dataclasses import replace

import pytest

from llmapp.application import App
from llmapp.config import PriceSettings
from llmapp.errors import DatasetError, ModelTimeoutError, UnknownPriceError
from llmapp.evaluation.answers import evaluate_answers
from llmapp.evaluation.datasets import load_dataset
from llmapp.evaluation.expense import paid_calls, worst_cost_usd
from llmapp.evaluation.questions import Dataset, Question
from llmapp.frames import REFUSAL
from llmapp.testing.fakes import HashEmbedder, ScriptedChatModel

WATER = Question("water", "When is water damage reported?", documents={"water.md": 1}, answers=("seven days",))
VET = Question("vet", "Who pays the vet?", unanswerable=True)


@pytest.fixture
def scripted(app):
    """An application over the same documents whose model says what a test wants; its price is known."""
    opened = []

    def with_answers(*answers, **changes):
        model = ScriptedChatModel(answers=list(answers))
        name = App(app.settings, model=model).model_name
        prices = {**app.settings.prices, name: PriceSettings(input_usd_per_million=1, output_usd_per_million=10)}
        settings = app.settings.model_copy(update={"prices": prices, **changes})
        opened.append(App(settings, model=model, embedder=HashEmbedder(dim=256)))
        return opened[-1]

    yield with_answers
    for each in opened:
        each.close()


def report_on(app, *questions, **options):
    return evaluate_answers(app, Dataset("own", questions), **options)


def first(report, measure):
    return float(report.scores.values[measure][0])


def test_an_answer_that_cites_the_right_document_scores_on_every_measure(scripted):
    report = report_on(scripted("It is seven days [1]."), WATER)
    assert {name: first(report, name) for name in ("contains", "citation precision", "citation recall", "answered")} == {
        "contains": 1.0,
        "citation precision": 1.0,
        "citation recall": 1.0,
        "answered": 1.0,
    }
    assert first(report, "F1") == pytest.approx(2 * 2 / (4 + 2))
    assert report.cost_usd == pytest.approx((100 * 1 + 20 * 10) / 1e6)
    assert (report.usage.input_tokens, report.usage.output_tokens) == (100, 20)


def test_as_json_a_report_has_every_question(scripted):
    report = report_on(scripted("It is seven days [1].", REFUSAL), WATER, VET)
    water, vet = json.loads(json.dumps(report.shape()))["by_question"]
    assert (water["question"], water["answer"], water["expected"]) == (WATER.text, "It is seven days [1].", ["seven days"])
    assert (water["measures"]["contains"], water["cited"][0].endswith("water.md")) == (1.0, True)
    assert vet["measures"] == {"refused": 1.0}


def test_a_citation_of_another_document_costs_precision_and_one_that_lacks_costs_recall(scripted):
    both = Question("both", WATER.text, documents={"water.md": 1, "gone.md": 1}, answers=("seven days",))
    report = report_on(scripted("Seven days [1] and a bicycle [2]."), both)
    assert first(report, "citation precision") == 0.5
    assert first(report, "citation recall") == 0.5
    assert "gone.md" in report.warnings[0]


def test_a_quote_that_no_document_holds_is_said_of_answers_too(scripted):
    held = Question("held", WATER.text, quotes=("seven days",))
    nowhere = Question("nowhere", WATER.text, quotes=("eight days",))
    (said,) = report_on(scripted("Seven days [1]."), held, nowhere).warnings
    assert said == f"1 expected quotes stand in no chunk that is searched for their question: “eight days” of “{WATER.text}”"


def test_a_question_that_cannot_be_asked_is_named_whether_or_not_others_can(scripted):
    wrong = replace(WATER, id="wrong", where="zz = 1")
    app = scripted("It is seven days [1].")
    (failure,) = report_on(app, WATER, wrong).failures
    assert failure.error.startswith(f"question wrong, “{WATER.text}”: no document has a field zz")
    with pytest.raises(DatasetError, match="question wrong"):
        report_on(app, wrong)


def test_an_answer_without_citations_has_no_precision_and_no_recall(scripted):
    report = report_on(scripted("Seven days."), WATER)
    assert "citation precision" not in report.scores.intervals()
    assert first(report, "citation recall") == 0.0


def test_expected_quotes_are_looked_for_in_the_cited_words(scripted):
    quote = Question("q", WATER.text, quotes=("within seven days",))
    assert first(report_on(scripted("Water damage is reported within seven days [1]."), quote), "citation recall") == 1.0
    other = Question("q", WATER.text, quotes=("within nine days",))
    assert first(report_on(scripted("Water damage is reported within seven days [1]."), other), "citation precision") == 0.0


@pytest.mark.parametrize(
    ("cited", "where", "precision"),
    [
        ("Water damage is reported within seven days to the claims line.", "water.md", 1.0),
        ("within seven days to the", "water.md", 1.0),
        ("seven days", "water.md", 0.0),
        ("a", "water.md", 0.0),
        ("", "water.md", 0.0),
        ("Water damage is reported within seven days to the claims line.", "bike.md", 0.0),
    ],
)
def test_a_citation_is_of_a_quote_when_it_is_most_of_it_where_it_may_stand(scripted, monkeypatch, cited, where, precision):
    app = scripted("It is seven days [1].")
    answer = type(app).answer

    async def citing(self, question, **options):
        given = await answer(self, question, **options)
        return replace(given, citations=tuple(replace(each, quote=cited) for each in given.citations))

    monkeypatch.setattr(type(app), "answer", citing)
    report = report_on(
        app, Question("q", WATER.text, quotes=("within seven days to the claims line",), documents={where: 1})
    )
    assert (first(report, "citation precision"), first(report, "citation recall")) == (precision, precision)


def test_refusals_are_right_where_nothing_answers_and_wrong_elsewhere(scripted):
    report = report_on(scripted("Seven days [1].", REFUSAL, REFUSAL, "The vet [1]."), WATER, VET, *again(WATER, VET))
    found = report.abstention
    assert (found.answered, found.refused, found.wrongly_refused, found.wrongly_answered) == (1, 1, 1, 1)
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)
    assert report.scores.of("refused").tolist() == [1.0, 0.0]
    assert report.scores.of("answered").tolist() == [1.0, 0.0]


def again(*questions):
    return [Question(each.id + "2", each.text, each.documents, (), each.answers, each.unanswerable) for each in questions]


def test_where_nothing_was_refused_and_nothing_should_be_there_is_no_figure(scripted):
    found = report_on(scripted("Seven days [1]."), WATER).abstention
    assert (found.precision, found.recall, found.f1) == (None, None, None)


def test_the_extractive_model_answers_and_refuses_a_beir_folder(app, beir):
    report = evaluate_answers(app, load_dataset(beir), at_once=2)
    assert report.abstention.answered == 2
    assert report.scores.of("contains").tolist() == [1.0, 1.0]
    assert report.cost_usd == 0.0
    assert report.shape()["fingerprints"].keys() == {"corpus", "questions"}


def test_a_call_that_fails_is_counted_and_the_others_are_scored(scripted, monkeypatch):
    app = scripted("Seven days [1].")
    answer = type(app).answer

    async def failing(self, question, **options):
        if "vet" in question:
            raise ModelTimeoutError("no answer in 60 s")
        return await answer(self, question, **options)

    monkeypatch.setattr(type(app), "answer", failing)
    report = report_on(app, WATER, VET)
    (failure,) = report.failures
    assert (failure.question, failure.error) == (VET, "no answer in 60 s (model_timeout)")
    assert report.abstention.wrongly_answered == 0
    assert report.incomplete == ("1 of 2 questions failed: no answer in 60 s (model_timeout)",)
    assert report.shape()["warnings"] == list(report.incomplete)
    with pytest.raises(ModelTimeoutError):
        report_on(app, VET)


def test_when_the_budget_is_used_up_the_rest_is_not_asked_and_nothing_is_lost(scripted, app):
    worst = worst_cost_usd(scripted("x"), Dataset("own", (WATER,)))
    tight = scripted("Seven days [1].", budgets=app.settings.budgets.model_copy(update={"day_usd": 1.02 * worst}))
    report = report_on(tight, *(Question(f"w{number}", WATER.text, answers=("seven days",)) for number in range(90)))
    assert 0 < len(report.answers) < 90
    assert "not asked" in report.failures[-1].error
    assert report.cost_usd <= 1.02 * worst


def test_the_worst_cost_is_said_beforehand_and_never_passed(scripted):
    app = scripted("Seven days [1].")
    data = Dataset("own", (WATER, VET))
    most = worst_cost_usd(app, data)
    assert most == pytest.approx(2 * (3000 * 1 + 800 * 10) / 1e6)
    assert evaluate_answers(app, data).cost_usd <= most


def test_a_stage_that_was_left_out_is_counted(app_without_reranker):
    report = report_on(app_without_reranker, WATER, VET)
    assert not report.failures
    (said,) = report.incomplete
    assert said.startswith("2 of 2 questions were not searched for as the settings say: rerank was left out: api:rerank-x")
    assert report.shape()["warnings"] == [said]


def test_the_worst_cost_is_of_the_questions_that_are_asked_and_of_no_others(scripted):
    app = scripted("Seven days [1].")
    unscored = Question("none", "Of what nothing is expected?")
    assert worst_cost_usd(app, Dataset("own", (WATER, unscored))) == worst_cost_usd(app, Dataset("own", (WATER,)))
    both = Dataset("own", (WATER, VET))
    assert worst_cost_usd(app, both.sample(1)) == worst_cost_usd(app, both) / 2


def test_what_a_search_is_paid_for_is_said(app, app_without_reranker, scripted):
    data = Dataset("own", (WATER,))
    assert paid_calls(app, data, answers=True) == []
    assert paid_calls(app_without_reranker, data, answers=False) == ["a call of the reranker rerank-x"]
    retrieval = app.settings.retrieval.model_copy(update={"reranker": "model", "queries": 3})
    asks = scripted("x", retrieval=retrieval)
    assert paid_calls(asks, data, answers=True) == [
        f"a call of {asks.model_name} for other wordings",
        f"a call of {asks.model_name} that orders the hits",
    ]
    assert paid_calls(asks, data, answers=False) == [f"a call of {asks.model_name} that orders the hits"]
    dear = scripted("x", prices={**app.settings.prices, "hash/256": PriceSettings(input_usd_per_million=1)})
    assert paid_calls(dear, data, answers=False) == ["its embedding"]


def test_an_unknown_price_is_said_before_anything_is_asked(app):
    model = ScriptedChatModel()
    with App(app.settings, model=model, embedder=HashEmbedder(dim=256)) as unpriced, pytest.raises(UnknownPriceError):
        worst_cost_usd(unpriced, Dataset("own", (WATER,)))
    assert not model.requests


def test_questions_of_which_nothing_is_expected_cannot_be_scored(app):
    with pytest.raises(DatasetError, match="nothing is expected"):
        report_on(app, Question("q", "What?"))
