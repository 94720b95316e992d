"""Any sentence-transformers model. What is known of it is read from its files; it is loaded when the first text is embedded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from llmapp.errors import ConfigError, EmbedderError, MissingDependencyError
from llmapp.retrieval.embedders.fused import FusedModel
from llmapp.retrieval.embedders.model_folder import EXTRA, ModelFolder
from llmapp.retrieval.embedders.prompted import Encoded, Facts, PromptedEmbedder
from llmapp.retrieval.embedders.prompts import Prompts, prompts_for

_BATCH = 16
_PROBE = "A probe: 12 words, Ünïcode and (signs); is it read as its tokenizer.json says?"


def sentence_transformer(
    folder: ModelFolder,
    *,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    dimensions: int | None = None,
    max_tokens: int | None = None,
    device: str | None = None,
    cache: Path | None = None,
) -> PromptedEmbedder:
    """An embedder of a model on disk; it is loaded when the first text is embedded.

    Args:
        folder: Its files.
        query_prompt: Put before a question; None takes the model's own, see `prompts`.
        document_prompt: Put before a document; the same.
        dimensions: The first so many of every vector are used, for models that were trained for it; None is all.
        max_tokens: Tokens of one input, prompt and special tokens included; None is what the model takes, 512 at most.
        device: E.g. ``cpu``, ``cuda:1``, ``mps``; None takes the best that torch finds.
        cache: Folder in which the model is kept as a fused graph, for the CPU; None always runs torch.

    Raises:
        ConfigError: More dimensions or tokens are asked for than the model has.
        EmbedderError: The files cannot be read, or leave something out.
    """
    prompts = prompts_for(folder.name, folder.prompts, query=query_prompt, document=document_prompt)
    model = TorchModel(folder, device=device)
    served = FusedModel(folder, model, cache) if cache is not None and device in {None, "cpu"} else model
    embedder = PromptedEmbedder(served, _facts(folder, prompts, dimensions), max_tokens=max_tokens)
    model.max_tokens = embedder.max_tokens
    return embedder


def _facts(folder: ModelFolder, prompts: Prompts, dimensions: int | None) -> Facts:
    if dimensions is not None and dimensions > folder.dim:
        raise ConfigError(
            f"{folder.name} has {folder.dim} dimensions", hint=f"set embedder_options.dimensions to {folder.dim} at most"
        )
    return Facts(
        name=f"{folder.name}@{folder.revision}",
        dim=dimensions or folder.dim,
        tokenizer=folder.tokenizer,
        limit_tokens=folder.max_tokens,
        prompts=prompts,
        may_shorten=dimensions is not None,
    )


class TorchModel:
    """The model as the package runs it. Implements `TextModel`; one text at a time passes, from whatever thread."""

    max_tokens = 0
    """The longest input that it will be given; the model must take that much."""

    def __init__(self, folder: ModelFolder, *, device: str | None = None) -> None:
        """Choose a model; nothing is loaded yet.

        Args:
            folder: Its files.
            device: E.g. ``cpu``, ``cuda:1``, ``mps``; None takes the best that torch finds.
        """
        self._folder = folder
        self._device = device
        self._turn = threading.Lock()

    def encode(self, texts: Sequence[str], *, prompt: str, is_query: bool) -> Encoded:  # noqa: ARG002 - the prompt says it
        """Embed texts; see `TextModel`.

        Raises:
            EmbedderError: The model cannot be loaded, or failed.
            MissingDependencyError: sentence-transformers is not installed.
        """
        with self._turn:
            model = self._model
            try:
                return Encoded(model.encode(list(texts), prompt=prompt or None, batch_size=_BATCH, show_progress_bar=False))
            except Exception as error:  # torch and transformers raise whatever they like
                raise EmbedderError(f"the embedder failed: {type(error).__name__}: {error}") from error

    @property
    def is_on_cpu(self) -> bool:
        """Whether torch has found nothing better, or was told so. Loads the model."""
        with self._turn:
            return str(self._model.device) == "cpu"

    def loaded(self, **options: Any) -> Any:
        """Another `SentenceTransformer` of the same files on the CPU, with options of the transformer's own."""
        return load(self._folder, "cpu", model_kwargs=options)

    @cached_property
    def _model(self) -> Any:
        model = load(self._folder, self._device)
        self._compare(model)
        return model

    def _compare(self, model: Any) -> None:
        """See that the model is what its files say: no text may be cut that was found to fit."""
        limit = model.max_seq_length
        if limit is not None and limit < self.max_tokens:
            raise EmbedderError(
                f"{self._folder.name} takes {limit} tokens", hint=f"set embedder_options.max_tokens to {limit}"
            )
        tokens = int(model.preprocess([_PROBE])["input_ids"].shape[-1])
        if tokens > len(self._folder.tokenizer.ids(_PROBE)):
            raise EmbedderError(
                f"{self._folder.name} adds tokens that its tokenizer.json does not tell of", hint="save its tokenizer again"
            )


def load(folder: ModelFolder, device: str | None, **options: Any) -> Any:
    """The `SentenceTransformer` of a folder. Nothing is fetched, and no code of the model is run.

    Raises:
        EmbedderError: It cannot be loaded.
        MissingDependencyError: sentence-transformers is not installed.
    """
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging
    except ImportError as error:
        raise MissingDependencyError("sentence_transformers", extra=EXTRA) from error
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model = SentenceTransformer(str(folder.path), device=device, local_files_only=True, **options)
    except Exception as error:  # a model may be broken in any way
        raise EmbedderError(
            f"{folder.name} cannot be loaded: {type(error).__name__}: {error}", hint="fetch the model again"
        ) from error
    model.default_prompt_name = None  # what is put before a text is decided elsewhere
    return model
