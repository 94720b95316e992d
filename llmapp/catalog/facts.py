"""The table of facts: what filters ask of a document, a row for each value of each field.

Written in the transaction that writes the document, and gone with it. A catalog that has none yet, or keys of an earlier
revision, is filled from its documents when it is opened.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from pydantic import JsonValue

from llmapp.catalog import meta
from llmapp.catalog.database import Connection, Database, Row
from llmapp.filters.keys import REVISION, Fact, facts

BUILT_IN = ("source", "document_id", "uri", "title", "media_type", "committed_at")
"""Fields that every document has; metadata of the same name are the field ``metadata.NAME``."""
FACTS = f"{', '.join(f'd.{name}' for name in BUILT_IN)}, d.metadata"
"""The columns of ``documents d`` that `facts_of` reads."""
_BATCH = 1_000


def facts_of(columns: Sequence[str | None], only: AbstractSet[str] | None = None) -> set[Fact]:
    """Fields and keys of a document.

    Args:
        columns: Its values of the columns of `FACTS`, in this order.
        only: Fields that are wanted; None is all.
    """
    *own, metadata = columns
    return {*facts(dict(zip(BUILT_IN, own, strict=True)), only), *_renamed(json.loads(metadata or "{}"), only)}


def write(connection: Connection, document: int) -> None:
    """Write the facts of a document that has none."""
    found = connection.execute(f"SELECT d.id, {FACTS} FROM documents d WHERE d.id = :document", {"document": document})  # noqa: S608
    _insert(connection, found.fetchall())


def fill(database: Database) -> None:
    """Write the facts of all documents, unless they are there with the keys of today."""
    if _is_filled(database.read("SELECT value FROM meta WHERE key = 'facts'")):
        return
    with database.transaction() as connection:
        # Asked again: another process may have filled it while this one waited for the lock.
        if _is_filled(connection.execute("SELECT value FROM meta WHERE key = 'facts'").fetchall()):
            return
        connection.execute("DELETE FROM facts")
        batch = f"SELECT d.id, {FACTS} FROM documents d WHERE d.id > :last ORDER BY d.id LIMIT {_BATCH}"  # noqa: S608
        last = 0
        while found := connection.execute(batch, {"last": last}).fetchall():
            _insert(connection, found)
            last = found[-1][0]
        meta.put(connection, "facts", str(REVISION))


def _insert(connection: Connection, rows: Iterable[Row]) -> None:
    connection.executemany(
        "INSERT INTO facts (field, value, document) VALUES (:field, :value, :document)",
        [
            {"field": field, "value": key, "document": document}
            for document, *columns in map(tuple, rows)
            for field, key in sorted(facts_of(columns))
        ],
    )


def _is_filled(found: Sequence[Row]) -> bool:
    return bool(found) and found[0][0] == str(REVISION)


def _renamed(metadata: Mapping[str, JsonValue], only: AbstractSet[str] | None) -> Iterator[Fact]:
    for name, value in metadata.items():
        yield from facts({f"metadata.{name}" if name in BUILT_IN else name: value}, only)
