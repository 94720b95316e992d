"""Settings: `llmapp.toml`, overridden by `LLMAPP_*` variables. The only reader of the environment.

A variable names a key by its path, parts joined by two underscores: ``LLMAPP_PROMPT__BUDGET_TOKENS=2000``. Keys of
providers (``OPENAI_API_KEY`` and the like) are read by the provider's own package, never from the file.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, JsonValue, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from llmapp.config.budgets import BudgetSettings
from llmapp.config.model import ModelOptions, ModelSettings
from llmapp.config.prompt import PromptSettings
from llmapp.config.retrieval import RetrievalSettings
from llmapp.config.table import Table
from llmapp.errors import ConfigError, UnknownSettingError
from llmapp.retrieval.embedders.choice import EmbedderOptions

FILE_NAME = "llmapp.toml"
STATE_FOLDER = ".llmapp"
_PREFIX = "LLMAPP_"
_NOT_IN_THE_FILE = {"root", "api_key", "embedder_api_key", "reranker_api_key"}
_OTHER_VARIABLES = {"DATA"}
"""``LLMAPP_DATA`` names the evaluation data, for benchmarks and tests."""
STORES = ("chroma", "chroma-server", "exact", "pgvector")
"""Stores of vectors that come with llmapp."""


class SourceSettings(Table):
    """A source: a connector with its settings."""

    name: str = Field(min_length=1, pattern=r"^[^:\s][^:]*$")
    """Name of the source, unique; stands before the document's id in ``source:id``."""
    connector: str = "files"
    """Name of the connector, as it is registered in the entry point group ``llmapp.connectors``."""
    acl: tuple[str, ...] = ()
    """Who may read a document that brings no access list: ``public``, ``user:…``, ``group:…``, ``tenant:…``; empty is nobody."""
    acl_file: Path | None = None
    """A TOML file with lines ``"hr/*" = ["group:hr"]``, relative to llmapp.toml: the first pattern that a document's id matches wins over `acl`."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Fields of the connector. A relative ``path`` is relative to llmapp.toml; a secret is written ``{ env = "NAME" }``."""


class IngestionSettings(Table):
    """How documents are taken in, and what one of them may take."""

    workers: int = Field(default=2, ge=1, le=256)
    """Documents parsed at the same time, each in a process of its own."""
    batch_chunks: int = Field(default=256, ge=1, le=100_000)
    """Chunks that are embedded and committed together."""
    max_bytes: int = Field(default=512 << 20, ge=1)
    """Bytes of one document."""
    max_pages: int = Field(default=20_000, ge=1)
    """Pages of one PDF."""
    max_chars: int = Field(default=20_000_000, ge=1)
    """Characters of text that a document may expand to; plain text is limited by its bytes alone."""
    max_chunks: int = Field(default=1_000_000, ge=1)
    """Chunks of one document."""
    archive_depth: int = Field(default=3, ge=1)
    """Archives inside one another, the outermost counted."""
    archive_members: int = Field(default=10_000, ge=1)
    """Files in an archive and in the archives inside it."""
    archive_bytes: int = Field(default=256 << 20, ge=1)
    """Bytes that an archive or an office file may unpack to, all in all."""
    seconds: float = Field(default=60.0, gt=0)
    """Wall-clock time that one document may take to be parsed."""
    memory_bytes: int = Field(default=2 << 30, ge=256 << 20)
    """Address space of a parser process."""
    max_deleted_share: float = Field(default=0.3, ge=0, le=1)
    """A run that would delete more than this share of a source, and more than `max_deleted` documents, stops and asks."""
    max_deleted: int = Field(default=10, ge=0)
    """Documents of a source that a run may delete whatever their share."""
    max_failed_share: float = Field(default=0.25, ge=0, le=1)
    """A run ends as failed when more than this share of its documents failed, and more than `max_failed`."""
    max_failed: int = Field(default=10, ge=0)
    """Documents that may fail whatever their share."""
    passwords: tuple[SecretStr, ...] = ()
    """Passwords that are tried on encrypted documents; from the environment only: ``LLMAPP_INGESTION__PASSWORDS='["…"]'``."""

    @property
    def setup(self) -> str:
        """What decides whether a document can be read: the limits, and a trace of the passwords."""
        limits = self.model_dump_json(include={"max_bytes", "max_pages", "max_chars", "max_chunks", "archive_depth",
                                               "archive_members", "archive_bytes", "seconds", "memory_bytes"})  # fmt: skip
        words = [word.get_secret_value() for word in self.passwords]
        # So little of the hash that a change shows, and that no password can be checked against it.
        return f"{limits} {hashlib.sha256(chr(0).join(words).encode()).hexdigest()[:4]}"


class EmbedderSettings(EmbedderOptions, Table):
    """What an embedder needs besides its name."""


class IndexSettings(Table):
    """Where the vector index is kept."""

    store: str = Field(default="chroma", pattern=rf"^({'|'.join(STORES)}|[\w.]+:\w+)$")
    """Kind of the first store, ``llmapp reindex`` changes it: ``chroma`` in the process, ``chroma-server``, ``pgvector``, ``exact``: the catalog's vectors, one by one, or a class of your own, ``package.module:Class``."""
    chroma_url: str | None = None
    """Address of the Chroma server, on this machine, e.g. ``http://127.0.0.1:8001``."""
    pgvector_url: SecretStr | None = None
    """Address of the PostgreSQL with pgvector: ``postgresql://HOST:PORT/DATABASE``; one with a password from the environment only: ``LLMAPP_INDEX__PGVECTOR_URL``."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Arguments of a class of your own; a secret is written ``{ env = "NAME" }``."""


class PriceSettings(Table):
    """Own rates of a model; they win over the bundled ones."""

    input_usd_per_million: Decimal = Field(ge=0)
    """USD for a million input tokens."""
    output_usd_per_million: Decimal | None = Field(default=None, ge=0)
    """USD for a million output tokens; None for a model that only reads, such as an embedder."""
    cached_input_usd_per_million: Decimal | None = Field(default=None, ge=0)
    """USD for a million input tokens that the provider had cached; None is as other input."""
    cache_write_usd_per_million: Decimal | None = Field(default=None, ge=0)
    """USD for a million input tokens that the provider newly caches; None is as other input."""
    batch_input_usd_per_million: Decimal | None = Field(default=None, ge=0)
    """USD for a million input tokens at the provider's batch endpoint; None is not known."""
    batch_output_usd_per_million: Decimal | None = Field(default=None, ge=0)
    """USD for a million output tokens there; with `batch_input_usd_per_million`."""
    usd_per_thousand_searches: Decimal = Field(default=Decimal(0), ge=0)
    """USD for a thousand searches of a rerank API that bills these, as Cohere does; with `input_usd_per_million = 0`."""

    @model_validator(mode="after")
    def _has_whole_batch_price(self) -> Self:
        if self.batch_output_usd_per_million is not None and self.batch_input_usd_per_million is None:
            raise ValueError("batch_output_usd_per_million needs batch_input_usd_per_million")
        return self


class ServerSettings(Table):
    """The HTTP server."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    max_body_bytes: int = Field(default=1_000_000, ge=1)
    """Bytes of a request body."""
    max_concurrency: int = Field(default=16, ge=1)
    """Questions answered at the same time; more get 429 with Retry-After."""


class Settings(BaseSettings):
    """All settings of an application."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    root: Path = Path()
    """Folder of llmapp.toml; the state lives in `.llmapp/` beside it. Not a key of the file."""
    model: str = "extractive"
    """The chat model: ``extractive``, ``openai:gpt-4o-mini``, ``ollama:llama3.2``, ``openai-compatible:NAME``, …"""
    api_key: SecretStr | None = None
    """Key of an OpenAI-compatible server; from the environment (``LLMAPP_API_KEY``) only."""
    reranker_api_key: SecretStr | None = None
    """Key of a rerank API; from the environment (``LLMAPP_RERANKER_API_KEY``) only."""
    embedder_api_key: SecretStr | None = None
    """Key of the embedder's server; from the environment (``LLMAPP_EMBEDDER_API_KEY``) only."""
    catalog_url: SecretStr | None = None
    """A PostgreSQL that keeps the catalog, for several machines: ``postgresql://USER@HOST/DATABASE``; with a password from the environment only (``LLMAPP_CATALOG_URL``). None is a SQLite file in `.llmapp/`."""
    model_options: ModelOptions = ModelOptions()
    """What the chat model needs besides its name."""
    models: dict[str, ModelSettings] = {}
    """What you know of models by name, a table ``[models."NAME"]`` each; it wins over what is published."""
    embedder: str = "minilm"
    """What turns texts into vectors: ``minilm``, ``sentence-transformers:NAME_OR_PATH``, ``openai-compatible:MODEL``, ``langchain:package.module:Class``."""
    embedder_options: EmbedderSettings = EmbedderSettings()
    """What the embedder needs besides its name."""
    sources: tuple[SourceSettings, ...] = ()
    """Where documents come from, a table ``[[sources]]`` each."""
    ingestion: IngestionSettings = IngestionSettings()
    """How documents are taken in."""
    retrieval: RetrievalSettings = RetrievalSettings()
    """How chunks are found."""
    index: IndexSettings = IndexSettings()
    """Where the vector index is kept."""
    prompt: PromptSettings = PromptSettings()
    """What a prompt says, and how large it may be."""
    budgets: BudgetSettings = BudgetSettings()
    """Limits of money."""
    prices: dict[str, PriceSettings] = {}
    """Own rates by model name, a table ``[prices."NAME"]`` each."""
    server: ServerSettings = ServerSettings()
    """The HTTP server."""

    @field_validator("catalog_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not re.fullmatch(r"postgres(ql)?(\+psycopg)?://[^@\s]*(@[^@\s]*)?", url.get_secret_value()):
            raise ValueError("it must be postgresql://USER@HOST/DATABASE, and an @ of a password written %40")
        return url

    @property
    def state(self) -> Path:
        """The folder of the catalog, the ledger and the vector index."""
        return self.root / STATE_FOLDER

    @property
    def prompts(self) -> Path:
        """The folder of the project's own prompt templates; it need not be there."""
        return self.root / "prompts"

    @property
    def examples(self) -> Path:
        """The file of the project's own worked examples; it need not be there."""
        return self.root / "examples.jsonl"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, which comes in as the arguments; the root is no setting of either."""
        given = init_settings() if isinstance(init_settings, InitSettingsSource) else {}
        root = InitSettingsSource(settings_cls, {"root": given.get("root", Path())})
        return (root, env_settings, init_settings)


def load_settings(path: Path | str | None = None) -> Settings:
    """Read the settings of an application.

    Args:
        path: `llmapp.toml`, or the folder it is in. None looks in the current folder and above it; where there is no
            file, everything has its default and the current folder is the root.

    Raises:
        UnknownSettingError: The file has a key that no setting has; the message names the nearest one.
        ConfigError: The file is missing or not TOML, or a value is not allowed.
    """
    file = _find(Path(path) if path is not None else None)
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{file.name} cannot be read: {error}", hint="mend the file; it is TOML") from error
    for forbidden in _secrets_in(values):
        raise ConfigError(f"{FILE_NAME}: {forbidden} is not a key of the file", hint="secrets come from the environment")
    _check_variables()
    root = file.parent if file is not None else Path.cwd()
    try:
        settings = Settings(**{**values, "root": root.resolve()})
    except ValidationError as error:
        raise _config_error(error) from error
    except SettingsError as error:  # a variable that should hold JSON; its value may be a secret
        raise ConfigError(
            f"a variable cannot be read: {error}",
            hint='name a key, e.g. LLMAPP_PROMPT__BUDGET_TOKENS=2000; a list is JSON, e.g. \'["a", "b"]\'',
        ) from None
    _check_names(settings.sources)
    return settings


def with_secrets(settings: Mapping[str, JsonValue]) -> dict[str, object]:
    """The settings of a connector with every ``{ env = "NAME" }`` replaced by the secret of that variable.

    Raises:
        ConfigError: A variable is not set.
    """
    return {key: _with_secrets(value) for key, value in settings.items()}


def _with_secrets(value: JsonValue) -> object:
    if isinstance(value, list):
        return [_with_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    name = value.get("env")
    if len(value) != 1 or not isinstance(name, str):
        return with_secrets(value)
    if not os.environ.get(name):
        raise ConfigError(f"the variable {name} is not set", hint="llmapp.toml takes a secret from it")
    return SecretStr(os.environ[name])


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> dict[str, FieldInfo]:
    """All keys of llmapp.toml by their dotted path, in the order of the classes."""
    keys: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        if not prefix and name in _NOT_IN_THE_FILE:
            continue
        keys[prefix + name] = field
        table = _table_of(field)
        if table is not None:
            keys.update(known_keys(table, f"{prefix}{name}."))
    return keys


def _table_of(field: FieldInfo) -> type[BaseModel] | None:
    kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Table)), None)


def _secrets_in(values: Mapping[str, Any]) -> list[str]:
    """Keys of the file that only the environment may set."""
    found = sorted(_NOT_IN_THE_FILE & values.keys())
    ingestion, index = values.get("ingestion"), values.get("index")
    if isinstance(ingestion, dict) and "passwords" in ingestion:
        found.append("ingestion.passwords")
    if isinstance(index, dict) and _has_password(str(index.get("pgvector_url", ""))):
        found.append("index.pgvector_url with a password")
    if _has_password(str(values.get("catalog_url", ""))):
        found.append("catalog_url with a password")
    return found


def _has_password(url: str) -> bool:
    return bool(re.search(r"//[^/@]*:[^/@]*@|[?&]password=", url))


def _find(path: Path | None) -> Path | None:
    if path is not None:
        file = path / FILE_NAME if path.is_dir() else path
        if not file.is_file():
            raise ConfigError(f"{file} is not there", hint=f"name a folder with a {FILE_NAME}, or run llmapp new NAME")
        return file
    start = Path.cwd()
    return next((folder / FILE_NAME for folder in (start, *start.parents) if (folder / FILE_NAME).is_file()), None)


def _config_error(error: ValidationError) -> ConfigError:
    """One line for the first problem, without the value: it may be a secret."""
    problem = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in problem["loc"] if not isinstance(part, int))
    variable = _variable_of(key)
    if problem["type"] != "extra_forbidden":
        return ConfigError(
            f"{variable or f'{FILE_NAME}: {key}'}: {problem['msg']}",
            hint="see the settings table in architecture/settings.md",
        )
    nearest = difflib.get_close_matches(key, known_keys(), n=1, cutoff=0.0)[0]
    if variable:
        return UnknownSettingError(
            f"there is no setting for the variable {variable}",
            hint=f"did you mean {_PREFIX}{nearest.upper().replace('.', '__')}?",
        )
    return UnknownSettingError(f"{FILE_NAME}: there is no setting {key}", hint=f"did you mean {nearest}?")


def _variable_of(key: str) -> str | None:
    """The variable that sets a key, which then counts and not the file."""
    wanted = f"{_PREFIX}{key.upper().replace('.', '__')}"
    return next((name for name in os.environ if name.upper() == wanted), None)


def _check_variables() -> None:
    keys = {name.upper() for name in Settings.model_fields} - {"ROOT"} | _OTHER_VARIABLES
    for variable in os.environ:
        key = variable.upper().removeprefix(_PREFIX).split("__")[0]
        if variable.upper().startswith(_PREFIX) and key not in keys:
            nearest = difflib.get_close_matches(key, keys, n=1, cutoff=0.0)[0]
            raise UnknownSettingError(
                f"there is no setting for the variable {variable}", hint=f"did you mean {_PREFIX}{nearest}?"
            )


def _check_names(sources: tuple[SourceSettings, ...]) -> None:
    names = [source.name for source in sources]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{FILE_NAME}: two sources are named {twice}", hint="give every source a name of its own")
