"""Embedders by name: ``minilm``, ``sentence-transformers:NAME_OR_PATH``."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.errors import ConfigError

if TYPE_CHECKING:
    from llmapp.protocols import Embedder

MINILM = "minilm"
_KINDS = (MINILM, "sentence-transformers")


@dataclass(frozen=True, slots=True)
class EmbedderOptions:
    """What an embedder needs besides its name; see the settings `embedder_options`, which have the same names."""

    revision: str | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    dimensions: int | None = None
    max_tokens: int | None = None
    device: str | None = None


def build_embedder(name: str, options: EmbedderOptions, *, root: Path) -> Embedder:
    """Build the embedder that a name stands for. Nothing is loaded and nobody is called yet.

    Args:
        name: ``minilm``, or ``sentence-transformers:`` and a folder or a name on the hub.
        options: Of the settings; one that the embedder does not take is an error.
        root: Folder of llmapp.toml, to which a folder's name is relative.

    Raises:
        ConfigError: No such kind of embedder, or an option that it does not take.
        EmbedderError: There is no such model.
        MissingDependencyError: The extra of the embedder is not installed.
    """
    kind, _, model = name.partition(":")
    if kind == MINILM and not model:
        return _minilm(options)
    if kind == "sentence-transformers" and model:
        return _sentence_transformer(model, options, root)
    near = difflib.get_close_matches(kind, _KINDS, n=1)
    raise ConfigError(
        f"{name!r} names no embedder; there are {', '.join(_KINDS)}",
        hint=f"did you mean {near[0]}{'' if near[0] == MINILM else ':MODEL'}?" if near else "see architecture/embedders.md",
    )


def _minilm(options: EmbedderOptions) -> Embedder:
    from llmapp.retrieval.embedders.minilm import MiniLMEmbedder

    _refuse(options, MINILM, "revision", "query_prompt", "document_prompt", "dimensions", "max_tokens", "device")
    return MiniLMEmbedder()


def _sentence_transformer(model: str, options: EmbedderOptions, root: Path) -> Embedder:
    from llmapp.retrieval.embedders.model_folder import find_model
    from llmapp.retrieval.embedders.sentence_transformer import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(
        find_model(model, root=root, revision=options.revision),
        query_prompt=options.query_prompt,
        document_prompt=options.document_prompt,
        dimensions=options.dimensions,
        max_tokens=options.max_tokens,
        device=options.device,
    )


def _refuse(options: EmbedderOptions, kind: str, *names: str) -> None:
    """An option without an effect is a mistake of its writer."""
    given = next((name for name in names if getattr(options, name) is not None), None)
    if given is not None:
        raise ConfigError(f"embedder {kind} takes no {given}", hint=f"leave out embedder_options.{given}")
