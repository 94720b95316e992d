"""The file of examples."""

import json

import pytest

from llmapp.errors import ExampleError
from llmapp.prompting import Example, add_examples, read_examples

WATER = Example("When is water damage reported?", "Within 72 hours [1].", ("claims", "water"))
GLASS = Example("Is glass covered?", "Up to 500 euros.\u2028“Ja”, 👩‍👩‍👧.")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "examples.jsonl"


def test_what_is_added_is_read_again_as_it_was(file):
    assert read_examples(file) == []
    assert add_examples(file, [WATER]) == [WATER]
    assert add_examples(file, [GLASS]) == [GLASS]
    assert read_examples(file) == [WATER, GLASS]
    assert json.loads(file.read_text("utf-8").split("\n")[1]) == {"question": GLASS.question, "answer": GLASS.answer}


def test_a_question_that_is_there_already_is_not_added_again_whatever_its_case_and_spaces(file):
    again = Example(" when is  WATER damage reported?\n", "Never.")
    assert add_examples(file, [WATER, again]) == [WATER]
    assert add_examples(file, [again, GLASS]) == [GLASS]


def test_a_last_line_without_its_end_is_no_longer_the_last_but_stays_a_line(file):
    file.write_text('{"question": "a", "answer": "b"}', encoding="utf-8")
    add_examples(file, [WATER])
    assert [each.question for each in read_examples(file)] == ["a", WATER.question]


def test_half_a_character_is_written_as_one_that_a_file_can_hold(file):
    add_examples(file, [Example("a \ud800?", "b")])
    assert read_examples(file) == [Example("a \ufffd?", "b")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no JSON object"),
        ('{"question": "a"}', "answer is missing"),
        ('{"question": " ", "answer": "b"}', "question is missing, blank"),
        ('{"question": "a", "answer": 3}', "answer is missing, blank or no text"),
        ('{"question": "a", "answer": "b", "tags": "c"}', "tags is no list"),
        ('{"question": "a", "answer": "b", "tag": ["c"]}', "unknown: tag"),
        ('{"question": "IS glass  covered?", "answer": "b"}', "it has the question of line 1"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_line(file, line, problem):
    file.write_text(f'{{"question": "{GLASS.question}", "answer": "b"}}\n\n{line}\n', encoding="utf-8")
    with pytest.raises(ExampleError) as caught:
        read_examples(file)
    assert caught.value.message.startswith("examples.jsonl, line 3: ")
    assert problem in caught.value.message


def test_a_file_that_is_no_text_and_one_that_cannot_be_written_are_told(file, tmp_path):
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ExampleError, match="cannot be read"):
        read_examples(file)
    with pytest.raises(ExampleError, match="cannot be written"):
        add_examples(tmp_path / "nowhere" / "examples.jsonl", [WATER])
    with pytest.raises(ExampleError, match="without question or answer"):
        add_examples(tmp_path / "other.jsonl", [Example("a", " ")])
