import pytest

from llmapp.errors import ModelUnavailableError
from llmapp.prompting.counting import CorrectedCounter, ProviderCounter
from llmapp.testing.fakes import ByteCounter
from llmapp.types import Message, Tool

REQUEST = [Message("user", "x" * 93)]
TOOL = Tool("look_up", "Looks a word up.", {"type": "object"})


class Endpoint:
    """Counts a tenth of what an estimate does, or fails; keeps what it was asked."""

    name = "anthropic:claude"
    is_exact = True

    def __init__(self):
        self.asked, self.fails = [], False

    def __call__(self, messages, tools):
        self.asked.append((messages, tools))
        if self.fails:
            raise ModelUnavailableError("the provider did not answer in time")
        return 70 + 7 * len(tools)


@pytest.fixture
def endpoint():
    return Endpoint()


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def counter(endpoint, clock):
    return ProviderCounter(endpoint, CorrectedCounter(ByteCounter()), clock_s=lambda: clock[0])


def test_a_request_is_asked_once_and_remembered_with_its_tools(counter, endpoint):
    assert [counter.count_request(REQUEST) for _ in range(3)] == [70] * 3
    assert counter.count_request(REQUEST, tools=[TOOL]) == 77
    assert len(endpoint.asked) == 2
    assert counter.is_exact
    assert counter.name == "provider:anthropic:claude"


def test_texts_and_parts_of_requests_are_estimated_without_a_call(counter, endpoint):
    assert counter.count("abc") == 3 <= counter.upper_bound("abc")
    assert counter.count_request([]) == 3
    assert counter.count_request([Message("system", "abc")]) == 3 + 4 + 3
    assert counter.count_request([Message("user", "a"), Message("assistant", "b")]) == 3 + 2 * 5
    assert endpoint.asked == []


def test_the_estimate_of_texts_learns_from_what_was_asked(counter):
    for n in range(8):
        counter.count_request([Message("user", "x" * 93 + str(n))])
    assert counter.count("x" * 100) < 100


def test_an_endpoint_that_fails_is_left_alone_for_a_minute_and_the_count_says_so(counter, endpoint, clock):
    endpoint.fails = True
    assert counter.count_request(REQUEST) == 100
    assert not counter.is_exact
    assert "did not answer" in str(counter.failure)
    counter.count_request([Message("user", "another")])
    assert len(endpoint.asked) == 1
    clock[0], endpoint.fails = 61.0, False
    assert counter.count_request(REQUEST) == 70
    assert counter.is_exact
    assert counter.failure is None


def test_a_provider_that_only_estimates_is_not_called_exact(counter, endpoint):
    endpoint.is_exact = False
    assert counter.count_request(REQUEST) == 70
    assert not counter.is_exact


def test_what_is_remembered_is_bounded(counter):
    for n in range(1100):
        counter.count_request([Message("user", str(n))])
    assert len(counter._counts) == 1024
