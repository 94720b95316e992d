"""Data sets are read whole, and what is broken is named by file and line."""

import json

import pytest

from llmapp.errors import DatasetError
from llmapp.evaluation.datasets import load_dataset
from llmapp.types import Principal


def add(file, *lines):
    with file.open("a", encoding="utf-8") as opened:
        opened.write("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return file


def own(tmp_path, *lines):
    return load_dataset(add(tmp_path / "questions.jsonl", *lines))


def test_a_beir_folder_gives_questions_with_grades_answers_and_what_has_none(beir):
    dataset = load_dataset(beir)
    first, second, third = dataset.questions
    assert (first.id, first.documents, first.answers) == ("q1", {"water": 1}, ("seven days",))
    assert second.documents == {"bike": 2, "theft": 1}
    assert third.unanswerable
    assert not third.is_judged
    assert dataset.warnings == ()
    assert dataset.corpus == beir / "corpus.jsonl"


def test_judgements_are_found_in_both_layouts_and_by_split(beir):
    (beir / "qrels").mkdir()
    add(beir / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "q1\tglass\t1")
    add(beir / "qrels_train.tsv", "query-id\tcorpus-id\tscore", "q1\ttheft\t1")
    assert load_dataset(beir).questions[0].documents == {"glass": 1}
    assert load_dataset(beir, split="train").questions[0].documents == {"theft": 1}
    with pytest.raises(DatasetError, match="no judgements for dev") as caught:
        load_dataset(beir, split="dev")
    assert "qrels/dev.tsv, qrels_dev.tsv" in caught.value.hint


def test_what_is_odd_is_counted_and_said(beir):
    add(beir / "qrels.tsv", "q1\tgone\t1", "nobody\twater\t1")
    add(beir / "queries.jsonl", {"_id": "q4", "text": "Who judges this?"})
    add(beir / "corpus.jsonl", {"_id": "blank", "title": "", "text": " "})
    dataset = load_dataset(beir)
    assert [question.id for question in dataset.questions] == ["q1", "q2", "q3"]
    assert dataset.questions[0].documents == {"water": 1, "gone": 1}
    assert dataset.warnings == (
        "1 of 4 questions have no judgement in this split, and are left out",
        "1 judged questions are not in queries.jsonl, and are left out",
        "1 judged documents are not in corpus.jsonl; they count as not found",
        "1 documents have neither title nor text, and cannot be found",
    )


def test_a_grade_of_zero_is_not_relevant(beir):
    add(beir / "qrels.tsv", "q1\tglass\t0")
    assert load_dataset(beir).questions[0].documents == {"water": 1}


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("corpus.jsonl", "{broken", "corpus.jsonl, line 5: not JSON"),
        ("corpus.jsonl", "[1]", "corpus.jsonl, line 5: not a JSON object"),
        ("corpus.jsonl", {"text": "no id"}, "corpus.jsonl, line 5: no _id"),
        ("corpus.jsonl", {"_id": "water", "text": "again"}, "line 5: the id water stands in line 1 already"),
        ("queries.jsonl", {"_id": "q1", "text": "again"}, "queries.jsonl, line 4: the id q1 stands in line 1 already"),
        ("queries.jsonl", {"_id": "q9", "text": " "}, "line 4: the question q9 has no text"),
        ("qrels.tsv", "q1 water 1", "qrels.tsv, line 5: 1 columns"),
        ("qrels.tsv", "q1\tglass\thigh", "line 5: the score 'high' is no number"),
        ("qrels.tsv", "q1\twater\t2", "line 5: water is judged twice for q1, with different scores"),
        ("answers.jsonl", {"_id": "q1", "answers": "seven"}, "line 4: answers is not a list of texts"),
    ],
)
def test_a_broken_line_is_named(beir, name, line, message):
    add(beir / name, line)
    with pytest.raises(DatasetError, match=message) as caught:
        load_dataset(beir)
    assert caught.value.hint


def test_a_missing_file_an_empty_corpus_and_no_judgement_at_all_are_errors(beir, tmp_path):
    with pytest.raises(DatasetError, match="is not there"):
        load_dataset(tmp_path / "nowhere")
    (beir / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n")
    with pytest.raises(DatasetError, match="has a judgement"):
        load_dataset(beir)
    (beir / "corpus.jsonl").write_text("")
    with pytest.raises(DatasetError, match="holds no documents"):
        load_dataset(beir)
    (beir / "corpus.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"corpus.jsonl is not there"):
        load_dataset(beir)


def test_own_questions_say_who_asks_and_what_is_expected(tmp_path):
    dataset = own(
        tmp_path,
        {"question": "One?", "document": "a.md", "answer": "1", "tags": ["trap"]},
        "",
        {"question": "Two?", "quotes": ["x y", "z"], "principal": {"user": "ann", "groups": ["hr"]}, "id": "two"},
        {"question": "Three?", "unanswerable": True},
    )
    one, two, three = dataset.questions
    assert (one.documents, one.answers, one.tags) == ({"a.md": 1}, ("1",), ("trap",))
    assert (two.id, two.quotes, two.principal) == ("two", ("x y", "z"), Principal("ann", ("hr",)))
    assert three.unanswerable
    assert len({question.id for question in dataset.questions}) == 3
    assert dataset.corpus is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"question": "x?", "answr": "1"}, "line 2: answr: there is no such key"),
        ({"question": " "}, "a blank question"),
        ({"document": "a"}, "question: it is missing"),
        ({"question": "x?", "document": "a", "documents": ["b"]}, "both document and documents"),
        ({"question": "x?", "unanswerable": True, "answer": "1"}, "an unanswerable question has no"),
        ({"question": "x?", "quote": "  "}, "a blank text"),
        ({"question": "x?", "document": "a", "where": "year >="}, "where"),
        ({"question": "x?", "tags": "a"}, "line 2: tags: not a list"),
        ({"question": "x?", "quotes": [1]}, "line 2: quotes.0: not a text"),
        ({"question": "x?", "principal": "ann"}, "line 2: principal: not an object"),
        ({"question": "x?", "principal": {"user": ""}}, "line 2: principal.user: a blank text"),
        ({"question": "x?", "where": 1}, "line 2: where: not a text"),
        ({"question": "x?", "unanswerable": "perhaps"}, "line 2: unanswerable: neither true nor false"),
        ({"question": "first?"}, "stands in line 1 already"),
    ],
)
def test_a_line_that_says_what_cannot_be_is_named(tmp_path, line, message):
    with pytest.raises(DatasetError, match=message):
        own(tmp_path, {"question": "first?", "document": "a"}, line)


@pytest.mark.parametrize("value", ["9" * 5_000, "[" * 100_000 + "]" * 100_000])
def test_json_that_no_one_can_read_is_named(tmp_path, value):
    (tmp_path / "own.jsonl").write_text(f'{{"question": "x?", "tags": {value}}}\n')
    with pytest.raises(DatasetError, match=r"own\.jsonl, line 1: not JSON that can be read"):
        load_dataset(tmp_path / "own.jsonl")


def test_an_unknown_key_names_those_that_there_are(tmp_path):
    with pytest.raises(DatasetError) as caught:
        own(tmp_path, {"question": "x?", "answr": "1"})
    assert "answers" in caught.value.hint


def test_questions_of_which_nothing_can_be_said_are_counted(tmp_path):
    assert own(tmp_path, {"question": "x?"}).warnings[0].startswith("1 questions name no document")


def test_a_file_without_questions_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="holds no questions"):
        own(tmp_path, "")


def test_the_fingerprint_changes_with_every_expectation(beir):
    before = load_dataset(beir).fingerprint
    assert load_dataset(beir).fingerprint == before
    add(beir / "qrels.tsv", "q1\tglass\t1")
    assert load_dataset(beir).fingerprint != before


def test_a_sample_for_searches_is_of_questions_that_a_search_can_answer(tmp_path):
    lines = [{"question": f"{number}?", "unanswerable": True} for number in range(20)]
    dataset = own(tmp_path, *lines, {"question": "One?", "document": "a"}, {"question": "Two?", "document": "b"})
    assert dataset.sample(1, judged=True).questions[0].documents
    assert dataset.sample(2, judged=True) is dataset


def test_a_sample_is_the_same_each_time_and_keeps_the_order(beir):
    dataset = load_dataset(beir)
    assert dataset.sample(2) == dataset.sample(2)
    assert len(dataset.sample(2).questions) == 2
    assert dataset.sample(99) is dataset
