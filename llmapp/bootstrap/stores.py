"""Makes the stores of vectors that the settings describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from llmapp.config import Settings, StoreName
from llmapp.errors import ConfigError

if TYPE_CHECKING:
    from llmapp.catalog.catalog import Catalog
    from llmapp.protocols import VectorIndex


_OF_MANY_MACHINES = {"exact", "pgvector"}
"""Two machines would each bring a store of its own up to date with a part of the changes."""


def check_store(settings: Settings, name: str) -> None:
    """See that a store may serve beside the catalog.

    Raises:
        ConfigError: The catalog is in PostgreSQL, and the store is one of this machine.
    """
    if settings.catalog_url is not None and name not in _OF_MANY_MACHINES:
        raise ConfigError(
            f"the store {name} belongs to one machine, a catalog in PostgreSQL to many",
            hint='set index.store to "pgvector", or to "exact"',
        )


def open_store(settings: Settings, catalog: Catalog, name: str) -> VectorIndex:
    """The store of that name for this catalog; nothing is connected yet.

    Raises:
        ConfigError: There is no such store, or the settings do not say where it is, or it is not for this catalog.
    """
    check_store(settings, name)
    given = settings.index
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
    raise ConfigError(f"there is no store {name}", hint=f"there are {', '.join(get_args(StoreName))}")


def _own_name(catalog: Catalog) -> str:
    """Of a collection or table, which no other catalog has."""
    return f"llmapp-{catalog.identity()}"
