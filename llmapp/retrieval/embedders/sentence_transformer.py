"""Any sentence-transformers model, with the prompts that it was trained with. The only module that imports that package.

What the embedder says of itself is read from the model's files; the model is loaded when the first text is embedded.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmapp.errors import ConfigError, EmbedderError, MissingDependencyError
from llmapp.retrieval.embedders.model_folder import EXTRA, ModelFolder
from llmapp.retrieval.embedders.prompts import Prompts, prompts_for
from llmapp.retrieval.embedders.tokenizers import behind, cut_to
from llmapp.retrieval.embedders.unit import unit_rows

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray, Tokenizer

MAX_TOKENS = 512
"""Tokens of an input unless the settings say otherwise: a longer one is a worse answer to one question, also where it fits."""
_BATCH = 16
_PROBE = "A probe: 12 words, Ünïcode and (signs); is it read as its tokenizer.json says?"


class SentenceTransformerEmbedder:
    """Implements `llmapp.protocols.Embedder`; safe to use from several threads."""

    def __init__(
        self,
        folder: ModelFolder,
        *,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        dimensions: int | None = None,
        max_tokens: int | None = None,
        device: str | None = None,
    ) -> None:
        """Choose a model; nothing is loaded yet.

        Args:
            folder: Its files.
            query_prompt: Put before a question; None takes the model's own, see `prompts`.
            document_prompt: Put before a document; the same.
            dimensions: The first so many of every vector are used, for models that were trained for it; None is all.
            max_tokens: Tokens of one input, prompt and special tokens included; None is what the model takes, 512 at most.
            device: E.g. ``cpu``, ``cuda:1``, ``mps``; None takes the best that torch finds.
        """
        self._folder = folder
        self._given = (query_prompt, document_prompt)
        self._dimensions = dimensions
        self._max_tokens = max_tokens
        self._device = device
        self._turn = threading.Lock()

    @cached_property
    def identity(self) -> str:
        """Name and revision of the model, and all else that a vector depends on."""
        prompts = hashlib.sha256(f"{self.prompts.query}\0{self.prompts.document}".encode()).hexdigest()[:8]
        return f"{self._folder.name}@{self._folder.revision}/{self.dim}d/{self.max_tokens}t/prompts-{prompts}/unit"

    @cached_property
    def prompts(self) -> Prompts:
        """What stands before questions and documents."""
        query, document = self._given
        return prompts_for(self._folder.name, self._folder.prompts, query=query, document=document)

    @cached_property
    def dim(self) -> int:
        """Length of a vector.

        Raises:
            ConfigError: More dimensions are asked for than the model has.
        """
        dim = self._folder.dim
        if self._dimensions is not None and self._dimensions > dim:
            raise ConfigError(
                f"{self._folder.name} has {dim} dimensions", hint=f"set embedder_options.dimensions to {dim} at most"
            )
        return self._dimensions or dim

    @cached_property
    def max_tokens(self) -> int:
        """Tokens of one input, prompt and special tokens included.

        Raises:
            ConfigError: More are asked for than the model takes, or so few that the prompts take all of them.
        """
        own = self._folder.max_tokens
        if self._max_tokens is not None and own is not None and self._max_tokens > own:
            raise ConfigError(
                f"{self._folder.name} takes {own} tokens", hint=f"set embedder_options.max_tokens to {own} at most"
            )
        allowed = self._max_tokens or min(own or MAX_TOKENS, MAX_TOKENS)
        taken = max(self.tokenizer.special_tokens, self._query_tokenizer.special_tokens)
        if allowed <= taken:
            raise ConfigError(f"the prompts of the embedder take {taken} of {allowed} tokens", hint="set shorter prompts")
        return allowed

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of documents; their prompt counts as special tokens."""
        return behind(self.prompts.document, self._folder.tokenizer)

    @cached_property
    def _query_tokenizer(self) -> Tokenizer:
        return behind(self.prompts.query, self._folder.tokenizer)

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts to be searched.

        Returns:
            Shape (len(texts), dim), float32, each row of length 1, in the order of `texts`.

        Raises:
            EmbedderError: A text is over `max_tokens` (nothing is cut in silence), or the model failed.
            MissingDependencyError: sentence-transformers is not installed.
        """
        for number, text in enumerate(texts):
            tokens = self.tokenizer.count(text) + self.tokenizer.special_tokens
            if tokens > self.max_tokens:
                raise EmbedderError(
                    f"text {number} has {tokens} tokens, the embedder takes {self.max_tokens}",
                    hint="cut it into smaller chunks",
                )
        return self._embed(texts, self.prompts.document)

    def embed_query(self, text: str) -> FloatArray:
        """Embed a question. Shape (dim,), float32, length 1; a longer text is cut at `max_tokens`.

        Raises:
            EmbedderError: The model failed.
            MissingDependencyError: sentence-transformers is not installed.
        """
        vector: FloatArray = self._embed([cut_to(text, self._query_tokenizer, self.max_tokens)], self.prompts.query)[0]
        return vector

    def _embed(self, texts: Sequence[str], prompt: str) -> FloatArray:
        with self._turn:
            model = self._model
            try:
                found = model.encode(list(texts), prompt=prompt or None, batch_size=_BATCH, show_progress_bar=False)
            except Exception as error:  # torch and transformers raise whatever they like
                raise EmbedderError(f"the embedder failed: {type(error).__name__}: {error}") from error
        return unit_rows(found[:, : self.dim] if len(texts) else found, count=len(texts), dim=self.dim)

    @cached_property
    def _model(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging
        except ImportError as error:
            raise MissingDependencyError("sentence_transformers", extra=EXTRA) from error
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            model = SentenceTransformer(str(self._folder.path), device=self._device, local_files_only=True)
        except Exception as error:  # a model may be broken in any way
            raise EmbedderError(
                f"{self._folder.name} cannot be loaded: {type(error).__name__}: {error}", hint="fetch the model again"
            ) from error
        model.default_prompt_name = None  # what is put before a text is decided here
        self._compare(model)
        return model

    def _compare(self, model: Any) -> None:
        """See that the model is what its files say: no text may be cut that was found to fit."""
        limit, own = model.max_seq_length, self._folder.tokenizer
        if limit is not None and limit < self.max_tokens:
            raise EmbedderError(
                f"{self._folder.name} takes {limit} tokens", hint=f"set embedder_options.max_tokens to {limit}"
            )
        tokens = int(model.preprocess([_PROBE])["input_ids"].shape[-1])
        if tokens > len(own.ids(_PROBE)):
            raise EmbedderError(
                f"{self._folder.name} adds tokens that its tokenizer.json does not tell of", hint="save its tokenizer again"
            )
