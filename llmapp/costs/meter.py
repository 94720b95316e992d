"""Reads what a provider says it has used: tokens, and whether an answer came to its end.

A report that is not whole, or cannot be true, counts as none; the guard then presumes the hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from llmapp.costs.attempt import believed
from llmapp.types import Usage

_ENDINGS = ("finish_reason", "stop_reason", "done_reason")


class Meter:
    """Adds up the usage of a stream and watches for its end."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._reports: list[UsageMetadata] = []
        self._ended = False

    def add(self, chunk: ChatGenerationChunk) -> None:
        """Take note of one chunk."""
        message = chunk.message
        if isinstance(message, AIMessageChunk) and message.usage_metadata:
            self._reports.append(message.usage_metadata)
        facts = {**(chunk.generation_info or {}), **message.response_metadata}
        self._ended = self._ended or any(facts.get(name) for name in _ENDINGS)

    @property
    def usage(self) -> Usage | None:
        """The tokens so far; None when nothing believable was reported."""
        return read_usage(self._reports)

    def check_complete(self) -> None:
        """See that the stream has ended and was not cut: a server that dies closes the connection without a word.

        Raises:
            ConnectionError: There was neither a reason to finish nor a report of usage.
        """
        if not self._ended and not self._reports:
            raise ConnectionError("the answer broke off")


def usage_of(result: ChatResult) -> Usage | None:
    """The tokens of a whole answer; None when nothing believable was reported."""
    message = result.generations[0].message if result.generations else None
    return read_usage([message.usage_metadata] if isinstance(message, AIMessage) and message.usage_metadata else [])


def read_usage(reports: Sequence[UsageMetadata]) -> Usage | None:
    """Add up LangChain's reports on one answer, in which the input includes what was cached and the output reasoning.

    Args:
        reports: As the provider's package has made them; it need not have kept to the type.

    Returns:
        The tokens; None when there is no report, one lacks a count, or the sum cannot be true.
    """
    if any(believed(report.get(name)) is None for report in reports for name in ("input_tokens", "output_tokens")):
        return None
    usage = sum(map(_tokens, reports), Usage())
    is_believable = usage.input_tokens > 0 and usage.cache_read_tokens + usage.cache_write_tokens <= usage.input_tokens
    return usage if is_believable else None


def _tokens(report: UsageMetadata) -> Usage:
    details: Mapping[str, Any] = report.get("input_token_details") or {}
    written = sum(_count(details.get(name)) for name in ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"))
    return Usage(
        input_tokens=report["input_tokens"],
        output_tokens=report["output_tokens"],
        cache_read_tokens=_count(details.get("cache_read")),
        cache_write_tokens=max(_count(details.get("cache_creation")), written),
    )


def _count(value: object) -> int:
    return believed(value) or 0
