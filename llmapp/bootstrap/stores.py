"""Makes the stores of vectors that the settings describe."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from llmapp.catalog.catalog import Catalog
from llmapp.config import STORES, Settings, with_secrets
from llmapp.errors import ConfigError
from llmapp.words.analysis import Words

if TYPE_CHECKING:
    from llmapp.protocols import VectorIndex


_OF_MANY_MACHINES = {"exact", "pgvector"}
"""Two machines would each bring a store of its own up to date with a part of the changes."""


def open_catalog(settings: Settings, given: VectorIndex | None) -> Catalog:
    """The catalog, beside which the store of the settings, or the given one, may serve.

    Raises:
        CatalogError: It cannot be opened.
        ConfigError: The catalog is in PostgreSQL, and the store is one of this machine; or the vectors are in another store
            than the given one, which would never be filled.
    """
    words = Words(settings.retrieval.language)
    if settings.catalog_url is None:
        catalog = Catalog(settings.state / "catalog.db", words=words)
    else:
        if given is None:
            _check_store(settings, settings.index.store)
        catalog = Catalog(settings.catalog_url.get_secret_value(), words=words)
    if given is not None and (serving := catalog.serving_store()) not in {"", given.name}:
        catalog.close()
        raise ConfigError(
            f"the vectors are in {serving}, and the given index is {given.name}",
            hint="leave it out: llmapp reindex --to package.module:Class fills a store of your own and lets it serve",
        )
    return catalog


def _check_store(settings: Settings, name: str) -> None:
    is_own = ":" in name  # it says itself whether it is shared, once it is made
    if settings.catalog_url is not None and not is_own and name not in _OF_MANY_MACHINES:
        raise ConfigError(
            f"the store {name} belongs to one machine, a catalog in PostgreSQL to many",
            hint='set index.store to "pgvector", or to "exact"',
        )


def open_store(settings: Settings, catalog: Catalog, name: str) -> VectorIndex:
    """The store of that name for this catalog; nothing is connected yet.

    Raises:
        ConfigError: There is no such store, or the settings do not say where it is, or it is not for this catalog.
    """
    _check_store(settings, name)
    given = settings.index
    if ":" in name:
        return _own_store(settings, name)
    match name:
        case "exact":
            from llmapp.retrieval.indexes.catalog_vectors import ExactIndex

            return ExactIndex(catalog)
        case "chroma-server":
            from llmapp.retrieval.indexes.chroma.server import ChromaServerIndex

            return ChromaServerIndex(given.chroma_url or "", _own_name(catalog))
        case "pgvector":
            from llmapp.retrieval.indexes.pgvector.table import PgVectorIndex

            url = given.pgvector_url.get_secret_value() if given.pgvector_url else ""
            return PgVectorIndex(url, _own_name(catalog))
        case "chroma":
            from llmapp.retrieval.indexes.chroma.embedded import ChromaIndex

            return ChromaIndex(settings.state / "chroma")
    raise ConfigError(
        f"there is no store {name}",
        hint=f"there are {', '.join(STORES)} and package.module:Class; llmapp reindex --to moves the vectors to one of them",
    )


def _own_store(settings: Settings, name: str) -> VectorIndex:
    """A store that is named ``package.module:Class``, made with a folder of its own and the arguments of the settings."""
    module, _, kind = name.partition(":")
    away = "install its package, or move the vectors to another store with llmapp reindex --to"
    try:
        made_of = getattr(import_module(module), kind)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"the store {name} cannot be imported: {error}", hint=away) from error
    arguments = with_secrets(settings.index.settings)
    try:
        store: VectorIndex = made_of(settings.state / name.replace(":", "."), **arguments)
        its_name, is_shared = store.name, store.is_shared
    except Exception as error:  # a class may refuse in any way; its text may hold a secret
        hint = "it takes a folder and the arguments of index.settings, and has what VectorIndex names"
        raise ConfigError(f"the store {name} cannot be made: {type(error).__name__}", hint=hint) from error
    if its_name != name:
        raise ConfigError(
            f"the store {name} calls itself {its_name}", hint=f'let its name be "{name}": the catalog names it so'
        )
    if settings.catalog_url is not None and not is_shared:
        raise ConfigError(f"the store {name} is for one process, a catalog in PostgreSQL for many", hint="name a shared one")
    return store


def _own_name(catalog: Catalog) -> str:
    """Of a collection or table, which no other catalog has."""
    return f"llmapp-{catalog.identity()}"
