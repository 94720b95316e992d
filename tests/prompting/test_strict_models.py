"""Models whose chat templates refuse much, and providers that count themselves: what the assembler counts is what they take."""

from itertools import pairwise

import pytest
from counting_models import CHATML, MISTRAL, byte_level
from transformers import PreTrainedTokenizerFast

from llmapp.errors import PromptError
from llmapp.prompting.assembly import Assembler
from llmapp.prompting.counting import BpeCounter, CorrectedCounter, EstimateCounter, HuggingFaceCounter, ProviderCounter
from llmapp.prompting.history import NO_ANSWER
from llmapp.testing.fakes import ByteCounter
from llmapp.types import Chunk, Hit, Message, Tool, ToolCall

ASKED_BY_A_USER = (
    "{% if not messages | selectattr('role', 'equalto', 'user') | list %}{{ raise_exception('No user query found.') }}{% endif %}"
    + CHATML
)
"""As Qwen 3.5's template refuses a request without a question."""
NO_RULES = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
"""As Gemma's does with a system message."""
HISTORIES = {
    "none": [],
    "answered": [Message("user", "Hello."), Message("assistant", "Hi.")],
    "wrote on": [Message("user", "Hello."), Message("user", "Are you there?"), Message("assistant", "Yes.")],
    "failed": [Message("user", "Hello."), Message("assistant", "Hi."), Message("user", "Is water covered?")],
    "open call": [Message("user", "Look it up."), Message("assistant", "", (ToolCall("call00001", "look_up", "{}"),))],
    "two open": [Message("user", "One?"), Message("user", "Two?")],
}
TOOL = Tool("look_up", "Looks a word up. " * 40, {"type": "object", "properties": {"word": {"type": "string"}}})


def _counter(folder, template):
    PreTrainedTokenizerFast(
        tokenizer_object=byte_level(), bos_token="<s>", eos_token="</s>", chat_template=template
    ).save_pretrained(folder)
    return HuggingFaceCounter(folder)


def _hits(number):
    texts = [f"Water damage number {n} is reported within {n} hours. " * 4 for n in range(1, number + 1)]
    return [
        Hit(Chunk(f"c{n}", "s", f"d{n}", "u", "t", text, 0, len(text)), 1 / n, n, "fused")
        for n, text in enumerate(texts, start=1)
    ]


class _Endpoint:
    """A provider that counts bytes, and refuses what a provider refuses: no question, two users in a row."""

    name, is_exact = "strict:model", True

    def __init__(self):
        self.asked = []

    def __call__(self, messages, tools):
        self.asked.append(messages)
        assert messages[-1].role == "user"
        assert messages[-1].content.strip()
        roles = [message.role for message in messages]
        assert all(not (a == b == "user") for a, b in pairwise(roles))
        return ByteCounter().count_request(messages, tools=tools) // 4


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
@pytest.mark.parametrize("template", [MISTRAL, ASKED_BY_A_USER], ids=["alternating", "asked by a user"])
def test_templates_that_refuse_much_take_every_conversation(tmp_path, template, history):
    assembler = Assembler(_counter(tmp_path, template), budget_tokens=6_000, reserve_output_tokens=10)
    report = assembler.assemble("Is water covered?", _hits(3), history=history, measure=True).report
    assert report.used_tokens <= 6_000
    assert 0 < report.static_prefix_tokens < report.used_tokens
    placed = [decision.placed_tokens for decision in report.decisions if decision.placed_tokens is not None]
    assert sum(placed) == report.used_tokens
    assert all(tokens > 0 for tokens in placed)


def test_what_a_template_refuses_for_good_is_said(tmp_path):
    assembler = Assembler(_counter(tmp_path, NO_RULES), budget_tokens=6_000, reserve_output_tokens=10)
    with pytest.raises(PromptError, match="System role not supported"):
        assembler.assemble("Is water covered?", [])


def test_a_turn_that_nobody_answered_stands_with_its_words():
    assembler = Assembler(ByteCounter(), budget_tokens=6_000, reserve_output_tokens=10)
    messages = assembler.assemble("Is water covered?", [], history=HISTORIES["wrote on"]).messages[1:-1]
    assert [(message.role, message.content) for message in messages] == [
        ("user", "Hello."),
        ("assistant", NO_ANSWER),
        ("user", "Are you there?"),
        ("assistant", "Yes."),
    ]


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_a_provider_is_asked_for_whole_requests_only(history):
    endpoint = _Endpoint()
    counter = ProviderCounter(endpoint, CorrectedCounter(EstimateCounter()))
    prompt = Assembler(counter, budget_tokens=3_000, reserve_output_tokens=10).assemble(
        "Is water covered?", _hits(12), history=history
    )
    assert prompt.report.used_tokens == endpoint(prompt.messages, ()) <= 3_000
    assert 1 < len(endpoint.asked) <= 8


@pytest.mark.parametrize("counter", [BpeCounter("o200k_base"), ByteCounter(), EstimateCounter()], ids=lambda one: one.name)
def test_tools_are_part_of_what_is_counted_and_reported(counter):
    assembler = Assembler(counter, budget_tokens=4_000, reserve_output_tokens=10)
    prompt = assembler.assemble("Is water covered?", _hits(40), tools=[TOOL], measure=True)
    report = prompt.report
    assert report.used_tokens == counter.count_request(prompt.messages, tools=[TOOL]) <= 4_000
    assert report.used_tokens > counter.count_request(prompt.messages) + 100
    assert report.is_exact == counter.is_exact_with_tools
    tools = report.decisions[0]
    assert (tools.item, tools.section, tools.outcome, tools.reason) == ("tools", "tools", "kept", "pinned")
    assert report.sections[0].name == "tools"
    assert report.static_prefix_tokens > tools.tokens > 100
    assert sum(decision.placed_tokens or 0 for decision in report.decisions) == report.used_tokens


def test_hits_and_history_may_come_one_by_one():
    assembler = Assembler(ByteCounter(), budget_tokens=6_000, reserve_output_tokens=10)
    history = HISTORIES["answered"]
    given = assembler.assemble("Is water covered?", iter(_hits(3)), history=iter(history))
    assert given == assembler.assemble("Is water covered?", _hits(3), history=history)
