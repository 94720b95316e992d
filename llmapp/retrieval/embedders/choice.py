"""Embedders by name: ``minilm``, ``sentence-transformers:…``, ``openai-compatible:…``, ``langchain:…``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr

from llmapp.errors import ConfigError

if TYPE_CHECKING:
    from llmapp.protocols import Embedder, Tokenizer

MINILM, SENTENCE_TRANSFORMERS = "minilm", "sentence-transformers"
OPENAI_COMPATIBLE, LANGCHAIN = "openai-compatible", "langchain"
_KINDS = (MINILM, SENTENCE_TRANSFORMERS, OPENAI_COMPATIBLE, LANGCHAIN)

_TAKEN = {
    MINILM: set[str](),
    SENTENCE_TRANSFORMERS: {"revision", "query_prompt", "document_prompt", "dimensions", "max_tokens", "device"},
    OPENAI_COMPATIBLE: {
        "revision", "query_prompt", "document_prompt", "dimensions", "shorten", "max_tokens", "tokenizer", "base_url", "encoding",
        "timeout_s", "batch_texts", "batch_tokens",
    },
    LANGCHAIN: {"revision", "query_prompt", "document_prompt", "dimensions", "max_tokens", "tokenizer", "settings",
                "batch_texts", "batch_tokens"},
}  # fmt: skip
_OPENAI = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
"""Dimensions. Source: OpenAI's page "Vector embeddings"."""
_OPENAI_TOKENS = 8191
"""Tokens that these take. Source: as above."""
_BOUND_TOKENS = 2048
"""Tokens of an input where they are bounded by bytes and the model is known to take them: about 500 in English."""


class EmbedderOptions(BaseModel):
    """What an embedder needs besides its name: the settings `embedder_options`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    revision: str | None = None
    """Branch, tag or commit of a model on the hub; None is what this machine has, else the newest."""
    query_prompt: str | None = None
    """Put before every question; None is the model's own, or what is known of its family; empty is none."""
    document_prompt: str | None = None
    """Put before every text that is embedded; None is the model's own, or what is known of its family; empty is none."""
    dimensions: int | None = Field(default=None, ge=1)
    """Length of a vector; None is the model's own, which an API must be told of."""
    shorten: bool | None = None
    """Whether a served model is asked for vectors of `dimensions`, which not every model can shorten."""
    max_tokens: int | None = Field(default=None, ge=16)
    """Tokens of one input, prompt and special tokens included; None is what the model takes, 512 at most."""
    tokenizer: Path | None = None
    """A served model's own ``tokenizer.json``, relative to llmapp.toml; None bounds its tokens by bytes."""
    device: str | None = None
    """Where a local model runs: ``cpu``, ``cuda:1``, ``mps``; None is the best that there is."""
    base_url: str | None = None
    """Address of an OpenAI-compatible server, e.g. ``http://127.0.0.1:8080/v1``."""
    encoding: Literal["float", "base64"] | None = None
    """How such a server is asked for vectors; None is ``float``, which all of them know."""
    timeout_s: float | None = Field(default=None, gt=0)
    """Seconds that a request to it may take; None is 60."""
    batch_texts: int = Field(default=32, ge=1)
    """Most texts of a request to a served model."""
    batch_tokens: int = Field(default=100_000, ge=1)
    """Most tokens of such a request."""
    settings: dict[str, JsonValue] = {}
    """Arguments of a LangChain class; a secret is written ``{ env = "NAME" }``."""


def is_remote(name: str) -> bool:
    """Whether an embedder of that name asks somebody else, in requests that are worth a second try."""
    return name.partition(":")[0] in {OPENAI_COMPATIBLE, LANGCHAIN}


def build_embedder(
    name: str, options: EmbedderOptions, *, root: Path, api_key: SecretStr | None = None, cache: Path | None = None
) -> Embedder:
    """Build the embedder that a name stands for. No model is loaded and no server is called yet.

    Args:
        name: ``minilm``, or a kind and a model; see architecture/embedders.md.
        options: Of the settings; one that the embedder does not take is an error.
        root: Folder of llmapp.toml, to which files are relative.
        api_key: Of an OpenAI-compatible server.
        cache: Folder in which local models are kept in a faster form; None runs them as they are.

    Raises:
        ConfigError: No such kind of embedder, an option that it does not take, or one that it lacks.
        EmbedderError: There is no such model.
        MissingDependencyError: The extra of the embedder is not installed.
    """
    kind, _, model = name.partition(":")
    if kind not in _KINDS or bool(model) == (kind == MINILM):
        near = difflib.get_close_matches(kind, _KINDS, n=1)
        raise ConfigError(
            f"{name!r} names no embedder; there are {', '.join(_KINDS)}",
            hint=f"did you mean {near[0]}{'' if near[0] == MINILM else ':MODEL'}?"
            if near
            else "see architecture/embedders.md",
        )
    given = {option for option, its in EmbedderOptions.model_fields.items() if getattr(options, option) != its.default}
    for option in sorted(given - _TAKEN[kind]):  # without an effect it is a mistake of its writer
        raise ConfigError(f"embedder {kind} takes no {option}", hint=f"leave out embedder_options.{option}")
    if kind == OPENAI_COMPATIBLE:
        return _openai_compatible(model, options, root, api_key)
    if kind == LANGCHAIN:
        return _langchain(model, options, root)
    return _sentence_transformer(model, options, root, cache) if kind == SENTENCE_TRANSFORMERS else _minilm()


def _minilm() -> Embedder:
    from llmapp.retrieval.embedders.minilm import MiniLMEmbedder

    return MiniLMEmbedder()


def _sentence_transformer(model: str, options: EmbedderOptions, root: Path, cache: Path | None) -> Embedder:
    from llmapp.retrieval.embedders.model_folder import find_model
    from llmapp.retrieval.embedders.sentence_transformer import sentence_transformer

    return sentence_transformer(
        find_model(model, root=root, revision=options.revision),
        query_prompt=options.query_prompt,
        document_prompt=options.document_prompt,
        dimensions=options.dimensions,
        max_tokens=options.max_tokens,
        device=options.device,
        cache=cache,
    )


def _openai_compatible(model: str, options: EmbedderOptions, root: Path, api_key: SecretStr | None) -> Embedder:
    from llmapp.retrieval.embedders.openai_compatible import OpenAIModel
    from llmapp.retrieval.embedders.prompted import Facts, PromptedEmbedder
    from llmapp.retrieval.embedders.prompts import prompts_for

    if not options.base_url:
        raise ConfigError(
            f"{OPENAI_COMPATIBLE}:{model} needs a base URL",
            hint="set embedder_options.base_url in llmapp.toml, e.g. http://127.0.0.1:8080/v1",
        )
    served = OpenAIModel(
        model,
        options.base_url,
        api_key=api_key,
        dimensions=options.dimensions if options.shorten else None,
        encoding=options.encoding or "float",
        timeout_s=options.timeout_s or 60.0,
    )
    facts = Facts(
        name=f"{OPENAI_COMPATIBLE}:{model}@{options.revision or 'unpinned'}",
        dim=options.dimensions or _OPENAI.get(model) or _needed(f"{OPENAI_COMPATIBLE}:{model}"),
        tokenizer=_tokenizer(options, root),
        limit_tokens=_OPENAI_TOKENS if model in _OPENAI else None,
        prompts=prompts_for(model, {}, query=options.query_prompt, document=options.document_prompt),
    )
    is_bounded = model in _OPENAI and options.tokenizer is None
    default = {"default_tokens": _BOUND_TOKENS} if is_bounded else {}
    return PromptedEmbedder(served, facts, max_tokens=options.max_tokens, **default)


def _langchain(path: str, options: EmbedderOptions, root: Path) -> Embedder:
    from llmapp.retrieval.embedders.langchain_embeddings import langchain_embedder, make_embeddings
    from llmapp.retrieval.embedders.prompts import Prompts

    name = f"{LANGCHAIN}:{path}"
    return langchain_embedder(
        make_embeddings(path, options.settings),
        name=f"{name}@{options.revision or _traced(options.settings)}",
        dimensions=options.dimensions or _needed(name),
        max_tokens=options.max_tokens or 512,
        tokenizer=_tokenizer(options, root),
        prompts=Prompts(options.query_prompt or "", options.document_prompt or ""),
    )


def _traced(settings: Mapping[str, object]) -> str:
    """A trace of the settings, secrets left out: another model is another identity."""
    import hashlib

    shown = {key: value for key, value in sorted(settings.items()) if not isinstance(value, SecretStr)}
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:8]


def _tokenizer(options: EmbedderOptions, root: Path) -> Tokenizer:
    from llmapp.retrieval.embedders.tokenizers import ByteBound, FileTokenizer

    return FileTokenizer.of(root / options.tokenizer) if options.tokenizer else ByteBound()


def _needed(name: str) -> int:
    raise ConfigError(
        f"the length of the vectors of {name} is not known",
        hint="set embedder_options.dimensions; where it is wrong, the first answer says the right one",
    )
