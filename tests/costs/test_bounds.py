import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from llmapp.costs.bounds import input_bound_tokens
from llmapp.prompting.counting import BpeCounter, counter_for
from llmapp.testing.fakes import ByteCounter

INEXACT = counter_for("unknown:m")


def test_an_exact_counter_is_taken_at_its_word():
    counter = ByteCounter()
    assert input_bound_tokens([HumanMessage("abc")], {}, counter) == 3 + 4 + 3


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_without_one_the_bound_is_above_any_byte_level_count(texts):
    assert not INEXACT.is_exact
    bound = input_bound_tokens([HumanMessage(text) for text in texts], {}, INEXACT)
    assert bound >= sum(BpeCounter().count(text) for text in texts)


@pytest.mark.parametrize("counter", [ByteCounter(), INEXACT])
def test_tools_and_earlier_tool_calls_are_counted(counter):
    call = {"name": "look_up", "args": {"word": "x" * 500}, "id": "1"}
    plain = input_bound_tokens([SystemMessage("s"), AIMessage("")], {}, counter)
    assert input_bound_tokens([SystemMessage("s"), AIMessage("", tool_calls=[call])], {}, counter) > plain + 500
    assert input_bound_tokens([SystemMessage("s"), AIMessage("")], {"tools": [{"name": "y" * 300}]}, counter) > plain + 300


def test_text_in_blocks_counts_like_text():
    blocks = [HumanMessage([{"type": "text", "text": "abc"}, "def"])]
    assert input_bound_tokens(blocks, {}, INEXACT) >= input_bound_tokens([HumanMessage("abcdef")], {}, INEXACT)
