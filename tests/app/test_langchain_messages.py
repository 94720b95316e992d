"""Messages with tool calls arrive in langchain as its own."""

from __future__ import annotations

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from llmapp.app.langchain_messages import to_langchain
from llmapp.types import Message, ToolCall


def test_every_role_has_a_class_of_langchain() -> None:
    call = ToolCall("c1", "weather", '{"town": "Graz"}')
    system, user, assistant, tool = to_langchain(
        [
            Message("system", "s"),
            Message("user", "u"),
            Message("assistant", "", tool_calls=(call,)),
            Message("tool", "rain", tool_call_id="c1"),
        ]
    )

    assert (system, user) == (SystemMessage(content="s"), HumanMessage(content="u"))
    assert isinstance(assistant, AIMessage)
    assert assistant.tool_calls == [{"name": "weather", "args": {"town": "Graz"}, "id": "c1", "type": "tool_call"}]
    assert isinstance(tool, ToolMessage)
    assert (tool.content, tool.tool_call_id) == ("rain", "c1")


def test_arguments_that_are_no_json_object_are_kept_as_an_invalid_call() -> None:
    calls = (ToolCall("c1", "weather", "{town"), ToolCall("c2", "weather", "[1]"))
    [assistant] = to_langchain([Message("assistant", "", tool_calls=calls)])

    assert isinstance(assistant, AIMessage)
    assert [(call["id"], call["args"]) for call in assistant.invalid_tool_calls] == [("c1", "{town"), ("c2", "[1]")]
    assert assistant.tool_calls == []
