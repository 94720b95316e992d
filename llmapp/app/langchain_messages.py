"""Our messages and usage in langchain's own classes, there and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata

from llmapp.types import Message, Usage


def to_langchain(messages: Sequence[Message]) -> list[BaseMessage]:
    """The messages as langchain's own classes."""
    return [_to_langchain(message) for message in messages]


def _to_langchain(message: Message) -> BaseMessage:
    if message.role == "system":
        return SystemMessage(content=message.content)
    if message.role == "user":
        return HumanMessage(content=message.content)
    if message.role == "tool":
        return ToolMessage(content=message.content, tool_call_id=message.tool_call_id or "")
    return _of_assistant(message)


def _of_assistant(message: Message) -> AIMessage:
    calls, invalid = [], []
    for call in message.tool_calls:
        arguments = _json_object(call.arguments)
        if arguments is None:
            invalid.append(
                InvalidToolCall(
                    type="invalid_tool_call", name=call.name, args=call.arguments, id=call.id, error="no JSON object"
                )
            )
        else:
            calls.append(ToolCall(name=call.name, args=arguments, id=call.id))
    return AIMessage(content=message.content, tool_calls=calls, invalid_tool_calls=invalid)


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def to_usage(metadata: UsageMetadata | None) -> Usage:
    """Langchain's usage as ours; all zero where the model reported none."""
    if metadata is None:
        return Usage()
    details = metadata.get("input_token_details", {})
    return Usage(
        input_tokens=metadata["input_tokens"],
        output_tokens=metadata["output_tokens"],
        cache_read_tokens=details.get("cache_read", 0),
        cache_write_tokens=details.get("cache_creation", 0),
    )
