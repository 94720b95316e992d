"""Whole requests counted by the provider itself, where it has an endpoint for that."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from threading import Lock
from typing import Protocol

from llmapp.errors import LLMAppError
from llmapp.prompting.counting.corrected import CorrectedCounter
from llmapp.types import Message, Tool

SILENCE_S = 60.0
"""Seconds for which an endpoint that has failed is not asked again."""
_MOST_REMEMBERED = 1024


class CountRequest(Protocol):
    """Asks a provider for the input tokens of a request."""

    @property
    def name(self) -> str:
        """Who is asked, e.g. ``anthropic:claude-sonnet-4``."""

    @property
    def is_exact(self) -> bool:
        """Whether the provider calls it the count of the request, and not an estimate."""

    def __call__(self, messages: Sequence[Message], tools: Sequence[Tool]) -> int:
        """Input tokens.

        Raises:
            LLMAppError: The endpoint gives no count.
        """


class ProviderCounter:
    """Asks for the count of every request, estimates texts, and learns from each answer.

    A text alone is estimated, because a choice among hundreds would be hundreds of calls, and so is a part of a request,
    which providers refuse: one that ends with the assistant, or with a question that is blank. The finished request, which
    proves that a prompt fits, is counted. Where the endpoint fails, requests are estimated too for a while, `is_exact` is
    False meanwhile, and `failure` says why. Safe among threads.
    """

    def __init__(
        self, ask: CountRequest, estimate: CorrectedCounter, *, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask nobody yet.

        Args:
            ask: The endpoint.
            estimate: Counts texts, and requests while the endpoint fails.
            clock_s: Seconds that never go back.
        """
        self.name = f"provider:{ask.name}"
        self._ask = ask
        self._estimate = estimate
        self._clock_s = clock_s
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._lock = Lock()
        self._silent_until_s = 0.0
        self.failure: LLMAppError | None = None
        """Why the endpoint is not asked at present; None while it is."""

    @property
    def is_exact(self) -> bool:
        """Whether the provider counts exactly, and its endpoint answers."""
        return self._ask.is_exact and self.failure is None

    @property
    def is_exact_with_tools(self) -> bool:
        """As `is_exact`: tools are part of what is asked."""
        return self.is_exact

    def count(self, text: str) -> int:
        """Tokens of a text, estimated."""
        return self._estimate.count(text)

    def count_request(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> int:
        """Tokens of a request, asked once and remembered; one that nobody could answer is a part, and estimated."""
        key = _digest(messages, tools)
        with self._lock:
            if key in self._counts:
                self._counts.move_to_end(key)
                return self._counts[key]
        tokens = self._asked(messages, tools) if _waits_for_an_answer(messages) else None
        if tokens is None:
            return self._estimate.count_request(messages, tools=tools)
        self._estimate.learn(messages, tokens, tools=tools)
        with self._lock:
            self._counts[key] = tokens
            if len(self._counts) > _MOST_REMEMBERED:
                self._counts.popitem(last=False)
        return tokens

    def upper_bound(self, text: str) -> int:
        """The bound of the estimate."""
        return self._estimate.upper_bound(text)

    def _asked(self, messages: Sequence[Message], tools: Sequence[Tool]) -> int | None:
        if self.failure is not None and self._clock_s() < self._silent_until_s:
            return None
        try:
            tokens = self._ask(messages, tools)
        except LLMAppError as error:
            self.failure, self._silent_until_s = error, self._clock_s() + SILENCE_S
            return None
        self.failure = None
        return tokens


def _waits_for_an_answer(messages: Sequence[Message]) -> bool:
    last = messages[-1] if messages else Message("user", "")
    return last.role == "tool" or (last.role == "user" and bool(last.content.strip()))


def _digest(messages: Sequence[Message], tools: Sequence[Tool]) -> bytes:
    parts = repr(
        ([asdict(message) for message in messages], [(tool.name, tool.description, dict(tool.parameters)) for tool in tools])
    )
    return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()
