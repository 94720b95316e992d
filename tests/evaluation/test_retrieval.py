"""A search is asked every question, and scored against what is expected."""

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from random import Random

import pytest

from llmapp.application import App
from llmapp.catalog.catalog import Catalog
from llmapp.config import Settings
from llmapp.errors import (
    ConfigError,
    ConnectorError,
    DatasetError,
    MissingDependencyError,
    NothingIngestedError,
    UnknownSettingError,
)
from llmapp.evaluation import corpora
from llmapp.evaluation.answers import evaluate_answers
from llmapp.evaluation.corpora import asked
from llmapp.evaluation.datasets import load_dataset
from llmapp.evaluation.questions import Dataset, Question
from llmapp.evaluation.retrieval import evaluate_retrieval, rank_questions
from llmapp.evaluation.tables import write_csv
from llmapp.evaluation.variants import varied, with_changes
from llmapp.retrieval.planning import Plan
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import Found, Principal


def report_on(app, *questions):
    return evaluate_retrieval(app, Dataset("own", questions))


def value(report, measure="nDCG@10"):
    return float(report.scores.values[measure][0])


def test_a_beir_corpus_is_taken_in_beside_the_application_and_used_again(app, beir):
    before = app.catalog.digest()
    embedded = len(app.embedder._inner.embedded)
    first = evaluate_retrieval(app, load_dataset(beir))
    once = len(app.embedder._inner.embedded)
    second = evaluate_retrieval(app, load_dataset(beir))
    assert app.catalog.digest() == before
    assert (first.documents, len(first.rankings)) == (4, 2)
    assert first.scores.values["recall@10"].tolist() == [1.0, 1.0] == second.scores.values["recall@10"].tolist()
    assert once > embedded
    assert len(app.embedder._inner.embedded) == once
    assert first.fingerprints == second.fingerprints


def test_another_corpus_or_another_embedder_gets_a_state_of_its_own(app, beir):
    with asked(app, load_dataset(beir)) as first:
        place = first.settings.state
    with app.beside(app.settings) as other:
        other._given_embedder = HashEmbedder(dim=32)
        with asked(other, load_dataset(beir)) as second:
            assert second.settings.state != place
    with (beir / "corpus.jsonl").open("a") as corpus:
        corpus.write(json.dumps({"_id": "new", "title": "New", "text": "A new document."}) + "\n")
    with asked(app, load_dataset(beir)) as third:
        assert third.settings.state != place
        assert third.catalog.counts().documents == 5


def test_a_corpus_that_was_cut_short_is_brought_to_its_end(app, beir, monkeypatch):
    dataset = load_dataset(beir)
    with monkeypatch.context() as patch:
        patch.setattr(corpora, "read_corpus", broken_off)
        with pytest.raises(ConnectorError):
            evaluate_retrieval(app, dataset)
    with asked(app, dataset) as whole:
        assert whole.catalog.counts().documents == 4


def broken_off(_):
    yield 1, "water", "Water", "Water damage."
    raise RuntimeError("cut short")


def test_a_corpus_is_paid_from_the_budget_of_the_application(app, beir):
    with asked(app, load_dataset(beir)) as corpus_app:
        assert corpus_app.ledger is app.ledger
    assert app.ledger.balances() is not None


def test_every_setting_either_holds_for_a_corpus_or_says_where_things_are_kept():
    """Whoever adds a table of settings decides here: a corpus must never be written where the application keeps its own."""
    kept_apart = {"catalog_url", "sources", "server", "index"}
    assert set(Settings.model_fields) == set(corpora._ALIKE) | kept_apart


def test_own_questions_are_asked_of_the_application_by_id_key_or_address(app):
    (uri,) = {hit.chunk.uri for hit in app.search("bicycle", top_k=1)}
    for name in ("bike.md", "files:bike.md", uri):
        report = report_on(app, Question("q", "Up to what amount is a stolen bicycle insured?", documents={name: 1}))
        assert value(report) == 1.0
        assert report.warnings == ()


def test_a_copy_of_an_expected_document_counts_for_it(app, tmp_path):
    (tmp_path / "documents" / "copy.md").write_text((tmp_path / "documents" / "water.md").read_text())
    app.ingest()
    for name in ("water.md", "copy.md"):
        question = Question("q", "When is water damage reported?", documents={name: 1}, quotes=())
        assert value(report_on(app, question)) == 1.0
        assert value(report_on(app, replace(question, quotes=("within seven days",)))) == 1.0
        answered = evaluate_answers(app, Dataset("own", (question,))).scores
        assert (answered.of("citation precision").tolist(), answered.of("citation recall").tolist()) == ([1.0], [1.0])
    elsewhere = Question("q", "When is water damage reported?", documents={"glass.md": 1})
    assert value(report_on(app, elsewhere)) < 1.0


def test_a_document_that_is_not_there_is_said_and_counts_as_not_found(app):
    report = report_on(app, Question("q", "What of water?", documents={"gone.md": 1}))
    assert value(report) == 0.0
    assert "1 expected documents are not in the catalog" in report.warnings[0]
    assert "gone.md" in report.warnings[0]


def test_a_quote_that_no_document_holds_is_said(app):
    held = Question("held", "What of water?", quotes=("reported  WITHIN seven days",))
    nowhere = Question("y", "y?", quotes=("this text is not in any document",))
    elsewhere = Question("z", "z?", quotes=("within seven days",), documents={"glass.md": 1})
    filtered = Question("f", "f?", quotes=("within seven days",), where='document_id = "bike.md"')
    assert report_on(app, held).warnings == ()
    (said,) = report_on(app, held, nowhere, elsewhere, filtered).warnings
    assert said.startswith(
        "3 expected quotes stand in no chunk that is searched for their question: “this text is not in any"
    )
    assert "“within seven days” of “z?”" in said
    assert "“within seven days” of “f?”" in said
    assert "What of water?" not in said


def test_a_quote_that_a_search_has_missed_but_a_document_holds_is_no_mistake(app):
    question = Question("q", "bicycle", quotes=("seven days",))
    report = rank_questions(app, Dataset("own", (question,)), lambda _, __: Found(()), corpus="c")
    assert (value(report), report.warnings) == (0.0, ())


def test_a_quote_that_who_asks_may_not_read_is_said(app, tmp_path):
    (tmp_path / "hidden.md").write_text("The merger is secret.")
    app.ingest([tmp_path / "hidden.md"])
    question = Question("q", "merger", quotes=("The merger is secret.",))
    assert report_on(app, question).warnings == ()
    (said,) = report_on(app, replace(question, principal=Principal("stranger"))).warnings
    assert said.startswith("1 expected quotes stand in no chunk")


@pytest.mark.parametrize(
    ("change", "match"), [({"where": "zz = 1"}, "no document has a field zz"), ({"text": "w" * 90_000}, "limit")]
)
def test_a_question_that_cannot_be_asked_is_named(app, change, match):
    good = Question("good", "What of water?", documents={"water.md": 1})
    with pytest.raises(DatasetError, match=match) as caught:
        report_on(app, good, replace(good, id="wrong", **change))
    assert caught.value.message.startswith(f"question wrong, “{(change.get('text') or good.text)[:240]}”: ")
    assert caught.value.hint


def test_a_document_that_is_set_aside_is_not_there(app, tmp_path):
    (tmp_path / "documents" / "broken.pdf").write_bytes(b"%PDF-1.7 cut")
    app.ingest()
    assert app.catalog.named("broken.pdf") == [("files", "broken.pdf")]
    report = report_on(app, Question("q", "What of water?", documents={"broken.pdf": 1}))
    assert "broken.pdf" in report.warnings[0]


def test_a_stage_that_was_left_out_is_counted_and_said(app_without_reranker):
    report = report_on(app_without_reranker, *(Question(name, "What of water?", documents={"water.md": 1}) for name in "ab"))
    (said,) = report.incomplete
    assert said.startswith("2 of 2 questions were not searched for as the settings say: rerank was left out: api:rerank-x")
    assert said.endswith("(2 times)")
    assert report.shape()["warnings"] == [said]


def test_two_runs_both_find_the_index_and_one_that_does_not_is_said(app, monkeypatch):
    monkeypatch.setattr("llmapp.retrieval.dense.plan", lambda *_, **__: Plan(fetch=1, readable=4, live=4))
    indexed = with_changes(app.settings, ["retrieval.exact_up_to=0"])
    question = Question("q", "What of water?", documents={"water.md": 1})
    app.close()
    with App(indexed, embedder=HashEmbedder(dim=256)) as again:
        for changes in ((), ("retrieval.fusion=rrf",)):
            with varied(again, changes) as variant:
                assert report_on(variant, question).incomplete == ()
                assert (variant.index_lock.held, variant.dense.degraded) == (True, None)
        again.search("water")
        with varied(again, ()) as variant:
            (said,) = report_on(variant, question).incomplete
            asked_of = evaluate_answers(variant, Dataset("own", (question,))).incomplete
    assert "the vector index did not serve: another process holds the vector index; exact search serves (1 times)" in said
    assert asked_of == (said,)


def test_a_catalog_whose_language_was_changed_for_a_run_is_brought_back(app):
    def analyses():
        with closing(sqlite3.connect(app.settings.state / "catalog.db")) as catalog:
            return [row[0] for row in catalog.execute("SELECT DISTINCT analysis FROM segments")]

    before = analyses()
    with pytest.raises(DatasetError), varied(app, ["retrieval.language=de"]) as variant:  # noqa: PT012 - while it is changed
        assert analyses() != before
        report_on(variant, Question("q", "What?", unanswerable=True))
    assert analyses() == before


def test_nothing_is_said_where_nothing_was_left_out(app):
    report = report_on(app, Question("q", "What of water?", documents={"water.md": 1}))
    assert report.incomplete == ()
    assert report.shape()["warnings"] == []


def test_a_reranker_reads_as_many_hits_as_it_is_set_to_however_deep_the_ranking(app, monkeypatch):
    read = []

    class Counting:
        name = "counting"

        def rerank(self, query, hits, *, top_k):
            read.append(len(hits))
            return list(hits)

    monkeypatch.setattr("llmapp.retrieval.ranking.rerankers.build_reranker", lambda *_, **__: Counting())
    question = Question("q", "What is reported or insured?", documents={"water.md": 1})
    with varied(
        app, ["retrieval.reranker=cross-encoder:x", "retrieval.rerank_candidates=3", "retrieval.top_k=2"]
    ) as variant:
        assert len(variant.search(question.text)) == 2
        report = report_on(variant, question)
    assert set(read) == {3}
    assert len(report.rankings[0].items) == 3


def test_candidates_are_those_of_the_settings_however_deep_the_ranking(app, tmp_path):
    random = Random(1)
    words = [f"w{number}" for number in range(30)]
    texts = {f"d{number}": " ".join(random.choices(words, k=12)) for number in range(80)}
    folder = tmp_path / "many"
    folder.mkdir()
    lines = [json.dumps({"_id": name, "text": text}) for name, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    questions = tuple(
        Question(name, " ".join(random.sample(text.split(), 4)), documents={name: 1})
        for name, text in list(texts.items())[:10]
    )
    dataset = Dataset("many", questions, corpus=folder / "corpus.jsonl")
    rankings = {}
    for candidates in (8, 60):
        with varied(app, [f"retrieval.candidates={candidates}"]) as variant:
            report = evaluate_retrieval(variant, dataset)
            rankings[candidates] = [ranking.items[:8] for ranking in report.rankings]
            with asked(variant, dataset) as asked_app:
                found = [tuple(hit.chunk.key for hit in asked_app.search(each.text)) for each in questions]
        assert rankings[candidates] == found
    assert rankings[8] != rankings[60]


def test_loading_what_a_search_needs_is_not_measured(app):
    seen = []

    def search(question, top_k):
        if not seen:
            time.sleep(2)
        seen.append(question.id)
        return app.find(question.text, top_k=top_k)

    questions = tuple(Question(name, "What of water?", documents={"water.md": 1}) for name in "ab")
    report = rank_questions(app, Dataset("own", questions), search, corpus="c")
    assert seen == ["a", "a", "b"]
    assert max(report.seconds) < 2


def test_a_quote_counts_at_the_first_chunk_that_holds_it_whatever_its_white_space(app):
    asked_for = Question("q", "What is reported to the police?", quotes=("REPORTED to\n the police",))
    assert value(report_on(app, asked_for), "MRR@10") == 1.0
    missing = Question("q", "What is reported to the police?", quotes=("reported to nobody",))
    assert value(report_on(app, missing), "recall@100") == 0.0


def test_a_quote_counts_only_in_the_documents_that_are_named(app):
    elsewhere = Question(
        "q", "What is reported to the police?", documents={"water.md": 1}, quotes=("reported to the police",)
    )
    assert value(report_on(app, elsewhere), "recall@100") == 0.0


def test_a_question_is_asked_by_its_principal(app, tmp_path):
    from llmapp.types import Principal

    app.catalog.set_access("files", {"bike.md": ["group:sales"]}, own=True)
    hidden = Question("q", "Up to what amount is a stolen bicycle insured?", documents={"bike.md": 1})
    assert value(report_on(app, hidden)) == 0.0
    seen = Question("q", hidden.text, documents={"bike.md": 1}, principal=Principal("ann", ("sales",)))
    assert value(report_on(app, seen)) == 1.0


def test_a_question_is_asked_within_its_filter(app):
    text = "Up to what amount is a stolen bicycle insured?"
    within = Question("q", text, documents={"bike.md": 1}, where='document_id = "bike.md"')
    assert value(report_on(app, within)) == 1.0
    without = Question("q", text, documents={"bike.md": 1}, where='document_id = "water.md"')
    assert value(report_on(app, without)) == 0.0


def test_without_documents_or_without_judgements_there_is_an_error(tmp_path, app):
    with (
        App(app.settings.model_copy(update={"root": tmp_path / "empty"}), embedder=HashEmbedder()) as empty,
        pytest.raises(NothingIngestedError),
    ):
        report_on(empty, Question("q", "What?", documents={"a": 1}))
    with pytest.raises(DatasetError, match="names a document or a quote"):
        report_on(app, Question("q", "What?", unanswerable=True))


def test_a_name_that_several_documents_have_is_refused(app, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "bike.md").write_text("# Another bicycle\n\nIt is green.\n")
    app.ingest([other])
    with pytest.raises(DatasetError, match=r"several documents are named bike\.md"):
        report_on(app, Question("q", "What?", documents={"bike.md": 1}))


def test_the_worst_questions_come_first_with_what_was_found(app):
    good = Question("good", "When is water damage reported?", documents={"water.md": 1})
    bad = Question("bad", "When is water damage reported at all?", documents={"glass.md": 1})
    ((worst, found),) = report_on(app, good, bad).worst(5)
    assert (worst.question.id, found < 1) == ("bad", True)
    assert worst.found[0].name == "files:water.md"
    assert not worst.found[0].is_expected
    assert worst.found[0].text.startswith("# Water Water damage")


def test_as_json_a_report_has_every_question_and_the_worst_in_order(app):
    good = Question("good", "When is water damage reported?", documents={"water.md": 1})
    bad = Question("bad", "When is water damage reported at all?", documents={"glass.md": 1}, tags=("hard",))
    report = report_on(app, good, bad)
    shape = json.loads(json.dumps(report.shape()))
    assert shape["worst"] == [{"id": "bad", "nDCG@10": value_of(report, 1)}]
    assert [each["measures"]["nDCG@10"] for each in shape["by_question"]] == [1.0, value_of(report, 1)]
    assert (shape["by_question"][1]["question"], shape["by_question"][1]["tags"]) == (bad.text, ["hard"])
    assert shape["by_question"][1]["expected"] == {"files:glass.md": 1}
    assert shape["by_question"][1]["found"][0]["name"] == "files:water.md"


def value_of(report, number):
    return float(report.scores.values["nDCG@10"][number])


def test_settings_are_changed_for_one_run_only(app):
    changed = with_changes(app.settings, ["retrieval.top_k=3", "model=openai:gpt-4o-mini", "retrieval.candidates = 7"])
    assert (changed.retrieval.top_k, changed.retrieval.candidates, changed.model) == (3, 7, "openai:gpt-4o-mini")
    assert app.settings.retrieval.top_k == 8
    with varied(app, ["retrieval.top_k=3"]) as variant:
        assert variant.settings.retrieval.top_k == 3
        assert len(variant.search("damage")) <= 3
    with varied(app, ()) as same:
        assert (same is app, same.settings) == (False, app.settings)


@pytest.mark.parametrize(
    ("change", "kind"),
    [("retrieval.topk=3", UnknownSettingError), ("retrieval.top_k", ConfigError), ("retrieval.top_k=many", ConfigError)],
)
def test_a_change_that_cannot_be_is_refused_with_a_hint(app, change, kind):
    with pytest.raises(kind) as caught:
        with_changes(app.settings, [change])
    assert caught.value.hint


def test_the_per_query_table_holds_every_question_and_no_formula(app, tmp_path):
    report = report_on(app, Question("=1+1", "@SUM(A1) of water damage?", documents={"water.md": 1}))
    write_csv(tmp_path / "q.csv", report.scores, [ranking.question for ranking in report.rankings])
    head, row = (tmp_path / "q.csv").read_text(encoding="utf-8").splitlines()
    assert head.startswith("id,question,tags,nDCG@10,")
    assert row.startswith("'=1+1,'@SUM(A1)")


def test_the_fingerprint_of_the_catalog_is_of_texts_and_not_of_vectors_or_places(app, tmp_path):
    with app.beside(app.settings.model_copy(update={"root": tmp_path / "twin"})) as twin:
        twin._given_embedder = HashEmbedder(dim=16)
        twin.ingest()
        assert twin.catalog.fingerprint() == app.catalog.fingerprint()
        twin.catalog.delete("files", ["bike.md"])
        assert twin.catalog.fingerprint() != app.catalog.fingerprint()


def test_the_fingerprint_of_nothing_is_one(tmp_path):
    catalog = Catalog(tmp_path / "empty.db")
    assert len(catalog.fingerprint()) == 64
    catalog.close()


def test_the_measures_missing_is_said_before_anything_is_asked(app, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingDependencyError):
        report_on(app, Question("q", "What?", documents={"water.md": 1}))
