import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.prompting.counting import CorrectedCounter, EstimateCounter
from llmapp.testing.fakes import ByteCounter
from llmapp.types import Message

REQUEST = [Message("user", "x" * 93)]  # 100 bytes with its frame


@pytest.fixture
def counter():
    return CorrectedCounter(ByteCounter())


def test_one_request_above_its_estimate_raises_the_next_at_once(counter):
    counter.learn(REQUEST, 130)
    assert counter.count_request(REQUEST) == 130
    assert counter.factor == 1.3


def test_an_estimate_is_lowered_after_eight_requests_to_the_highest_of_them(counter):
    for n in range(7):
        counter.learn(REQUEST, 60 + n)
        assert counter.count_request(REQUEST) == 100
    counter.learn(REQUEST, 60)
    assert counter.count_request(REQUEST) == 66


def test_what_a_server_had_cached_does_not_lower_the_estimate_of_the_next_request(counter):
    for tokens in (90, *[5] * 20):
        counter.learn(REQUEST, tokens)
    assert counter.count_request(REQUEST) == 90


@pytest.mark.parametrize(("tokens", "corrected"), [(10_000, 300), (1, 50)])
def test_a_correction_stays_within_bounds(counter, tokens, corrected):
    for _ in range(8):
        counter.learn(REQUEST, tokens)
    assert counter.count_request(REQUEST) == corrected


def test_a_request_of_long_ago_is_forgotten(counter):
    for tokens in (200, *[100] * 256):
        counter.learn(REQUEST, tokens)
    assert counter.count_request(REQUEST) == 100


def test_no_usage_teaches_nothing(counter):
    for _ in range(20):
        counter.learn(REQUEST, 0)
    assert counter.factor == 1


@given(text=st.text(max_size=200), tokens=st.lists(st.integers(1, 10_000), max_size=12))
def test_no_correction_goes_above_what_no_encoding_exceeds(text, tokens):
    counter = CorrectedCounter(EstimateCounter())
    for each in tokens:
        counter.learn(REQUEST, each)
    assert counter.count(text) <= counter.upper_bound(text) == len(text.encode())


def test_a_corrected_estimate_is_still_an_estimate(counter):
    assert not counter.is_exact
    assert not counter.is_exact_with_tools
    assert counter.name == "corrected:bytes"
