import json
import subprocess
import sys

import pytest

from llmapp.prompting.counting import BpeCounter
from llmapp.prompting.counting.openai_tools import tools_text
from llmapp.types import Message, Tool, ToolCall


@pytest.fixture(scope="module")
def o200k():
    return BpeCounter()


def test_known_texts_have_the_counts_of_openai(o200k):
    # Counts of tiktoken 0.14 for the same texts.
    assert o200k.count("hello world") == 2
    assert o200k.count("") == 0
    assert BpeCounter("cl100k_base").count("tiktoken is great!") == 6


def test_the_spelling_of_a_special_token_is_ordinary_text(o200k):
    assert o200k.count("<|endoftext|>") == 7
    assert o200k.count("before<|endoftext|>after") > 7


def test_a_lone_surrogate_counts_as_the_replacement_character(o200k):
    assert o200k.count("a\ud800b") == o200k.count("a\ufffdb")


def test_a_request_costs_its_contents_its_roles_and_the_published_frame(o200k):
    messages = [Message("system", "Be brief."), Message("user", "What is due?")]
    contents = sum(o200k.count(m.content) + o200k.count(m.role) for m in messages)
    assert o200k.count_request(messages) == 3 + 2 * 3 + contents
    assert o200k.count_request([]) == 3


HELLO = [Message("user", "hello")]
SEEN = {
    "foo": (Tool("foo", "", {"type": "object", "properties": {}}), 31),
    "described": (Tool("foo", "Do a foo", {"type": "object", "properties": {}}), 36),
    "property": (Tool("bing_bong", "Do a bing bong", {"type": "object", "properties": {"foo": {"type": "string"}}}), 49),
    "properties": (
        Tool(
            "bing_bong",
            "Do a bing bong",
            {
                "type": "object",
                "properties": {"foo": {"type": "string"}, "bar": {"type": "number", "description": "A number"}},
            },
        ),
        57,
    ),
    "nested": (
        Tool(
            "bing_bong",
            "Do a bing bong",
            {
                "type": "object",
                "properties": {
                    "foo": {
                        "type": "object",
                        "properties": {"bar": {"type": "string", "enum": ["a", "b", "c"]}, "baz": {"type": "boolean"}},
                    }
                },
            },
        ),
        68,
    ),
    "array": (
        Tool(
            "get_recipe",
            "",
            {
                "type": "object",
                "required": ["ingredients", "instructions", "time_to_cook"],
                "properties": {
                    "ingredients": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name", "unit", "amount"],
                            "properties": {
                                "name": {"type": "string"},
                                "unit": {"enum": ["grams", "ml", "cups", "pieces", "teaspoons"], "type": "string"},
                                "amount": {"type": "number"},
                            },
                        },
                    },
                    "instructions": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": "Steps to prepare the recipe (no numbering)",
                    },
                    "time_to_cook": {"type": "number", "description": "Total time to prepare the recipe in minutes"},
                },
            },
        ),
        106,
    ),
}
"""Requests with a tool and the input tokens that OpenAI's API has billed: hmarr/openai-chat-tokens, gpt-3.5-turbo."""


@pytest.mark.parametrize("case", SEEN)
def test_a_tool_counts_what_the_provider_was_seen_to_bill_or_little_more(case):
    tool, billed = SEEN[case]
    counted = BpeCounter("cl100k_base").count_request(HELLO, tools=[tool])
    assert billed <= counted <= billed + 20
    assert not BpeCounter.is_exact_with_tools


def test_what_a_schema_says_beyond_types_is_counted_too(o200k):
    plain = {"type": "object", "properties": {"n": {"type": "integer"}}}
    full = {
        "type": "object",
        "$defs": {"point": {"type": "object", "properties": {"x": {"type": "number", "minimum": 0}}}},
        "properties": {"n": {"$ref": "#/$defs/point", "anyOf": [{"type": "string", "pattern": "a+"}, {"type": "null"}]}},
    }
    text = tools_text([Tool("f", "", full)])
    for word in ("$defs", "minimum", "$ref", "pattern", "null"):
        assert word in text
    plain_tokens, full_tokens = (o200k.count_request(HELLO, tools=[Tool("f", "", each)]) for each in (plain, full))
    assert full_tokens > plain_tokens + 20


def test_a_tool_in_typescript_is_shorter_than_its_json(o200k):
    tool, _ = SEEN["array"]
    assert o200k.count(tools_text([tool])) < o200k.count(json.dumps(dict(tool.parameters), separators=(",", ":")))


def test_a_call_and_its_result_are_counted(o200k):
    call = ToolCall("call_1", "do_stuff", '{"foo": "bar", "baz": 1.5}')
    said = o200k.count_request([Message("assistant", "", (call,))])
    # The API has billed 26 for the same call as a function_call (hmarr/openai-chat-tokens).
    assert 26 <= said <= 26 + 20
    answered = o200k.count_request([Message("assistant", "", (call,)), Message("tool", "{}", tool_call_id="call_1")])
    assert answered > said + o200k.count("{}") + o200k.count("call_1")


def test_very_long_texts_are_counted_whole(o200k):
    # The Python wrapper of bpe-openai refuses a million characters, and 200,000 tokens.
    assert o200k.count("x y " * 300_000) == 600_001


def test_counting_does_not_load_the_slow_half_of_bpe_openai_and_leaves_it_importable():
    program = (
        "import sys\n"
        "from llmapp.prompting.counting import BpeCounter\n"
        "assert 'bpe_openai._bindings' not in sys.modules, 'loaded before the first count'\n"
        "count = BpeCounter().count('hello world')\n"
        "assert 'bpe_openai' not in sys.modules\n"
        "import bpe_openai\n"
        "assert len(bpe_openai.get_encoding('o200k_base').encode_ordinary('hello world')) == count\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
