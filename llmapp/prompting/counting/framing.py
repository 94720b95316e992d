"""A request as the sum of its parts and of allowances for what stands around them, where the frame is not known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from llmapp.types import Message, Tool

TEMPLATE_MESSAGE_TOKENS = 8
"""Allowance for the frame of a message where the chat template is unknown. ChatML and Llama 3 take 5 (measured 2026-11)."""
TEMPLATE_REQUEST_TOKENS = 32
"""Allowance for what a chat template adds once: start of text, a date line, the opening of the answer."""
TOOL_CALL_TOKENS = 16
"""Allowance for the marks and key names of a call."""
TOOLS_TOKENS = 530
"""Allowance for the instructions that come with tools. The longest published: Claude 3 Opus (Anthropic, "Tool use", pricing)."""


def estimated_request(messages: Sequence[Message], tools: Sequence[Tool], count: Callable[[str], int]) -> int:
    """Tokens of a request whose chat template is unknown, from above: its texts, and an allowance for every frame.

    Tools are taken as indented JSON, the longest form that chat templates give them.
    """
    tokens = TEMPLATE_REQUEST_TOKENS + sum(TEMPLATE_MESSAGE_TOKENS + message_tokens(message, count) for message in messages)
    return tokens + tools_tokens(tools, count)


def tools_tokens(tools: Sequence[Tool], count: Callable[[str], int]) -> int:
    """Tokens of the tools as indented JSON, with what introduces them; 0 where there are none."""
    if not tools:
        return 0
    texts = (json.dumps(as_function(tool), indent=4, ensure_ascii=False, default=dict) for tool in tools)
    return TOOLS_TOKENS + sum(count(text) for text in texts)


def message_tokens(message: Message, count: Callable[[str], int]) -> int:
    """Tokens of what a message says: role, content, calls with their marks, and the id of an answered call."""
    tokens = count(message.role) + count(message.content)
    for call in message.tool_calls:
        tokens += TOOL_CALL_TOKENS + count(call.id) + count(call.name) + count(call.arguments)
    return tokens + (count(message.tool_call_id) if message.tool_call_id else 0)


def as_function(tool: Tool) -> dict[str, object]:
    """The tool as OpenAI's interface and Hugging Face's chat templates write it."""
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}
