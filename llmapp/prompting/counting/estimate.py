"""An estimate from above for models whose tokenizer is not at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmapp.prompting.counting.framing import estimated_request
from llmapp.prompting.counting.openai import O200K, BpeCounter
from llmapp.prompting.counting.text import utf8_bytes
from llmapp.types import Message, Tool

ESTIMATE_FACTOR = 1.5
"""Tokens of another provider for one of o200k_base, at most, in ASCII text without digits.

The public tokenizer of the older Claude models takes up to 1.08 times as many (UUIDs; English and code 1.0), measured
2026-11; Anthropic's documentation says that the newer ones take about 1.3 times as many again: 1.41, rounded up."""


class EstimateCounter:
    """Estimates from above for models whose tokenizer is not at hand.

    ASCII text counts 1.5 times its o200k_base tokens; every byte that UTF-8 needs beyond one a character is added,
    because other vocabularies know other scripts far less well (Thai: 3.7 times as many), and one for each digit, because
    those of Qwen, Gemma and Llama 2 hold no longer numbers. A text never counts more than its UTF-8 bytes, which no
    byte-level encoding can exceed.
    """

    is_exact = False
    """An estimate; it may be twice the truth for text that is not Latin."""
    is_exact_with_tools = False
    """As above."""
    name = f"estimate:{O200K}"
    """Name of the counter."""

    def __init__(self) -> None:
        """Share the cache of one o200k_base counter."""
        self._o200k = BpeCounter(O200K)

    def count(self, text: str) -> int:
        """Tokens of a text, estimated from above."""
        text_bytes = utf8_bytes(text)
        digits = sum(text.count(digit) for digit in "0123456789")
        tokens = math.ceil(self._o200k.count(text) * ESTIMATE_FACTOR) + digits
        return min(text_bytes, tokens + text_bytes - len(text))

    def count_request(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> int:
        """Tokens of a request, estimated from above: 32, and for each message 8, its role and its content."""
        return estimated_request(messages, tools, self.count)

    def upper_bound(self, text: str) -> int:
        """The bytes of the text in UTF-8."""
        return utf8_bytes(text)
