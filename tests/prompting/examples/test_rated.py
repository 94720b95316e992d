"""Rated answers, and which of them somebody has to read before all others do."""

import json

import pytest

from llmapp.errors import ExampleError
from llmapp.prompting import Example, add_examples, rated_answers
from llmapp.prompting.examples import RatedAnswer, doubt_about


@pytest.fixture
def file(tmp_path):
    return tmp_path / "answers.jsonl"


def write(file, *rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def answered(*sources, **more):
    return RatedAnswer(
        Example("Is glass covered?", "Yes [1]."), **{"line": 1, "rating": 5, "sources": sources, "follows_up": False} | more
    )


def public_only(ids):
    return {name for name in ids if name.startswith("public")}


def test_the_well_rated_are_taken_the_best_of_a_question_first(file):
    write(
        file,
        {"question": "Is glass covered?", "answer": "No.", "rating": 3, "model": "m", "cost_usd": 0.1},
        {"question": "is glass covered?", "answer": "Yes.", "rating": 5},
        {"question": "And water?", "answer": "Within 72 hours.", "rating": 2.9, "tags": ["x"]},
        {"question": "And fire?", "answer": "At once.", "rating": 3, "tags": ["fire"]},
    )
    rated = rated_answers(file, at_least=3)
    assert [(each.example.answer, each.line) for each in rated] == [("Yes.", 2), ("No.", 1), ("At once.", 4)]
    added = add_examples(file.with_name("other.jsonl"), [each.example for each in rated])
    assert [(each.answer, each.tags) for each in added] == [("Yes.", ()), ("At once.", ("fire",))]


@pytest.mark.parametrize("rating", ["true", '"5"', "NaN", "null"])
def test_a_rating_that_is_no_number_is_refused(file, rating):
    file.write_text(f'{{"question": "a", "answer": "b", "rating": {rating}}}\n', encoding="utf-8")
    with pytest.raises(ExampleError, match="line 1: rating is no number"):
        rated_answers(file, at_least=0)


def test_what_stood_in_the_prompt_counts_cited_or_not_and_what_was_left_out_does_not(file):
    decisions = [
        {"item": "rules@1", "section": "system", "outcome": "kept"},
        {"item": "a", "section": "sources", "outcome": "kept"},
        {"item": "b", "section": "sources", "outcome": "merged"},
        {"item": "c", "section": "sources", "outcome": "dropped"},
    ]
    write(file, {"question": "q", "answer": "a", "rating": 5, "follows_up": True, "prompt": {"decisions": decisions}})
    (rated,) = rated_answers(file, at_least=1)
    assert (rated.sources, rated.follows_up) == (("a", "b"), True)


@pytest.mark.parametrize("prompt", [None, [], {}, {"decisions": None}, {"decisions": ["a"]}])
def test_a_prompt_without_decisions_does_not_say_what_stood_in_it(file, prompt):
    write(file, {"question": "q", "answer": "a", "rating": 5, "prompt": prompt})
    assert rated_answers(file, at_least=1)[0].sources is None


def test_an_answer_is_for_all_when_all_its_sources_are():
    assert doubt_about(answered("public-1", "public-2"), public_only) == ""
    assert doubt_about(answered(), public_only) == ""
    assert "1 of the 2 sources" in doubt_about(answered("public-1", "board-1"), public_only)


def test_a_follow_up_and_an_answer_that_does_not_say_its_sources_are_to_be_read_first():
    assert "followed on others" in doubt_about(answered("public-1", follows_up=True), public_only)
    assert "does not say" in doubt_about(answered(sources=None), public_only)
