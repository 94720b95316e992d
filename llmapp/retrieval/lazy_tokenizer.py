"""What all tokenizers of the package `tokenizers` share: they are built at the first use, and take any string."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Encoding
    from tokenizers import Tokenizer as FastTokenizer


class LazyTokenizer(ABC):
    """The part of `llmapp.protocols.Tokenizer` that counts and cuts. Safe to use from several threads."""

    def __init__(self) -> None:
        """Build nothing yet."""
        self._loading = threading.Lock()

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character spans of the tokens of `text` in order, special tokens left out."""
        return self._encode(text, with_special_tokens=False).offsets

    def count(self, text: str) -> int:
        """Tokens of `text`, special tokens left out."""
        return len(self._encode(text, with_special_tokens=False))

    def ids(self, text: str) -> list[int]:
        """Vocabulary numbers of the tokens of `text`, special tokens included."""
        return self._encode(text, with_special_tokens=True).ids

    def _encode(self, text: str, *, with_special_tokens: bool) -> Encoding:
        # A lone surrogate is no valid Unicode and the tokenizer refuses it; a question mark keeps the offsets right.
        valid = text.encode("utf-8", "replace").decode("utf-8")
        with self._loading:
            tokenizer = self._tokenizer
        return tokenizer.encode(valid, add_special_tokens=with_special_tokens)

    @cached_property
    def _tokenizer(self) -> FastTokenizer:
        return self._build()

    @abstractmethod
    def _build(self) -> FastTokenizer:
        """The tokenizer; called once."""
