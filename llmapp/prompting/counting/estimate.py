"""An estimate from above for models whose tokenizer is not at hand.

    1.2 × the larger of o200k_base and cl100k_base         words, code, data: where vocabularies hardly differ
    + so much for each character of a script               where they do
    + so much for each digit and repeated character        many vocabularies hold no long ones
    never more than the bytes of the text                  which no byte-level encoding exceeds

The figures cover every one of five vocabularies on 40 kinds of text, and are made by ``benchmarks/token_counters.py --fit``
(2026-11: o200k, cl100k, the public one of older Claude models, DeepSeek's, SmolLM2's).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from llmapp.prompting.counting.cache import CountCache
from llmapp.prompting.counting.framing import estimated_request
from llmapp.prompting.counting.openai import CL100K, O200K, BpeCounter
from llmapp.prompting.counting.scripts import ASCII, OTHER, characters
from llmapp.prompting.counting.text import utf8_bytes
from llmapp.types import Message, Tool

FACTOR = 1.2
"""Tokens of another vocabulary for one of OpenAI's, at most, in English prose and in code; the largest seen was 1.14."""
DIGIT_TOKENS = 0.6
"""More for each digit: OpenAI's take three for a token, those of Qwen, Gemma and Llama 2 one: 1 - 1.2/3."""
REPEAT_TOKENS = 0.15
"""More for each character of eight equal ones and longer: OpenAI's know runs of 8 letters, SmolLM2's of 4: 1/4 - 1.2/8, and a little."""
CLAUDE_FACTOR = 1.3
"""Tokens of the newer Claude models for one of the older, whose vocabulary is public. Source: Anthropic's documentation (2026-11)."""

SCRIPT_TOKENS: Mapping[str, float] = {
    ASCII: 0,
    "Latin": 3, "Greek": 0.15, "Cyrillic": 0.5, "Armenian": 0, "Hebrew": 0.05, "Arabic": 0.35, "Devanagari": 0, "Bengali": 0.5,
    "Tamil": 0.3, "Telugu": 0.75, "Thai": 0.9, "Georgian": 0, "Khmer": 1, "signs": 0, "kana": 0.85, "Han": 0.55, "Hangul": 1.75, "emoji": 0.45,
    OTHER: 4,
}  # fmt: skip
"""More for each character, by script; one of an unknown script counts its bytes."""

_REPEATED = re.compile(r"(.)\1{7,}", re.DOTALL)


class EstimateCounter:
    """Estimates from above for models whose tokenizer is not at hand."""

    is_exact = False
    """An estimate; for scripts that a model knows well it may be twice the truth."""
    is_exact_with_tools = False
    """As above."""

    def __init__(self, factor: float = 1.0) -> None:
        """Share the caches of two exact counters.

        Args:
            factor: Multiplies the estimate, for models that are known to take more, see `CLAUDE_FACTOR`. From 1.
        """
        self.name = "estimate" if factor == 1 else f"estimate:{factor:g}"
        self._factor = factor
        self._known = (BpeCounter(O200K), BpeCounter(CL100K))
        self._cached = CountCache(self._tokens)

    def count(self, text: str) -> int:
        """Tokens of a text, estimated from above."""
        return self._cached(text)

    def count_request(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> int:
        """Tokens of a request, estimated from above: 32, and for each message 8, its role and its content."""
        return estimated_request(messages, tools, self.count)

    def upper_bound(self, text: str) -> int:
        """The bytes of the text in UTF-8."""
        return utf8_bytes(text)

    def _tokens(self, text: str) -> int:
        known = max(counter.count(text) for counter in self._known)
        scripts = sum(SCRIPT_TOKENS[script] * times for script, times in characters(text).items())
        return min(utf8_bytes(text), math.ceil(self._factor * (FACTOR * known + in_any_script(text) + scripts)))


def in_any_script(text: str) -> float:
    """What digits and repeated characters add."""
    repeated = sum(len(run[0]) for run in _REPEATED.finditer(text))
    return DIGIT_TOKENS * sum(text.count(digit) for digit in "0123456789") + REPEAT_TOKENS * repeated
