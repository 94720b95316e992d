import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.frames import FramedSource
from llmapp.models.passages import passages_of

HANDBOOK = """# Home policy 2025

Dr. Smith of the U.S. office wrote it. The deductible is $500. It rose by 3.5 percent!

## Covered
The following are covered:

- Water damage: up to $10,000. Report it in 72 hours.
- Fire
  and smoke

| Peril | Deductible |
|-------|-----------:|
| Water | $500 |
| Fire  | $250 |

Row 1:
  policy: home
  deductible: 500
Row 2:
  policy: car
  deductible: 300
Phone: 555-0134
Email: claims@example.org
"""


def cut(text, title="Handbook", place="page 1"):
    return passages_of([FramedSource(3, title, place, text)])


def test_sentences_items_rows_and_records_are_passages():
    assert [passage.text for passage in cut(HANDBOOK)] == [
        "Dr. Smith of the U.S. office wrote it.",
        "The deductible is $500.",
        "It rose by 3.5 percent!",
        "Water damage: up to $10,000.",
        "Report it in 72 hours.",
        "Fire\n  and smoke",
        "| Water | $500 |",
        "| Fire  | $250 |",
        "Row 1:\n  policy: home\n  deductible: 500",
        "Row 2:\n  policy: car\n  deductible: 300",
        "Phone: 555-0134",
        "Email: claims@example.org",
    ]


def test_headings_table_heads_and_introductions_are_context():
    contexts = {passage.text: passage.context for passage in cut(HANDBOOK)}
    assert contexts["The deductible is $500."] == "Handbook page 1 Home policy 2025"
    assert contexts["Report it in 72 hours."].endswith("Covered The following are covered:")
    assert contexts["| Fire  | $250 |"].endswith("Covered | Peril | Deductible |")


def test_lines_without_punctuation_are_cut_when_they_grow_long():
    table = "\n".join(f"revenue of segment {n} was {n * 7} thousand" for n in range(40))
    assert len(cut(table)) == 40


def test_sentences_end_in_chinese_and_japanese_too():
    assert [passage.text for passage in cut("水害は対象です。火災も対象です。")] == ["水害は対象です。", "火災も対象です。"]


@pytest.mark.parametrize("text", ["", "\n\n", "---", "# Only a heading", "| a | b |\n|---|---|", "***"])
def test_what_says_nothing_is_no_passage(text):
    assert cut(text) == []


@given(st.text(alphabet=st.sampled_from(list("ab .\n|-#:1*A?!\t「。é")), max_size=200))
def test_every_passage_stands_in_the_text_word_for_word(text):
    for passage in cut(text):
        assert passage.text in text
        assert passage.number == 3


def test_a_numbered_heading_of_plain_text_is_context_and_not_part_of_the_sentence():
    text = "7. Duties after a loss\nWater damage must be reported\nwithin seven days.\n1. First item\n2. Second item"
    passages = passages_of([FramedSource(1, "Title", "", text)])
    assert passages[0].text == "Water damage must be reported\nwithin seven days."
    assert "Duties after a loss" in passages[0].context
    assert [passage.text for passage in passages[1:]] == ["First item", "Second item"]


def test_a_bold_term_stays_with_its_explanation():
    (passage,) = passages_of([FramedSource(1, "Glossary", "", "**First loss.** A sum that is paid in full.")])
    assert passage.text == "**First loss.** A sum that is paid in full."


def test_rows_of_a_plain_table_are_passages_below_their_head():
    text = "department branch phone head\nClaims line Germany 555-0101 Tomasz Brandner\nClaims line Austria 555-0102 Vera Leitgeb\nLegal desk Both 555-0103 Judith Sommer"
    passages = cut(text)
    assert [passage.text for passage in passages] == text.split("\n")[1:]
    assert passages[0].context.endswith("department branch phone head")


def test_a_question_is_context_of_its_answer_and_the_marker_is_not_quoted():
    (passage,) = cut("Q: Is hail covered?\nA: Yes, up to $500.")
    assert passage.text == "Yes, up to $500."
    assert passage.context.endswith("Q: Is hail covered?")


def test_a_lead_in_is_context_of_the_sentences_behind_it():
    first, second = cut("1. Hours. The line is staffed from 8:00. It rests on Sundays.")
    assert (first.text, second.text) == ("The line is staffed from 8:00.", "It rests on Sundays.")
    assert first.context.endswith("Hours.")
    assert second.context.endswith("Hours.")


def test_subjects_short_headings_and_furniture_are_not_quoted():
    text = "Handbook\nSubject:  New number\n\nOpening hours\n\nWe open at 8:00.\nPage 1 of 3"
    (passage,) = cut(text)
    assert passage.text == "We open at 8:00."
    assert "New number" in passage.context
    assert "Opening hours" in passage.context


@pytest.mark.parametrize(
    ("title", "text", "is_past"),
    [
        ("Circular", "Status:   ARCHIVED - replaced by circular 7\n\nCall 555-0100 for claims.", True),
        ("Circular (superseded)", "Call 555-0100 for claims.", True),
        ("Circular", "This policy has been replaced. Call 555-0100 for claims.", True),
        ("Circular", "This circular replaces the one of 2021. Call 555-0100 for claims.", False),
        ("Castle", "The wooden gate was replaced by a stone one.", False),
    ],
)
def test_a_document_that_says_that_it_is_past_is_known_in_all_its_parts(title, text, is_past):
    parts = [FramedSource(1, title, "", text), FramedSource(2, title, "", "Claims are taken all day.")]
    assert {passage.is_past for passage in passages_of(parts)} == {is_past}
