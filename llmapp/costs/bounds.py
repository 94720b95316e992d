"""The most input tokens that a request can have, before a provider has counted it.

With the model's own counter the messages count as they are. With any other, the bound is strict: byte-level BPE and
byte-fallback tokenizers give at most one token for a byte of UTF-8, so the bytes bound the tokens; it is about four times
too high for English, which matters only when a budget is nearly spent, for it is the hold and not the charge. Tools and
other structured options are always bounded by the bytes of their JSON. Images and files have no such bound and are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage, BaseMessage

from llmapp.errors import CostError
from llmapp.types import Message, Role

if TYPE_CHECKING:
    from llmapp.protocols import TokenCounter

_FRAME_TOKENS = 16
"""Allowance for the marks around a message, its role and name."""
_TOOLS_TOKENS = 1_024
"""Allowance for the instructions that a provider adds by itself when tools are given."""

_ROLES: Mapping[str, Role] = {"system": "system", "ai": "assistant"}


def input_bound_tokens(messages: Sequence[BaseMessage], options: Mapping[str, object], counter: TokenCounter) -> int:
    """The most input tokens that a provider can count for a request.

    Args:
        messages: The request.
        options: Keywords of the call, e.g. ``tools`` and ``response_format``.
        counter: Counts the messages when it is exact.

    Raises:
        CostError: A message holds more than text.
    """
    request = [Message(_ROLES.get(message.type, "user"), _text(message)) for message in messages]
    if counter.is_exact:
        tokens = counter.count_request(request)
    else:
        tokens = _FRAME_TOKENS + sum(_bytes(message.content) + _FRAME_TOKENS for message in request)
    calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    structured = _json_bytes(calls) if calls else 0
    structured += sum(_json_bytes(value) for value in options.values() if isinstance(value, (dict, list)))
    return tokens + structured + (_TOOLS_TOKENS if "tools" in options else 0)


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    blocks = [block if isinstance(block, str) else block.get("text") for block in message.content]
    if not all(isinstance(block, str) for block in blocks):
        raise CostError(
            "the cost of a message with images or files cannot be bounded",
            hint="send text only, or use a model declared local",
        )
    return "\n".join(str(block) for block in blocks)


def _json_bytes(value: object) -> int:
    return _bytes(json.dumps(value, default=str, ensure_ascii=False))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
