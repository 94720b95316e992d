"""Asking many things of a model, some at once."""

import threading
import time

import pytest

from llmapp.errors import CostError, ModelUnavailableError
from llmapp.evaluation.asking import ask_all


class Told:
    """A progress, written down."""

    def __init__(self):
        self.said = []

    def start(self, total):
        self.said.append(total)

    def advance(self, name):
        self.said.append(name)


def failing(*numbers, error=None):
    asked = []

    def ask(number):
        asked.append(number)
        problem = (error or ModelUnavailableError("away")) if number in numbers else None
        return (f"failed {number}" if problem else number, problem)

    ask.asked = asked
    return ask


def not_asked(number, error):
    return f"not asked {number}: {error.message}"


def test_what_comes_stands_in_the_order_of_what_was_asked_whichever_came_first():
    def slow_first(number):
        time.sleep(0.05 if number == 0 else 0)
        return number * 10, None

    told = Told()
    assert ask_all(range(5), slow_first, not_asked, at_once=4, progress=told, name="n{}".format) == [0, 10, 20, 30, 40]
    assert told.said == [5, "n0", "n1", "n2", "n3", "n4"]


def test_no_more_are_asked_at_once_than_may_be():
    running, most, lock = 0, 0, threading.Lock()

    def ask(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return number, None

    ask_all(range(12), ask, not_asked, at_once=3)
    assert most == 3


def test_after_five_failures_in_a_row_the_rest_is_not_asked():
    ask = failing(*range(1, 20))
    outcomes = ask_all(range(8), ask, not_asked)
    assert ask.asked == [0, 1, 2, 3, 4, 5]
    assert outcomes[5:] == ["failed 5", "not asked 6: away", "not asked 7: away"]


def test_a_success_between_failures_starts_the_count_anew():
    ask = failing(*(number for number in range(12) if number % 4))
    ask_all(range(12), ask, not_asked)
    assert ask.asked == list(range(12))


def test_without_money_the_rest_is_not_asked_and_where_nothing_went_well_the_error_is_raised():
    error = CostError("none left")
    assert ask_all(range(3), failing(1, error=error), not_asked) == [0, "failed 1", "not asked 2: none left"]
    with pytest.raises(CostError):
        ask_all(range(3), failing(0, error=error), not_asked)
