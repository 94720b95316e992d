"""An embedder around any model that turns texts into vectors: prompts, limits and lengths are looked after here, once for all."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from llmapp.errors import ConfigError, EmbedderError
from llmapp.retrieval.embedders.prompts import Prompts
from llmapp.retrieval.embedders.tokenizers import behind, cut_to
from llmapp.retrieval.embedders.unit import unit_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from llmapp.protocols import FloatArray, Tokenizer

MAX_TOKENS = 512
"""Tokens of an input unless the settings say otherwise: a longer one is a worse answer to one question, also where it fits."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What a model gave."""

    vectors: ArrayLike
    """Anything like a table of a row for each text, of any length; checked by whoever asked."""
    input_tokens: int | None = None
    """Tokens that the provider has counted; None when it did not say, or nobody is paid."""


class TextModel(Protocol):
    """Turns texts into vectors, as they are."""

    def encode(self, texts: Sequence[str], *, prompt: str, is_query: bool) -> Encoded:
        """Embed some texts, at least one, `prompt` before each.

        Raises:
            EmbedderError: The model failed.
        """


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a model before it is asked."""

    name: str
    """With its revision; the beginning of the identity."""
    dim: int
    """Length of a vector. A model that gives longer ones is refused, unless `may_shorten`."""
    tokenizer: Tokenizer
    limit_tokens: int | None
    """Tokens that the model takes, special tokens included; None when it sets no limit."""
    prompts: Prompts = field(default_factory=Prompts)
    may_shorten: bool = False
    """Whether the first `dim` dimensions of a longer vector are used."""


class PromptedEmbedder:
    """Implements `llmapp.protocols.Embedder`; as safe to use from several threads as its model is."""

    def __init__(
        self, model: TextModel, facts: Facts, *, max_tokens: int | None = None, default_tokens: int = MAX_TOKENS
    ) -> None:
        """Put the rules around a model.

        Args:
            model: Makes the vectors.
            facts: What is known of it.
            max_tokens: Tokens of one input, prompt and special tokens included; None is what the model takes, but
                `default_tokens` at most.
            default_tokens: See `max_tokens`.

        Raises:
            ConfigError: `max_tokens` is more than the model takes, or the prompts take all of them.
        """
        limit = facts.limit_tokens
        if max_tokens is not None and limit is not None and max_tokens > limit:
            raise ConfigError(
                f"{facts.name} takes {limit} tokens", hint=f"set embedder_options.max_tokens to {limit} at most"
            )
        self.dim = facts.dim
        self.max_tokens = min(limit or default_tokens, default_tokens) if max_tokens is None else max_tokens
        self.tokenizer = behind(facts.prompts.document, facts.tokenizer)
        """That of documents; their prompt counts as special tokens."""
        self._query_tokenizer = behind(facts.prompts.query, facts.tokenizer)
        self._model = model
        self._facts = facts
        self._counted = threading.local()
        taken = max(self.tokenizer.special_tokens, self._query_tokenizer.special_tokens)
        if taken >= self.max_tokens:
            raise ConfigError(
                f"the prompts of the embedder take {taken} of {self.max_tokens} tokens", hint="set shorter prompts"
            )

    @property
    def prompts(self) -> Prompts:
        """What stands before questions and documents."""
        return self._facts.prompts

    @cached_property
    def identity(self) -> str:
        """Name and revision of the model, and all else that a vector depends on."""
        prompts = hashlib.sha256(f"{self.prompts.query}\0{self.prompts.document}".encode()).hexdigest()[:8]
        return f"{self._facts.name}/{self.dim}d/{self.max_tokens}t/prompts-{prompts}/unit"

    @property
    def last_input_tokens(self) -> int | None:
        """Tokens that the provider has counted for the last call of this thread; None when it did not say."""
        return getattr(self._counted, "tokens", None)

    def close(self) -> None:
        """Close what the model holds open."""
        if close := getattr(self._model, "close", None):
            close()

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts to be searched.

        Returns:
            Shape (len(texts), dim), float32, each row of length 1, in the order of `texts`.

        Raises:
            EmbedderError: A text is over `max_tokens` (nothing is cut in silence), or the model failed.
        """
        for number, text in enumerate(texts):
            tokens = self.tokenizer.count(text) + self.tokenizer.special_tokens
            if tokens > self.max_tokens:
                raise EmbedderError(
                    f"text {number} has {tokens} tokens, the embedder takes {self.max_tokens}",
                    hint="cut it into smaller chunks",
                )
        return self._embed(texts, self.prompts.document, is_query=False)

    def embed_query(self, text: str) -> FloatArray:
        """Embed a question. Shape (dim,), float32, length 1; a longer text is cut at `max_tokens`.

        Raises:
            EmbedderError: The model failed.
        """
        cut = cut_to(text, self._query_tokenizer, self.max_tokens)
        vector: FloatArray = self._embed([cut], self.prompts.query, is_query=True)[0]
        return vector

    def _embed(self, texts: Sequence[str], prompt: str, *, is_query: bool) -> FloatArray:
        self._counted.tokens = None
        if not texts:
            return unit_rows([], count=0, dim=self.dim)
        encoded = self._model.encode(texts, prompt=prompt, is_query=is_query)
        self._counted.tokens = encoded.input_tokens
        keep = self.dim if self._facts.may_shorten else None
        return unit_rows(encoded.vectors, count=len(texts), dim=self.dim, keep=keep)
