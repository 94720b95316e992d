import re
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.errors import FilterError
from llmapp.filters import And, Compare, Exists, Not, OneOf, Or, parse_filter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('lang = "de"', OneOf("lang", ("de",))),
        ("lang == 'de'", OneOf("lang", ("de",))),
        ('lang in ("de", "en")', OneOf("lang", ("de", "en"))),
        ("lang in ()", OneOf("lang", ())),
        ("year >= 2023", Compare("year", ">=", 2023)),
        ("score < -1.5e3", Compare("score", "<", -1500.0)),
        ("approved = TRUE", OneOf("approved", (True,))),
        ("draft = null", Not(Exists("draft"))),
        ("draft != null", Exists("draft")),
        ("EXISTS ( draft )", Exists("draft")),
        ("a <> 1", And((Exists("a"), Not(OneOf("a", (1,)))))),
        ("a not in (1)", And((Exists("a"), Not(OneOf("a", (1,)))))),
        ("p > 2024-01-31", Compare("p", ">", date(2024, 1, 31))),
        ("p = 2024-01-31 10:00+02:00", OneOf("p", (datetime(2024, 1, 31, 8, tzinfo=UTC),))),
        ("p >= '2024-01-31T10:00Z'", Compare("p", ">=", datetime(2024, 1, 31, 10, tzinfo=UTC))),
        ("`a b`.c = 1".replace(".c", ""), OneOf("a b", (1,))),
        (r"`a\`b` = 'it\'s'", OneOf("a`b", ("it's",))),
        ("größe-1.x = 1", OneOf("größe-1.x", (1,))),
        ("a=1 or b=2 and not c=3", Or((OneOf("a", (1,)), And((OneOf("b", (2,)), Not(OneOf("c", (3,)))))))),
        ("(a=1 or b=2) and c=3", And((Or((OneOf("a", (1,)), OneOf("b", (2,)))), OneOf("c", (3,))))),
        ("a = 1\n  and b = 2", And((OneOf("a", (1,)), OneOf("b", (2,))))),
    ],
)
def test_text_is_read_as_it_is_meant(text, expected):
    assert repr(parse_filter(text)) == repr(expected)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", 1, "a field is expected"),
        ("year >= ", 9, "a value is expected"),
        ("year = de", 8, "a value is expected"),
        ("year 2023", 6, "is expected"),
        ("year = 2023 lang = 1", 13, "and, or, or the end is expected"),
        ("(a = 1", 7, "a closing parenthesis is expected"),
        ("a in (1 2)", 9, ", or a closing parenthesis is expected"),
        ("a = 'x", 5, "no part of a filter"),
        ("a = 5kg", 5, "no part of a filter"),
        ("a ~ 1", 3, "no part of a filter"),
        ("a = 1 and ;", 11, "no part of a filter"),
        ("in = 3", 1, "a field is expected"),
        ("a = 2024-02-30", 5, "a date that there is"),
        ("a = 1e999", 5, "a smaller number"),
        ("a = " + "9" * 5_000, 5, "a smaller number"),
        ('a >= "x"', 6, "compares numbers and times"),
        ("a < true", 5, "compares numbers and times"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_with_its_place(text, place, problem):
    with pytest.raises(FilterError) as raised:
        parse_filter(text)
    assert f"character {place}:" in raised.value.message
    assert problem in raised.value.message
    assert raised.value.position == place - 1
    assert raised.value.text == text
    assert raised.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5_000 + "a = 1" + ")" * 5_000,
        "not " * 4_000 + "a = 1",
        " and ".join(["a = 1"] * 1_000),
        "a in (" + ", ".join(["1"] * 3_000) + ")",
        "a = 1 or " * 3_000 + "a = 1",
        '{"$and": [' * 1_500 + '{"a": 1}' + "]}" * 1_500,
        '{"$not": ' * 2_000 + '{"a": 1}' + "}" * 2_000,
        '{"a": ' + "[" * 15_000,
        '{"a": ' + "9" * 15_000 + "}",
        "`" * 19_999,
        "\\" * 19_999,
        "'" + "\\'" * 9_000,
    ],
)
def test_hostile_texts_are_refused_and_crash_nothing(text):
    with pytest.raises(FilterError):
        parse_filter(text)


@given(
    st.text(
        alphabet=st.sampled_from(list("ab =<>!()'\"`\\,.-0129Tnotandorexists{}$:[]\n\ud800")) | st.characters(), max_size=40
    )
)
def test_any_text_is_a_filter_or_a_filter_error(text):
    with suppress(FilterError):
        parse_filter(text)


def rows_of(heading):
    text = (Path(__file__).resolve().parents[2] / "architecture/filters.md").read_text(encoding="utf-8")
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [
        re.findall(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", line) for line in section.splitlines() if line.startswith("| `")
    ]
    return [[written.strip() for _, written in cells] for cells in rows]


def test_every_filter_of_the_documentation_is_one():
    rows = rows_of("As text")
    assert len(rows) > 10
    for first, *_ in rows:
        parse_filter(first)


def test_both_forms_of_the_documentation_are_the_same_filter():
    rows = rows_of("As JSON")
    assert len(rows) > 8
    for written, text in rows:
        assert parse_filter(written) == parse_filter(text)
