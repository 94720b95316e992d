"""OpenAI's encodings, offline."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

from llmapp.prompting.counting.cache import CountCache
from llmapp.prompting.counting.framing import message_tokens
from llmapp.prompting.counting.openai_tools import tools_text
from llmapp.prompting.counting.text import utf8_bytes
from llmapp.types import Message, Tool

O200K, CL100K = "o200k_base", "cl100k_base"

MESSAGE_TOKENS = 3
"""Tokens around each message besides its role and content. Source: OpenAI cookbook, "How to count tokens with tiktoken"."""
REPLY_TOKENS = 3
"""Tokens that open the answer, once a request. Source: as above."""
TOOLS_TOKENS = 16
"""Allowance around the text that tools become; 9 were measured of gpt-3.5 and gpt-4 (openai-chat-tokens 0.2)."""

_BINDINGS = "bpe_openai._bindings"


class BpeCounter:
    """Counts as OpenAI's models do, offline.

    Exact for the content; the frame of each message is the published constant. Tools and calls are counted from above: as
    the TypeScript that OpenAI is known to make of them, which it does not publish.
    """

    is_exact = True
    """The encoding is the model's own."""
    is_exact_with_tools = False
    """See above."""

    def __init__(self, encoding: str = O200K) -> None:
        """Choose the encoding; its vocabulary is loaded at the first count.

        Args:
            encoding: ``o200k_base`` or ``cl100k_base``.
        """
        self.encoding = encoding
        self._cached = CountCache(self._tokens)

    @property
    def name(self) -> str:
        """E.g. ``bpe-openai:o200k_base``."""
        return f"bpe-openai:{self.encoding}"

    def count(self, text: str) -> int:
        """Tokens of a text; 0 for the empty one. The spelling of a special token is ordinary text."""
        return self._cached(text)

    def count_request(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> int:
        """Tokens of a request: 3 to open the answer, for each message 3, its role and its content, and the tools."""
        tokens = REPLY_TOKENS + sum(MESSAGE_TOKENS + message_tokens(message, self.count) for message in messages)
        return tokens + (TOOLS_TOKENS + self.count(tools_text(tools)) if tools else 0)

    def upper_bound(self, text: str) -> int:
        """The bytes of the text in UTF-8."""
        return utf8_bytes(text)

    def _tokens(self, text: str) -> int:
        return int(_bpe(self.encoding).count(text))


@cache
def _bpe(encoding: str) -> Any:
    """The Rust tokenizer of an encoding.

    Taken below the package's Python wrapper, which refuses texts of a million characters or 200,000 tokens.
    """
    return _bindings().tokenizer_for_encoding(encoding)


def _bindings() -> Any:
    """The compiled half of bpe-openai, without its ``__init__``, which parses every vocabulary (measured: 1.1 s of 1.2)."""
    package = find_spec("bpe_openai")
    spec = package and PathFinder.find_spec(_BINDINGS, package.submodule_search_locations)
    if _BINDINGS in sys.modules or spec is None or spec.loader is None:
        return import_module(_BINDINGS)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[_BINDINGS] = module
    return module
