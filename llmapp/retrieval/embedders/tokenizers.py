"""Tokenizers of embedders: a model's own file, a bound for models without one, and the room that a prompt takes.

Words such as ``[SEP]`` in a text are text here, never control tokens. Safe to use from several threads.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.errors import ConfigError
from llmapp.protocols import Tokenizer
from llmapp.retrieval.lazy_tokenizer import LazyTokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer as FastTokenizer


class FileTokenizer(LazyTokenizer):
    """A ``tokenizer.json`` of Hugging Face `tokenizers`. Implements `llmapp.protocols.Tokenizer`."""

    def __init__(self, content: bytes, name: str) -> None:
        """Keep the file's content; it is parsed at the first use.

        Args:
            content: Of the file.
            name: For the identity and for messages.
        """
        super().__init__()
        self.identity = f"{name}@{hashlib.sha256(content).hexdigest()[:8]}"
        self._content = content
        self._name = name

    @classmethod
    def of(cls, path: Path) -> FileTokenizer:
        """Read a file.

        Raises:
            ConfigError: It cannot be read.
        """
        try:
            return cls(path.read_bytes(), path.name)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error}", hint="name the model's tokenizer.json") from error

    @cached_property
    def special_tokens(self) -> int:
        """Tokens that every input has besides its text."""
        return len(self.ids(""))

    def _build(self) -> FastTokenizer:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_buffer(self._content)
        except Exception as error:  # the library raises a bare Exception
            raise ConfigError(
                f"{self._name} cannot be read as a tokenizer: {error}", hint="name the model's tokenizer.json"
            ) from error
        tokenizer.no_truncation()  # files often carry the limits of their training
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        return tokenizer


class ByteBound:
    """A bound from above where the tokenizer is not at hand: a token for every byte. Implements `llmapp.protocols.Tokenizer`.

    Byte-level encodings give at most one token for a byte of UTF-8, word pieces and unigrams at most one for a character,
    after a normalisation that may write one character as several (U+FDFA becomes 18). About four times too much for English.
    """

    identity = "bytes-1"
    """Raised when a text counts differently."""
    special_tokens = 8
    """An allowance: the models known take 2 or 3 at most."""

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character spans, one for every byte of a character."""
        return [(at, at + 1) for at, letter in enumerate(text) for _ in range(_bound(letter))]

    def count(self, text: str) -> int:
        """The most tokens that `text` can have."""
        return len(text) if text.isascii() else sum(map(_bound, text))


class PromptedTokenizer:
    """A tokenizer whose texts stand behind a prompt: what the prompt takes counts as special tokens."""

    def __init__(self, inner: Tokenizer, prompt: str) -> None:
        """Put `prompt` before every text."""
        self._inner = inner
        self._prompt = prompt

    @property
    def identity(self) -> str:
        """That of the tokenizer, and a trace of the prompt."""
        return f"{self._inner.identity}+{hashlib.sha256(self._prompt.encode()).hexdigest()[:8]}"

    @cached_property
    def special_tokens(self) -> int:
        """Tokens that every input has besides its text: the model's own, and the prompt."""
        return self._inner.special_tokens + self._prompt_tokens

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character spans of the tokens of `text` alone."""
        return self._inner.offsets(text)

    def count(self, text: str) -> int:
        """What `text` adds to the tokens of the prompt: with `special_tokens` exactly those of the whole input."""
        return self._inner.count(self._prompt + text) - self._prompt_tokens

    @cached_property
    def _prompt_tokens(self) -> int:
        return self._inner.count(self._prompt)


def behind(prompt: str, tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer of texts that stand behind `prompt`, which may be empty."""
    return PromptedTokenizer(tokenizer, prompt) if prompt else tokenizer


def cut_to(text: str, tokenizer: Tokenizer, max_tokens: int) -> str:
    """The beginning of `text` that fits into `max_tokens`, special tokens included."""
    room = max(0, max_tokens - tokenizer.special_tokens)
    while tokenizer.count(text) > room:
        ends = [end for _, end in tokenizer.offsets(text)]
        text = text[: ends[room - 1] if 0 < room < len(ends) else 0] if len(ends) > room else text[: len(text) - 1]
    return text


def _bound(letter: str) -> int:
    if letter.isascii():
        return 1
    normal = unicodedata.normalize("NFKC", letter)
    return max(len(letter.encode("utf-8", "replace")), len(normal.encode("utf-8", "replace")))
