"""Any LangChain `Embeddings`: an object, or a class by its name. Knows nothing of the packages that bring them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from llmapp.causes import causes
from llmapp.errors import ConfigError, EmbedderError, EmbedderUnavailableError
from llmapp.retrieval.embedders.prompted import Encoded, Facts, PromptedEmbedder
from llmapp.retrieval.embedders.prompts import Prompts
from llmapp.retrieval.embedders.tokenizers import ByteBound

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from llmapp.protocols import Tokenizer

_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_LONGEST_REASON_CHARS = 200


class LangChainModel:
    """Implements `TextModel`; as safe to use from several threads as the embeddings are."""

    def __init__(self, embeddings: Embeddings) -> None:
        """Use an object with LangChain's interface."""
        self._embeddings = embeddings

    def encode(self, texts: Sequence[str], *, prompt: str, is_query: bool) -> Encoded:
        """Embed texts, with ``embed_query`` or ``embed_documents``; see `TextModel`.

        Raises:
            EmbedderUnavailableError: The provider answered that it takes no more for now, or failed.
            EmbedderError: Any other failure.
        """
        prompted = [prompt + text for text in texts]
        try:
            if is_query:
                return Encoded([self._embeddings.embed_query(text) for text in prompted])
            return Encoded(self._embeddings.embed_documents(prompted))
        except Exception as error:  # packages of providers raise whatever they like
            message = f"the embedder failed: {type(error).__name__}: {' '.join(str(error).split())[:_LONGEST_REASON_CHARS]}"
            statuses = {getattr(link, "status_code", None) for link in causes(error)}
            kind = EmbedderError if statuses.isdisjoint(_TRANSIENT) else EmbedderUnavailableError
            raise kind(message) from error


def langchain_embedder(
    embeddings: Embeddings,
    *,
    name: str,
    dimensions: int,
    max_tokens: int = 512,
    tokenizer: Tokenizer | None = None,
    prompts: Prompts | None = None,
) -> PromptedEmbedder:
    """An embedder from LangChain's `Embeddings`, e.g. for `llmapp.open_app(embedder=...)`.

    Args:
        embeddings: The object.
        name: Names the model and its revision, not blank; vectors of two names are never compared, and prices are found by it.
        dimensions: Length of its vectors. From 1.
        max_tokens: Tokens that the model takes, special tokens included. From 1.
        tokenizer: The model's own; None bounds tokens by bytes, so that chunks are smaller than they need be.
        prompts: Put before texts beside what the object does itself; None is nothing.

    Raises:
        ConfigError: The name is blank, a number is below 1, or the prompts take all tokens.
    """
    if not name.strip():
        raise ConfigError("the embedder has no name", hint='name the model and its revision, e.g. name="bge-m3@1"')
    for argument, value in (("dimensions", dimensions), ("max_tokens", max_tokens)):
        if value < 1:
            raise ConfigError(f"{argument} is {value}, and is 1 at least", hint=f"pass the {argument} of the model")
    facts = Facts(
        name=name, dim=dimensions, tokenizer=tokenizer or ByteBound(), limit_tokens=None, prompts=prompts or Prompts()
    )
    return PromptedEmbedder(LangChainModel(embeddings), facts, max_tokens=max_tokens)


def make_embeddings(path: str, settings: Mapping[str, object]) -> Embeddings:
    """An object of a class that is named ``package.module:Class``.

    Args:
        path: The class.
        settings: Its keyword arguments.

    Raises:
        ConfigError: There is no such class, it refuses the settings, or it is none of LangChain's embeddings.
    """
    module, _, name = path.partition(":")
    try:
        kind = getattr(import_module(module), name or "a class")
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"langchain:{path} cannot be imported: {error}",
            hint="write langchain:package.module:Class, and install the package",
        ) from error
    try:
        made = kind(**settings)
    except Exception as error:  # a class may refuse in any way; its text may hold a secret
        raise ConfigError(
            f"{path} cannot be made: {type(error).__name__}", hint="check embedder_options.settings against its arguments"
        ) from error
    if not all(callable(getattr(made, method, None)) for method in ("embed_documents", "embed_query")):
        raise ConfigError(
            f"{path} is none of LangChain's embeddings", hint="name a class with embed_documents and embed_query"
        )
    embeddings: Embeddings = made
    return embeddings
