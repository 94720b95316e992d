import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from llmapp.costs.meter import Meter, read_usage
from llmapp.types import Usage


def report(input_tokens, output_tokens, **details):
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "input_token_details": details,
    }


def test_cached_tokens_are_part_of_the_input():
    found = read_usage([report(100, 20, cache_read=60, cache_creation=10)])
    assert found == Usage(100, 20, cache_read_tokens=60, cache_write_tokens=10)


def test_cache_writes_by_lifetime_are_added_up():
    found = read_usage([report(100, 1, ephemeral_5m_input_tokens=10, ephemeral_1h_input_tokens=20)])
    assert found.cache_write_tokens == 30


@pytest.mark.parametrize(
    "impossible",
    [
        {},
        report(0, 0),
        report(0, 5),
        report(10, -1),
        report(10, 1, cache_read=11),
        report(-5, 1),
        report(10**30, 1),
        report(1, True),
    ],
)
def test_a_report_that_cannot_be_true_is_none(impossible):
    assert read_usage([impossible]) is None
    assert read_usage([]) is None


@pytest.mark.parametrize("partial", [{"input_tokens": 5}, {"output_tokens": 5}, {"input_tokens": 5, "output_tokens": None}])
def test_a_report_that_lacks_a_count_is_none_alone_and_in_a_stream(partial):
    assert read_usage([partial]) is None
    meter = Meter()
    for usage in (report(40, 7), partial):
        message = AIMessageChunk(content="x")
        message.usage_metadata = usage  # as packages do that set it later, unchecked
        meter.add(ChatGenerationChunk(message=message))
    assert meter.usage is None
    meter.check_complete()


def test_details_that_are_null_count_as_nothing():
    assert read_usage([report(100, 20, cache_read=None), report(0, 1, cache_read=3)]) == Usage(100, 21, cache_read_tokens=3)


def test_parts_of_a_stream_are_added_up():
    meter = Meter()
    for usage in (report(40, 0), report(0, 7)):  # as Anthropic's stream reports it
        meter.add(ChatGenerationChunk(message=AIMessageChunk(content="x", usage_metadata=usage)))
    meter.check_complete()
    assert meter.usage == Usage(40, 7)


def test_a_stream_without_end_and_usage_is_not_complete():
    meter = Meter()
    meter.add(ChatGenerationChunk(message=AIMessageChunk(content="x")))
    with pytest.raises(ConnectionError):
        meter.check_complete()
    meter.add(ChatGenerationChunk(message=AIMessageChunk(content=""), generation_info={"finish_reason": "stop"}))
    meter.check_complete()
