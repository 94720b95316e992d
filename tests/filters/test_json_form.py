from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.errors import FilterError
from llmapp.filters import parse_filter

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$and", "$or", "$not", "$in", "$gte", "$date", "$exists", "a", ""]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": {}},
        {"a": [1]},
        {"a": {"$in": 1}},
        {"a": {"$in": [None]}},
        {"a": {"$in": [[1]]}},
        {"a": {"$exists": 1}},
        {"a": {"$gt": "x"}},
        {"a": {"$gt": None}},
        {"a": {"b": 1}},
        {"a": {"$date": "yesterday"}},
        {"a": {"$date": "2024-01-31", "x": 1}},
        {"$and": []},
        {"$and": {"a": 1}},
        {"$not": [1]},
        {"$where": "1"},
        {1: 2},
        [],
        1,
        None,
    ],
)
def test_what_is_no_filter_is_refused_with_a_hint(value):
    with pytest.raises(FilterError) as raised:
        parse_filter(value)
    assert raised.value.hint


def test_a_misspelt_operator_is_answered_with_the_nearest():
    with pytest.raises(FilterError) as raised:
        parse_filter({"year": {"$gtee": 1}})
    assert "$gte" in raised.value.hint


def test_several_fields_and_operators_are_joined_by_and():
    assert str(parse_filter({"a": {"$gt": 1, "$lt": 5}, "b": "x"})) == '(a > 1 and a < 5) and b = "x"'


def test_not_stands_before_a_filter_or_before_the_operators_of_a_field():
    assert (
        parse_filter({"$not": {"a": {"$gt": 1}}}) == parse_filter({"a": {"$not": {"$gt": 1}}}) == parse_filter("not a > 1")
    )


def test_nothing_that_was_sent_is_repeated_but_names_of_fields():
    for value in ({"a": {"$secret": 1}}, {"$secret": 1}, {"a": {"$gt": "secret"}}, "a = secret", "a > 'secret'", '{"secret'):
        with pytest.raises(FilterError) as raised:
            parse_filter(value)
        assert "secret" not in raised.value.message + raised.value.hint


def test_a_deep_object_is_refused():
    deep = {"a": 1}
    for _ in range(50_000):
        deep = {"$not": deep}
    with pytest.raises(FilterError, match="deep"):
        parse_filter(deep)
    deep = 1
    for _ in range(50_000):
        deep = {"$not": deep}
    with pytest.raises(FilterError, match="deep"):
        parse_filter({"a": deep})


@given(json_values)
def test_any_json_is_a_filter_or_a_filter_error(value):
    with suppress(FilterError):
        parse_filter(value)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"day": {"$date": "2024-02-30"}}, "there must be such a day"),
        ({"name": {"$regex": "x"}}, "operators are"),
        ({"name": {"$exist": True}}, "did you mean $exists?"),
    ],
)
def test_hints_name_what_was_meant_and_nothing_else(where, told):
    with pytest.raises(FilterError) as raised:
        parse_filter(where)
    assert told in raised.value.hint
