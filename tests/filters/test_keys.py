from filters import oracle
from filters.strategies import filters, metadata, numbers
from hypothesis import given
from hypothesis import strategies as st

from llmapp.filters import Compare, Exists, OneOf, parse_filter
from llmapp.filters.keys import facts, keys, predicate, spans


@given(filters, metadata)
def test_keys_say_what_plain_python_says(where, known):
    is_satisfied = predicate(where)
    assert is_satisfied(set(facts(known))) == oracle.satisfies(where, known)
    assert is_satisfied(set(facts(known, where.fields))) == oracle.satisfies(where, known)


@given(numbers, numbers)
def test_keys_of_numbers_sort_as_numbers_do(one, other):
    (first,), (second,) = keys(one), keys(other)
    assert (first < second, first == second) == (one < other, one == other)


def test_integers_are_exact_at_any_size():
    for number in (2**53, 2**63, 10**30, 10**300):
        assert len({keys(number - 1), keys(number), keys(number + 1)}) == 3
    assert keys(10**400) > keys(1.7e308)


@given(st.text(min_size=150, max_size=300), st.text(min_size=150, max_size=300))
def test_long_texts_are_told_apart_and_their_keys_are_short(one, other):
    assert (keys(one) == keys(other)) == (one == other)
    assert len(keys(one)[0]) <= 201


def test_what_cannot_be_named_is_no_fact():
    hostile = {
        "": 1,
        "$x": 1,
        "x" * 201: 1,
        "a\nb": 1,
        "ok": {"y\n": {"z": 1}, "z": 1},
        "none": None,
        "empty": [],
        "object": {},
    }
    assert {field for field, _ in facts(hostile)} == {"ok", "ok.z"}


def test_an_object_exists_where_anything_in_it_has_a_value():
    known = {"author": {"name": "Ann"}, "editor": [{"name": None}], "log": {"last": {"by": ["Bob"]}}, "empty": {"x": []}}
    satisfied = {name for name in (*known, "log.last", "log.first") if predicate(Exists(name))(set(facts(known, {name})))}
    assert satisfied == {"author", "log", "log.last"}
    assert not predicate(parse_filter("author = null"))(set(facts(known)))


def test_deep_metadata_crash_nothing():
    deep = 1
    for _ in range(100_000):
        deep = [deep]
    assert [field for field, _ in facts({"a": deep})] == ["a"]


def test_a_condition_is_spans_of_keys_of_one_kind():
    for where in (OneOf("a", (1, "x", True)), Compare("a", "<", 3), parse_filter("a >= 2024-01-31")):
        assert all(low < high for low, high in spans(where))
