"""Token counters: OpenAI's encodings, the tokenizer file of a model, and an estimate from above for all others.

A count is the proof that a prompt fits, so every counter counts the whole request: the content of each message and the
frame that the provider puts around it. Text that spells a special token (``<|endoftext|>``) is counted as the ordinary
text that it is. Knows nothing of prompts and of context windows.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from llmapp.errors import PromptError
from llmapp.protocols import TokenCounter
from llmapp.types import Message

if TYPE_CHECKING:
    from tokenizers import Tokenizer

OPENAI_MESSAGE_TOKENS = 3
"""Tokens around each message besides its role and content. Source: OpenAI cookbook, "How to count tokens with tiktoken"."""
OPENAI_REPLY_TOKENS = 3
"""Tokens that open the answer, once a request. Source: as above."""

TEMPLATE_MESSAGE_TOKENS = 8
"""Allowance for the frame of a message where the chat template is unknown. ChatML and Llama 3 take 5 (notes of 2026-11)."""
TEMPLATE_REQUEST_TOKENS = 32
"""Allowance for what a chat template adds once: start of text, a date line, the opening of the answer."""

ESTIMATE_FACTOR = 1.5
"""Tokens of another provider for one of o200k_base, at most, in ASCII text without digits.

The public tokenizer of the older Claude models takes up to 1.08 times as many (UUIDs; English and code 1.0), measured
2026-11; Anthropic's documentation says that the newer ones take about 1.3 times as many again: 1.41, rounded up."""

_BINDINGS = "bpe_openai._bindings"
_O200K, _CL100K = "o200k_base", "cl100k_base"
_OPENAI = re.compile(r"(?:(?:azure_)?openai:)?(?:ft:)?(?P<name>[^:]+)(?::|$)")
# Source: tiktoken 0.14, model.py; a test compares the two.
_ENCODINGS = (
    (re.compile(r"gpt-4o|gpt-4\.[15]|chatgpt-4o|gpt-5|o[134](-|$)"), _O200K),
    (re.compile(r"gpt-(4|3\.5|35)(-|$)|text-embedding-(3-|ada-002$)|(davinci|babbage)-002$"), _CL100K),
)


def well_formed(text: str) -> str:
    """The text with each lone surrogate replaced by U+FFFD, one for one: it can be sent, and offsets stay true."""
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


class BpeCounter:
    """Counts as OpenAI's models do, offline.

    Exact for the content; the frame of each message is the published constant. Tools, images and names of speakers are
    not counted, because prompts of this package have none.
    """

    is_exact = True
    """The encoding is the model's own."""

    def __init__(self, encoding: str = _O200K) -> None:
        """Choose the encoding; its vocabulary is loaded at the first count.

        Args:
            encoding: ``o200k_base`` or ``cl100k_base``.
        """
        self.encoding = encoding
        self._cached = _CountCache(self._tokens)

    @property
    def name(self) -> str:
        """E.g. ``bpe-openai:o200k_base``."""
        return f"bpe-openai:{self.encoding}"

    def count(self, text: str) -> int:
        """Tokens of a text; 0 for the empty one."""
        return self._cached(text)

    def count_request(self, messages: Sequence[Message]) -> int:
        """Tokens of a request: 3 to open the answer, and for each message 3, its role and its content."""
        return _framed(messages, self.count, per_message=OPENAI_MESSAGE_TOKENS, per_request=OPENAI_REPLY_TOKENS)

    def _tokens(self, text: str) -> int:
        return int(_bpe(self.encoding).count(text))


class EstimateCounter:
    """Estimates from above for models whose tokenizer is not at hand.

    ASCII text counts 1.5 times its o200k_base tokens; every byte that UTF-8 needs beyond one a character is added,
    because other vocabularies know other scripts far less well (Thai: 3.7 times as many), and one for each digit, because
    those of Qwen, Gemma and Llama 2 hold no longer numbers. A text never counts more than its UTF-8 bytes, which no
    byte-level encoding can exceed.
    """

    is_exact = False
    """An estimate; it may be twice the truth for text that is not Latin."""
    name = f"estimate:{_O200K}"
    """Name of the counter."""

    def __init__(self) -> None:
        """Share the cache of one o200k_base counter."""
        self._o200k = BpeCounter(_O200K)

    def count(self, text: str) -> int:
        """Tokens of a text, estimated from above."""
        text_bytes = len(well_formed(text).encode())
        digits = sum(text.count(digit) for digit in "0123456789")
        tokens = math.ceil(self._o200k.count(text) * ESTIMATE_FACTOR) + digits
        return min(text_bytes, tokens + text_bytes - len(text))

    def count_request(self, messages: Sequence[Message]) -> int:
        """Tokens of a request, estimated from above: 32, and for each message 8, its role and its content."""
        return _framed(messages, self.count, per_message=TEMPLATE_MESSAGE_TOKENS, per_request=TEMPLATE_REQUEST_TOKENS)


class HuggingFaceCounter:
    """Counts with a model's own ``tokenizer.json``.

    Exact for the content. The chat template is not rendered: each message and the request get an allowance, so the count
    of a request is an estimate, and `is_exact` says so.
    """

    is_exact = False
    """The content is exact, the frames are allowances."""

    def __init__(self, tokenizer_file: Path) -> None:
        """Name the file; it is read at the first count.

        Args:
            tokenizer_file: A ``tokenizer.json`` of Hugging Face `tokenizers`.
        """
        self.tokenizer_file = tokenizer_file
        self._cached = _CountCache(self._tokens)

    @property
    def name(self) -> str:
        """E.g. ``tokenizers:tokenizer.json``."""
        return f"tokenizers:{self.tokenizer_file.name}"

    def count(self, text: str) -> int:
        """Tokens of a text, without those that open and close a model's input.

        Raises:
            PromptError: The file is not there, or is not a tokenizer.
        """
        return self._cached(text)

    def count_request(self, messages: Sequence[Message]) -> int:
        """Tokens of a request: 32, and for each message 8, its role and its content.

        Raises:
            PromptError: The file is not there, or is not a tokenizer.
        """
        return _framed(messages, self.count, per_message=TEMPLATE_MESSAGE_TOKENS, per_request=TEMPLATE_REQUEST_TOKENS)

    def _tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(self.tokenizer_file))
        except Exception as error:  # the library raises a bare Exception
            raise PromptError(
                f"{self.tokenizer_file} cannot be read as a tokenizer: {error}", hint="name the model's tokenizer.json"
            ) from error
        tokenizer.no_truncation()  # files often carry the limits of their training
        tokenizer.no_padding()
        return tokenizer


def counter_for(model: str) -> TokenCounter:
    """The counter for a chat model, by the string that chooses the model.

    Args:
        model: E.g. ``extractive``, ``openai:gpt-4o``, ``gpt-4.1-mini``, ``ollama:llama3.2``.

    Returns:
        An exact counter for OpenAI's models and for ``extractive`` (which has no tokens of its own: o200k_base by
        convention); an estimate from above for all others.
    """
    if model == "extractive":
        return BpeCounter(_O200K)
    if (openai := _OPENAI.match(model)) is None:
        return EstimateCounter()
    encodings = (encoding for pattern, encoding in _ENCODINGS if pattern.match(openai["name"]))
    encoding = next(encodings, None)
    return BpeCounter(encoding) if encoding else EstimateCounter()


class _CountCache:
    """Remembers the counts of texts by digest, the least recently used forgotten first; safe among threads."""

    def __init__(self, count: Callable[[str], int], *, max_entries: int = 8192) -> None:
        self._count = count
        self._max_entries = max_entries
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._lock = Lock()

    def __call__(self, text: str) -> int:
        text = well_formed(text)
        key = hashlib.blake2b(text.encode(), digest_size=16).digest()
        with self._lock:
            if key in self._counts:
                self._counts.move_to_end(key)
                return self._counts[key]
        tokens = self._count(text)
        with self._lock:
            self._counts[key] = tokens
            if len(self._counts) > self._max_entries:
                self._counts.popitem(last=False)
        return tokens


def _framed(messages: Sequence[Message], count: Callable[[str], int], *, per_message: int, per_request: int) -> int:
    return per_request + sum(per_message + count(message.role) + count(message.content) for message in messages)


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
