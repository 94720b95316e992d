import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.sentences import unit_spans


def units(text):
    return [text[start:end] for start, end in unit_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('Really?! "Yes..." (So it is.) It is *done.* Now', ["Really?!", '"Yes..."', "(So it is.)", "It is *done.*", "Now"]),
        ("It costs 3.5 EUR, see Dr. Miller e.g. today.", ["It costs 3.5 EUR, see Dr. Miller e.g. today."]),
        ("A line\nthat wraps. Then more.", ["A line\nthat wraps.", "Then more."]),
        ("- first item\n- second item\n  wraps", ["- first item", "- second item\n  wraps"]),
        ("1. First step.\n2. Second step.", ["1. First step.", "2. Second step."]),
        ("| a | b |\n|---|---|\n| 1 | 2 |", ["| a | b |", "|---|---|", "| 1 | 2 |"]),
        ("# Heading\nText below.", ["# Heading", "Text below."]),
        (
            "Row 1:\n  policy: home\n  deductible: 500\n\nRow 2:\n  policy: auto",
            ["Row 1:\n  policy: home\n  deductible: 500", "Row 2:\n  policy: auto"],
        ),
        ("中文句子。第二句！", ["中文句子。", "第二句！"]),
        ("「終わり。」次（終。）末", ["「終わり。」", "次（終。）", "末"]),
        ("全角．次は\uff13．\uff15", ["全角．", "次は\uff13．\uff15"]),
        ("هل هذا صحيح؟ نعم هو كذلك. انتهى", ["هل هذا صحيح؟", "نعم هو كذلك.", "انتهى"]),
        ("यह घर है। वह बाजार है।", ["यह घर है।", "वह बाजार है।"]),
        ("یہ ہے۔ وہ ہے۔", ["یہ ہے۔", "وہ ہے۔"]),
        ("មួយ។ ពីរ។ အ။ က။", ["មួយ។", "ពីរ។", "အ။", "က။"]),
        ("ไทยไม่มีเครื่องหมาย จบประโยค", ["ไทยไม่มีเครื่องหมาย จบประโยค"]),
        ("Дом, см. рис. 5, и т. д. Конец: он был там. Да.", ["Дом, см. рис. 5, и т. д. Конец: он был там.", "Да."]),
        ("Nach § 5 Abs. 2 S. 1 gilt das. Ja.", ["Nach § 5 Abs. 2 S. 1 gilt das.", "Ja."]),
        ("Am 3. Mai kam er, d. h. spät. Es gilt.", ["Am 3. Mai kam er, d. h. spät.", "Es gilt."]),
        (
            "See No. 5, Vol. 3 and Fig. 2. It costs 5. Then more.",
            ["See No. 5, Vol. 3 and Fig. 2.", "It costs 5.", "Then more."],
        ),
        (
            "Go to https://a.b/c.d?x=1. Then v1.2.3... and on. Wait... What?",
            [
                "Go to https://a.b/c.d?x=1.",
                "Then v1.2.3... and on.",
                "Wait...",
                "What?",
            ],
        ),
        ("A claim.[12] Another.¹ “Yes.” ¿Qué? ¡No!", ["A claim.[12]", "Another.¹", "“Yes.”", "¿Qué?", "¡No!"]),
        ("  \n \n", []),
    ],
)
def test_a_unit_is_what_a_person_would_quote(text, expected):
    assert units(text) == expected


@given(st.text(alphabet=st.sampled_from("ab .!?\n-|#1。\t\u00a0é"), max_size=200))
def test_units_are_in_order_and_cover_all_that_is_not_blank(text):
    spans = unit_spans(text)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    covered = "".join(text[start:end] for start, end in spans)
    assert "".join(covered.split()) == "".join(text.split())
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)


def test_a_long_line_takes_no_time():
    assert len(unit_spans("word " * 40_000)) == 1
    assert len(unit_spans("Sentence here. " * 10_000)) == 10_000


@pytest.mark.parametrize("text", ["a " + "." * 50_000 + " b", "a." + '"' * 50_000 + " b", "." + " " * 50_000 + "b"])
def test_a_run_of_signs_takes_no_time(text):
    start = time.process_time()
    unit_spans(text)
    assert time.process_time() - start < 10  # quadratic: 60 s
