import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from llmapp.costs.bounds import input_bound_tokens
from llmapp.errors import CostError, PromptError
from llmapp.prompting.counting import BpeCounter, counter_for
from llmapp.testing.fakes import ByteCounter

INEXACT = counter_for("unknown:m")


LONG = "x" * 500


def test_an_exact_counter_is_taken_at_its_word_for_the_text():
    counter = ByteCounter()
    assert input_bound_tokens([HumanMessage("abc" + LONG)], {}, counter) - input_bound_tokens(
        [HumanMessage("abc")], {}, counter
    ) == len(LONG)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_without_one_the_bound_is_above_any_byte_level_count(texts):
    assert not INEXACT.is_exact
    bound = input_bound_tokens([HumanMessage(text) for text in texts], {}, INEXACT)
    assert bound >= sum(BpeCounter().count(text) for text in texts)


class RefusingCounter(ByteCounter):
    """As one whose chat template wants roles to alternate."""

    def count_request(self, messages, *, tools=()):
        raise PromptError("the chat template of the model refuses the request")


class FailingCounter(ByteCounter):
    """As one whose provider gives no count when it is asked."""

    def count_request(self, messages, *, tools=()):
        self.is_exact = False
        return 1


def test_a_count_that_turns_out_to_be_an_estimate_is_not_taken_for_a_bound():
    assert input_bound_tokens([HumanMessage("a" * 100)], {}, FailingCounter()) == 100 + 2 * 16


def test_turns_that_a_chat_template_refuses_are_bounded_by_their_bytes():
    assert input_bound_tokens([HumanMessage("ä" * 100)] * 2, {}, RefusingCounter()) == 400 + 3 * 16


@pytest.mark.parametrize("counter", [ByteCounter(), INEXACT])
def test_tools_and_earlier_tool_calls_are_counted(counter):
    call = {"name": "look_up", "args": {"word": "x" * 500}, "id": "1"}
    plain = input_bound_tokens([SystemMessage("s"), AIMessage("")], {}, counter)
    assert input_bound_tokens([SystemMessage("s"), AIMessage("", tool_calls=[call])], {}, counter) > plain + 500
    assert input_bound_tokens([SystemMessage("s"), AIMessage("")], {"tools": [{"name": "y" * 300}]}, counter) > plain + 300


@pytest.mark.parametrize(
    "message",
    [
        AIMessage(
            "", invalid_tool_calls=[{"name": "f", "args": LONG, "id": "1", "error": None, "type": "invalid_tool_call"}]
        ),
        AIMessage("", additional_kwargs={"function_call": {"name": "f", "arguments": LONG}}),
        AIMessage("", additional_kwargs={"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": LONG}}]}),
        AIMessage([{"type": "tool_use", "id": "1", "name": "f", "input": {"word": LONG}}]),
        HumanMessage([{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": LONG}]}]),
        HumanMessage([{"type": "text", "text": "", "cited": LONG}]),
        ToolMessage("", tool_call_id=LONG),
        HumanMessage("", name=LONG),
        ChatMessage("", role=LONG),
    ],
)
@pytest.mark.parametrize("counter", [ByteCounter(), INEXACT])
def test_what_is_sent_beside_the_text_is_counted(counter, message):
    assert input_bound_tokens([message], {}, counter) > 500


@pytest.mark.parametrize("counter", [ByteCounter(), INEXACT])
def test_every_message_is_allowed_its_marks(counter):
    assert input_bound_tokens([HumanMessage("")] * 10, {}, counter) >= 10 * 16


IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.org/x.png"}}


@pytest.mark.parametrize(
    "block",
    [
        IMAGE,
        {**IMAGE, "text": "a caption"},
        {"type": "tool_result", "tool_use_id": "1", "content": [IMAGE]},
        {"type": "file"},
    ],
)
def test_what_has_no_bound_is_refused(block):
    with pytest.raises(CostError, match="images"):
        input_bound_tokens([HumanMessage([block])], {}, INEXACT)


def test_an_option_that_is_not_json_is_refused():
    with pytest.raises(CostError, match="response_format"):
        input_bound_tokens([HumanMessage("a")], {"response_format": HumanMessage}, INEXACT)


def test_text_in_blocks_counts_like_text():
    blocks = [HumanMessage([{"type": "text", "text": "abc"}, "def"])]
    assert input_bound_tokens(blocks, {}, INEXACT) >= input_bound_tokens([HumanMessage("abcdef")], {}, INEXACT)
