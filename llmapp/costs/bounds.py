"""The most input tokens that a request can have, before a provider has counted it.

With the model's own counter the texts count as they are. With any other, the bound is strict: byte-level BPE and
byte-fallback tokenizers give at most one token for a byte of UTF-8, so the bytes bound the tokens; it is about four times
too high for English, which matters only when a budget is nearly spent, for it is the hold and not the charge. Whatever else
is sent, tool calls, tools and other options, is always bounded by the bytes of its JSON, and every message is allowed the
marks around it. Images and files have no such bound and are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage

from llmapp.errors import CostError, PromptError
from llmapp.types import Message, Role

if TYPE_CHECKING:
    from llmapp.protocols import TokenCounter

_FRAME_TOKENS = 16
"""Allowance for the marks around a message, and once for the request: a counter knows those of plain turns only."""
_TOOLS_TOKENS = 1_024
"""Allowance for the instructions that a provider adds by itself when tools are given."""

_BESIDE_CONTENT = ("name", "role", "tool_call_id", "tool_calls", "invalid_tool_calls", "additional_kwargs")
"""Fields of LangChain's messages that provider packages send, beside the content."""

_ROLES: Mapping[str, Role] = {"system": "system", "ai": "assistant"}


def input_bound_tokens(messages: Sequence[BaseMessage], options: Mapping[str, object], counter: TokenCounter) -> int:
    """The most input tokens that a provider can count for a request.

    Args:
        messages: The request.
        options: Keywords of the call, e.g. ``tools`` and ``response_format``.
        counter: Counts the texts when it is exact.

    Raises:
        CostError: A message holds more than text and tool calls, or an option is not JSON.
    """
    contents = [_content(message) for message in messages]
    roles = [_ROLES.get(message.type, "user") for message in messages]
    tokens = _text_tokens([Message(role, text) for role, (text, _) in zip(roles, contents, strict=True)], counter)
    tokens += _FRAME_TOKENS * (1 + len(messages))
    tokens += sum(_bytes(json.dumps(rest, default=str, ensure_ascii=False)) for _, rest in contents if rest)
    tokens += sum(_option_bytes(name, value) for name, value in options.items())
    return tokens + (_TOOLS_TOKENS if "tools" in options else 0)


def _text_tokens(messages: Sequence[Message], counter: TokenCounter) -> int:
    with suppress(PromptError):  # a chat template may refuse turns as they stand here, without their calls
        tokens = counter.count_request(messages) if counter.is_exact else 0
        if counter.is_exact:  # a provider that is asked may have failed just now
            return tokens
    return sum(_bytes(message.content) for message in messages)


def _content(message: BaseMessage) -> tuple[str, list[object]]:
    """The text of a message, and whatever else of it is sent."""
    texts: list[str] = []
    rest: list[object] = [value for name in _BESIDE_CONTENT if (value := getattr(message, name, None))]
    for block in [message.content] if isinstance(message.content, str) else message.content:
        if isinstance(block, str):
            texts.append(block)
        elif _is_text(block):
            texts.append(block["text"])
            rest.append({**block, "text": ""})
        elif _is_tool_turn(block):
            rest.append(block)
        else:
            raise CostError(
                "the cost of a message with images or files cannot be bounded",
                hint="send text only, or use a model declared local",
            )
    return "\n".join(texts), rest


def _is_text(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)


def _is_tool_turn(block: Mapping[str, Any]) -> bool:
    """Whether it is a call of a tool or its result as Anthropic writes them; a result may hold images."""
    if block.get("type") == "tool_use":
        return True
    result = block.get("content") or ""
    return block.get("type") == "tool_result" and (isinstance(result, str) or all(map(_is_text, result)))


def _option_bytes(name: str, value: object) -> int:
    if value is None or isinstance(value, (int, float)):
        return 0  # a setting such as ``temperature``, which no model reads
    try:
        return _bytes(json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError) as error:
        raise CostError(
            f"the cost of a call whose {name} is not JSON cannot be bounded", hint="give a schema as a dictionary"
        ) from error


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
