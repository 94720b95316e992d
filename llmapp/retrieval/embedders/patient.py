"""Batches and second tries around an embedder that somebody else serves.

Stands around the guard, not inside it: every request, and every try of it, is a hold of its own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from llmapp.errors import EmbedderUnavailableError

if TYPE_CHECKING:
    from llmapp.protocols import Embedder, FloatArray, Tokenizer

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0
"""A server that asks for more is left to the next run."""


class PatientEmbedder:
    """Implements `llmapp.protocols.Embedder`."""

    def __init__(
        self,
        inner: Embedder,
        *,
        batch_texts: int,
        batch_tokens: int,
        attempts: int = 5,
        question_attempts: int = 2,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Wrap an embedder of which each call is one request.

        Args:
            inner: The embedder, guarded.
            batch_texts: Most texts of a request.
            batch_tokens: Most tokens of a request; a single text may have more.
            attempts: How often a request for documents is made before its error is raised. From 1.
            question_attempts: The same of a question, for which somebody waits. From 1.
            sleep: Waits between them.
        """
        self._inner = inner
        self._batch_texts = batch_texts
        self._batch_tokens = batch_tokens
        self._attempts = attempts
        self._question_attempts = question_attempts
        self._sleep = sleep

    @property
    def identity(self) -> str:
        """Name and revision of the inner embedder."""
        return self._inner.identity

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._inner.dim

    @property
    def max_tokens(self) -> int:
        """Tokens of one input, special tokens included."""
        return self._inner.max_tokens

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the model."""
        return self._inner.tokenizer

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts to be searched, a request for each batch; see `llmapp.protocols.Embedder`.

        Raises:
            EmbedderUnavailableError: A request failed as often as it may.
            EmbedderError, CostError: As the inner embedder.
        """
        import numpy as np

        parts = [self._tried(partial(self._inner.embed_documents, batch), self._attempts) for batch in self._batches(texts)]
        return np.concatenate(parts) if parts else np.empty((0, self.dim), dtype=np.float32)

    def embed_query(self, text: str) -> FloatArray:
        """Embed a question; see `llmapp.protocols.Embedder`.

        Raises:
            EmbedderUnavailableError: The request failed as often as it may.
            EmbedderError, CostError: As the inner embedder.
        """
        return self._tried(lambda: self._inner.embed_query(text), self._question_attempts)

    def _tried(self, embed: Callable[[], FloatArray], attempts: int) -> FloatArray:
        for number in range(attempts - 1):
            try:
                return embed()
            except EmbedderUnavailableError as error:
                asked_s = error.retry_after_s or 0.0
                if asked_s > _LONGEST_WAIT_S:
                    raise
                scattered = random.uniform(0.5, 1.0)  # noqa: S311 - nothing secret
                self._sleep(max(asked_s, min(_FIRST_WAIT_S * 2**number, _LONGEST_WAIT_S) * scattered))
        return embed()

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        tokenizer = self.tokenizer
        batch: list[str] = []
        tokens = 0
        for text in texts:
            size = tokenizer.count(text) + tokenizer.special_tokens
            if batch and (len(batch) == self._batch_texts or tokens + size > self._batch_tokens):
                yield batch
                batch, tokens = [], 0
            batch.append(text)
            tokens += size
        if batch:
            yield batch
