import pytest

from llmapp.costs.limits import Limit, LimitSet, limits_of
from llmapp.costs.windows import Span

MONTH = Span("month")
EVERY_USER = Limit("user", "*", MONTH, 20)
ANNA = Limit("user", "anna", MONTH, 50)
ANNA_A_DAY = Limit("user", "anna", Span("day"), 5)


def test_a_named_limit_stands_in_for_that_of_everybody_in_the_same_window():
    limits = LimitSet([EVERY_USER, ANNA, ANNA_A_DAY])
    assert limits.of("user:anna") == [ANNA, ANNA_A_DAY]
    assert limits.of("user:bert") == [EVERY_USER]
    assert limits.of("application") == limits.of("group:anna") == []


def test_limits_from_two_places_all_hold():
    assert limits_of("user:anna", [LimitSet([EVERY_USER]), LimitSet([ANNA])]) == [EVERY_USER, ANNA]


def test_what_is_only_counted_gives_way_to_a_limit_of_the_same_window():
    counted, limited = Limit("application", "*", MONTH, None), Limit("application", "*", MONTH, 9)
    assert limits_of("application", [LimitSet([counted]), LimitSet([limited])]) == [limited]


def test_a_name_may_hold_colons():
    assert LimitSet([Limit("user", "a:b", MONTH, 1)]).of("user:a:b")


@pytest.mark.parametrize("wrong", [("nobody", "*", 1), ("user", "*", -1), ("user", "", 1), ("application", "mine", 1)])
def test_what_is_no_limit_is_refused(wrong):
    scope, name, nano_usd = wrong
    with pytest.raises(ValueError, match=r"."):
        Limit(scope, name, MONTH, nano_usd)
