from datetime import UTC, date, datetime, timedelta, timezone
from functools import reduce

import pytest
from filters.strategies import filters
from hypothesis import given

from llmapp.errors import FilterError
from llmapp.filters import And, Compare, Exists, Not, OneOf, parse_filter


@given(filters)
def test_what_is_written_as_text_is_read_back(where):
    read = parse_filter(str(where))
    assert read == where
    assert parse_filter(str(read)) == read
    assert repr(parse_filter(str(read))) == repr(read)


@given(filters)
def test_what_is_written_as_json_is_read_back(where):
    assert parse_filter(where.to_json()) == where


def test_one_and_true_are_different_filters():
    assert OneOf("a", (1,)) != OneOf("a", (True,))
    assert len({OneOf("a", (1,)), OneOf("a", (True,)), OneOf("a", (1,))}) == 2


def test_a_time_is_kept_in_utc():
    eastern = timezone(timedelta(hours=-5))
    assert OneOf("a", (datetime(2024, 1, 1, 20, tzinfo=eastern),)) == OneOf("a", (datetime(2024, 1, 2, 1, tzinfo=UTC),))
    assert parse_filter("a = 2024-01-02T01:00") == OneOf("a", (datetime(2024, 1, 2, 1, tzinfo=UTC),))


def test_filters_are_joined_by_the_signs_of_python_without_growing_deep():
    joined = OneOf("a", (0,))
    for number in range(1, 100):
        joined = joined & OneOf("a", (number,))
    assert isinstance(joined, And)
    assert len(joined.parts) == 100
    assert str((Exists("a") | Exists("b")) & ~Exists("c")) == "(exists(a) or exists(b)) and not exists(c)"


def test_a_filter_names_its_fields_and_those_that_it_compares():
    where = parse_filter("a = 1 or not (b > 2 and exists(c.d))")
    assert where.fields == {"a", "b", "c.d"}
    assert where.compared_fields == {"a", "b"}


def test_a_filter_that_is_made_too_deep_is_refused():
    with pytest.raises(FilterError, match="deep"):
        reduce(lambda where, _: Not(where), range(100), Exists("a"))


@pytest.mark.parametrize(
    "value",
    [
        None,
        float("nan"),
        float("inf"),
        10**400,
        [1],
        {"a": 1},
        b"x",
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
    ],
)
def test_values_that_no_filter_can_hold_are_refused(value):
    with pytest.raises(FilterError):
        OneOf("a", (value,))


@pytest.mark.parametrize("field", ["", "$and", "a\nb", "x" * 201, "\ud800", 3])
def test_names_that_no_field_can_have_are_refused(field):
    for make in (lambda: Exists(field), lambda: OneOf(field, (1,)), lambda: Compare(field, ">", 1)):
        with pytest.raises(FilterError):
            make()


@pytest.mark.parametrize(
    "make",
    [lambda: And(()), lambda: Compare("a", "~", 1), lambda: Compare("a", "<", "text"), lambda: Compare("a", "<", True)],
)
def test_filters_that_mean_nothing_are_refused(make):
    with pytest.raises(FilterError):
        make()


def test_text_that_is_a_time_is_compared_as_one():
    assert Compare("a", ">=", "2024-01-31").value == date(2024, 1, 31)
