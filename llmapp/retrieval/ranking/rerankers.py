"""Rerankers by name: ``cross-encoder:NAME``, ``api:MODEL``, ``model``. Nothing is loaded or called before the first question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.errors import ConfigError
from llmapp.retrieval.ranking.reranking import PassageReranker

if TYPE_CHECKING:
    from llmapp.protocols import Complete, RelevanceScorer, Reranker


def build_reranker(
    spec: str,
    *,
    root: Path,
    api: Callable[[str], RelevanceScorer],
    complete: Callable[[], Complete],
) -> Reranker:
    """Make the reranker that a name stands for.

    Args:
        spec: The name, as above.
        root: A cross-encoder that is a folder there is taken from it, not from the hub.
        api: Makes the guarded scorer of a provider's model.
        complete: Gives the chat model.

    Raises:
        ConfigError: No such kind of reranker, or one of the two above cannot be had.
    """
    kind, _, name = spec.partition(":")
    if kind == "model":
        from llmapp.retrieval.ranking.listwise import ListwiseReranker

        return ListwiseReranker(complete())
    if kind == "api":
        return PassageReranker(api(name))
    if kind == "cross-encoder":
        from llmapp.retrieval.ranking.cross_encoder import CrossEncoderScorer

        return PassageReranker(CrossEncoderScorer(str(root / name) if (root / name).is_dir() else name))
    raise ConfigError(f"there is no reranker {spec}", hint="write cross-encoder:NAME, api:MODEL or model")
