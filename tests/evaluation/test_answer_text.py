"""Answers are compared as SQuAD compares them, in languages without spaces by characters."""

import pytest

from llmapp.evaluation.answer_text import contains, f1, refuses, tokens
from llmapp.frames import REFUSAL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Cat, an animal!", ["cat", "animal"]),
        ("EUR 3,500", ["eur", "3500"]),
        ("U.S.A. “quoted”", ["usa", "quoted"]),
        ("\u8d3e\u91cc\u5fb7 136 \u6b21", ["\u8d3e", "\u91cc", "\u5fb7", "136", "\u6b21"]),
        ("\u6771\u4eac\u30bf\u30ef\u30fc", ["\u6771", "\u4eac", "\u30bf", "\u30ef", "\u30fc"]),
        ("Übergröße", ["übergrösse"]),
        ("", []),
    ],
)
def test_texts_become_tokens(text, expected):
    assert tokens(text) == expected


def test_an_answer_is_contained_in_whole_tokens_and_in_their_order():
    said = "It is reported within the seven days, or 18 hours [1]."
    assert contains(said, ["Seven Days"])
    assert not contains(said, ["days seven"])
    assert not contains(said, ["8 hours"])
    assert contains(said, ["eight", "18 hours"])
    assert not contains(said, ["the"])


def test_marks_of_citations_are_no_part_of_the_answer():
    assert f1("seven days [1] [2, 3]", ["seven days"]) == 1.0
    assert not contains("seven [1]", ["1"])


def test_f1_is_that_of_the_best_expected_answer():
    assert f1("within seven days", ["seven days", "a week"]) == pytest.approx(2 * 2 / (3 + 2))
    assert f1("nothing", ["seven days"]) == 0.0
    assert f1("\u516b\u5341\u516b", ["\u516b\u5341"]) == pytest.approx(0.8)


@pytest.mark.parametrize("text", [REFUSAL, f"  {REFUSAL.lower()} ", f"{REFUSAL} Ask the claims line.", "", " [1]"])
def test_the_sentence_that_prompts_ask_for_is_a_refusal(text):
    assert refuses(text)


@pytest.mark.parametrize("text", ["Seven days [1].", "The documents do not answer the phone."])
def test_anything_else_is_an_answer(text):
    assert not refuses(text)
