"""Counts with a model's own tokenizer file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.errors import PromptError
from llmapp.prompting.counting.cache import CountCache
from llmapp.prompting.counting.framing import estimated_request
from llmapp.types import Message, Tool

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class HuggingFaceCounter:
    """Counts with a model's own ``tokenizer.json``.

    Exact for the content. The chat template is not rendered: each message and the request get an allowance, so the count
    of a request is an estimate, and `is_exact` says so.
    """

    is_exact = False
    """The content is exact, the frames are allowances."""
    is_exact_with_tools = False
    """As above."""

    def __init__(self, tokenizer_file: Path) -> None:
        """Name the file; it is read at the first count.

        Args:
            tokenizer_file: A ``tokenizer.json`` of Hugging Face `tokenizers`.
        """
        self.tokenizer_file = tokenizer_file
        self._cached = CountCache(self._tokens)

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

    def count_request(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> int:
        """Tokens of a request: 32, and for each message 8, its role and its content.

        Raises:
            PromptError: The file is not there, or is not a tokenizer.
        """
        return estimated_request(messages, tools, self.count)

    def upper_bound(self, text: str) -> int:
        """The count itself: a normaliser may make a text longer than its bytes."""
        return self.count(text)

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
