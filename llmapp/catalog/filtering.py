"""Which documents satisfy a filter: by their metadata, and by a few facts that the catalog knows of each.

No principal: row numbers alone are no answer. Whoever shows a chunk goes through `readable_rows` and `chunks`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from llmapp.catalog.database import Database
from llmapp.filters.keys import facts, satisfies
from llmapp.filters.tree import Filter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BUILT_IN = ("source", "document_id", "uri", "title", "media_type", "committed_at")
"""Fields that every document has; metadata of the same name are the field ``metadata.NAME``."""
FACTS = f"{', '.join(f'd.{name}' for name in BUILT_IN)}, d.metadata"
"""The columns of ``documents d`` that `facts_of` reads."""


class Filtering:
    """The part of the catalog that answers filters."""

    def __init__(self, database: Database) -> None:
        """Use the catalog's database."""
        self._db = database

    def matching_documents(self, where: Filter) -> NDArray[np.int64]:
        """Row numbers of the documents that satisfy `where`, ascending. Shape (n,)."""
        import numpy as np

        rows = self._db.iterate(f"SELECT d.id, {FACTS} FROM documents d ORDER BY d.id")  # noqa: S608 - a constant
        return np.fromiter((row[0] for row in rows if satisfies(where, facts_of(row[1:]))), dtype=np.int64)


def facts_of(columns: Sequence[str | None]) -> set[tuple[str, bytes]]:
    """Fields and keys of a document.

    Args:
        columns: Its values of the columns of `FACTS`, in this order.
    """
    *own, metadata = columns
    return {*facts(dict(zip(BUILT_IN, own, strict=True))), *_renamed(json.loads(metadata or "{}"))}


def _renamed(metadata: Mapping[str, JsonValue]) -> Iterator[tuple[str, bytes]]:
    for name, value in metadata.items():
        yield from facts({f"metadata.{name}" if name in BUILT_IN else name: value})
