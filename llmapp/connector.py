"""All that the author of a connector imports.

A connector is a frozen pydantic model with one generator. Its fields are its configuration:

    class Notes(BaseModel, frozen=True):
        folder: Path

        def read(self, cursor: Cursor | None) -> Iterator[Change]:
            for path in sorted(self.folder.glob("*.txt")):
                yield Upsert(Document(id=path.name, uri=path.as_uri(), text=path.read_text()))
            yield Checkpoint(None)

The contract, which `llmapp.testing.contracts.ConnectorContract` tests:

1. Changes before a `Checkpoint` are durable before its cursor is stored: everything is delivered at least once.
2. A cursor is a JSON value that the host stores and hands back, and never looks into.
3. Reading the boundary again is fine: the host skips what it already has, without embedding it.
4. A removal is `Delete(id)`. A source that cannot see removals declares ``snapshot = True``, on the class or as a property;
   the host then deletes what a complete run did not mention, and never hands it a cursor. A run that raised, or that
   mentioned nothing, deletes nothing. A source that only shows what is newest, a feed say, declares ``accumulates = True``:
   what it does not mention is never taken for gone.
5. Ids and grants have at most 2,000 bytes in UTF-8 and no NUL character; a document with others is quarantined.
6. A bad item is `Failure(id, error)`: it is quarantined and the run goes on. An exception stops the run, and the last
   checkpoint stands.

What a source knows cheaply and what costs a request of its own are kept apart in two ways. A document whose bytes are
dear has a `content` that is called only when its `revision` is new. Where even title or metadata are dear, yield
`Listed(id, revision, read)`: the host calls `read` only when it has another revision. Both are called in the thread
that reads, before the next change is asked for.

The host hands back None, and so asks for everything, on the first run, after a setting of the connector or the parser has
changed, after a `CursorRejectedError`, and while a document is set aside that may succeed as it is. A complete re-read deletes
what it does not mention, and only then is its last cursor stored. Every read ends with a `Checkpoint`.

Optional: ``total() -> int | None`` says how many documents a read from the start will mention, where that is cheap to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from pydantic import JsonValue

from llmapp.errors import (
    ConnectorAuthError,
    ConnectorError,
    CursorRejectedError,
    MissingDependencyError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from llmapp.types import Document

__all__ = [
    "Change",
    "Checkpoint",
    "Connector",
    "ConnectorAuthError",
    "ConnectorError",
    "Cursor",
    "CursorRejectedError",
    "Delete",
    "Document",
    "Failure",
    "Listed",
    "MissingDependencyError",
    "SourceNotFoundError",
    "SourceUnavailableError",
    "Upsert",
]

Cursor: TypeAlias = JsonValue
"""Where to go on; opaque to the host."""


@dataclass(frozen=True, slots=True)
class Upsert:
    """The document is new or may have changed."""

    document: Document


@dataclass(frozen=True, slots=True)
class Listed:
    """The document exists in this revision; it is read only when the host has another one."""

    id: str
    revision: str
    """Opaque to the host, and covers all that `read` returns: text, title, metadata and access list."""
    read: Callable[[], Document]
    """Reads the document; its id is this one. A `ConnectorError` that it raises sets this document aside, not the run."""


@dataclass(frozen=True, slots=True)
class Delete:
    """The document is gone from the source."""

    id: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One item could not be read; the rest can."""

    id: str
    error: str
    """What went wrong, one line, without secrets."""
    uri: str = ""
    remembered: bool = False
    """Whether reading the source from its start would not help: its cursor remembers the item and tries it again, or the item fails
    for good, being too large say. Else the host reads the source from its start once the document is due."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All changes above may be committed; `cursor` is where the next run goes on."""

    cursor: Cursor
    complete: bool = True
    """Whether a read that ends here has mentioned all that it should. After one that knows of a gap, such as a part of a site that
    did not answer, nothing is deleted for not being mentioned, and a read from the start is made again."""


Change: TypeAlias = Upsert | Listed | Delete | Failure | Checkpoint


@runtime_checkable
class Connector(Protocol):
    """A source of documents; one whose ``snapshot`` is true mentions, in a complete run, all that exist."""

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        """Yield what has changed since `cursor`, oldest first; everything when it is None.

        Raises:
            ConnectorError: The source cannot be read.
        """
        ...
