"""Our messages and usage in langchain's own classes, there and back."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata

from llmapp.types import Message, Usage

_KINDS: dict[str, type[BaseMessage]] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}


def to_langchain(messages: Sequence[Message]) -> list[BaseMessage]:
    """The messages as langchain's own classes."""
    return [_KINDS[message.role](content=message.content) for message in messages]


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
