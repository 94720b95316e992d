"""The chunks as a search reads them: always through a principal, always the live ones.

A chunk is readable when one of its document's grants is one of the principal's. Both filters stand in the SQL, so a
retriever cannot forget them. `readable` says the same of all chunks at once, from the table that follows the catalog.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmapp.catalog.database import Database
from llmapp.catalog.facts import FACTS, facts_of
from llmapp.catalog.filtering import Filtering, grants_of
from llmapp.catalog.live_table import LiveTable, LiveTableKeeper
from llmapp.catalog.readable import Readable, ReadableCache
from llmapp.filters.keys import predicate
from llmapp.filters.tree import Filter
from llmapp.types import Chunk, Principal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmapp.protocols import FloatArray

READABLE = (
    "EXISTS (SELECT 1 FROM grants g WHERE g.document = c.document AND g.name IN (SELECT value FROM json_each(:grants)))"
)
_OF_CHUNK = 10
"""Columns of a chunk; behind them stand the facts of its document."""


class LiveChunks(Filtering):
    """The part of the catalog that retrieval reads."""

    def __init__(self, database: Database, live_table: LiveTableKeeper) -> None:
        """Use the catalog's database, and the table that follows it."""
        super().__init__(database, live_table.generation)
        self._live_table = live_table
        self._views = ReadableCache()

    def generation(self) -> int:
        """A number that grows with every committed change of documents."""
        return self._live_table.generation()

    def chunk_ids(self) -> set[str]:
        """The ids of all live chunks."""
        return {row[0] for row in self._db.read("SELECT chunk_id FROM chunks")}

    def live_vectors(self) -> LiveTable:
        """The vectors of all live chunks. No principal: vectors alone are no answer."""
        return self._live_table.table()

    def readable(self, principal: Principal, where: Filter | None = None) -> Readable:
        """The live chunks that `principal` may read, as places in the table of vectors.

        Args:
            principal: Who asks.
            where: What their documents must satisfy; None is nothing.

        Raises:
            UnknownFieldError: `where` names a field that none of the documents has that `principal` may read.
        """
        if where is not None:
            self.check_fields(where, principal)
        table = self._live_table.table()
        return self._views.get(table, table.access.readable(principal.grants), where, self.matching_documents)

    def readable_rows(self, principal: Principal, where: Filter | None = None) -> NDArray[np.int64]:
        """Row numbers of what is `readable`, ascending. Shape (n,)."""
        return self.readable(principal, where).rows

    def ids_of_rows(self, rows: Sequence[int], first: int | None = None) -> dict[int, str]:
        """Ids of those chunks, by row number, that are live.

        Args:
            rows: Row numbers.
            first: Most ids to read, those that come first in their own order; None is all.
        """
        order = "" if first is None else "ORDER BY chunk_id LIMIT :first"
        found = self._db.read(
            f"SELECT id, chunk_id FROM chunks WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each(:rows)) {order}",  # noqa: S608
            {"rows": json.dumps(list(rows)), "first": first},
        )
        return {row[0]: row[1] for row in found}

    def rows_of_ids(self, ids: Sequence[str]) -> dict[str, int]:
        """Row numbers of those chunks, by id, that are live."""
        found = self._db.read(
            "SELECT chunk_id, id FROM chunks WHERE chunk_id IN (SELECT value FROM json_each(:ids))",
            {"ids": json.dumps(list(ids))},
        )
        return {row[0]: row[1] for row in found}

    def chunks(self, ids: Sequence[str], *, principal: Principal, where: Filter | None = None) -> dict[str, Chunk]:
        """Those of `ids` that are live, that `principal` may read, and whose documents satisfy `where`; None is nothing."""
        rows = self._db.read(
            f"""
            SELECT c.chunk_id, d.source, d.document_id, d.uri, c.title, c.text, c.start_char, c.end_char, c.page, c.heading, {FACTS}
            FROM chunks c JOIN documents d ON d.id = c.document
            WHERE c.chunk_id IN (SELECT value FROM json_each(:ids)) AND {READABLE}
            """,  # noqa: S608 - constants of this module
            {"ids": json.dumps(list(ids)), **grants_of(principal)},
        )
        if where is not None:
            is_wanted, fields = predicate(where), where.fields
            rows = [row for row in rows if is_wanted(facts_of(row[_OF_CHUNK:], fields))]
        return {row[0]: Chunk(*row[:_OF_CHUNK]) for row in rows}

    def document_names(self, principal: Principal, where: Filter | None = None) -> list[tuple[str, str]]:
        """Source and id of every document that `principal` may read and that satisfies `where`, in their order.

        Raises:
            UnknownFieldError: `where` names a field that none of the documents has that `principal` may read.
        """
        if where is not None:
            self.check_fields(where, principal)
        rows = self._db.read(
            f"""
            SELECT c.document, c.source, c.document_id
            FROM (SELECT id AS document, source, document_id FROM documents) c WHERE {READABLE}
            """,  # noqa: S608 - a constant
            grants_of(principal),
        )
        if where is not None:
            matching = set(self.matching_documents(where).tolist())
            rows = [row for row in rows if row[0] in matching]
        return sorted((row[1], row[2]) for row in rows)  # here, for databases differ in the order of letters

    def chunks_of(self, source: str, document_id: str, *, principal: Principal, where: Filter | None = None) -> list[Chunk]:
        """All chunks of a document in the order of its text, of one version; none where it is gone or may not be read.

        Args:
            source: Its source.
            document_id: Its id there.
            principal: Who asks.
            where: What the document must satisfy; None is nothing.
        """
        rows = self._db.read(
            f"""
            SELECT c.chunk_id, d.source, d.document_id, d.uri, c.title, c.text, c.start_char, c.end_char, c.page, c.heading, {FACTS}
            FROM documents d JOIN chunks c ON c.document = d.id
            WHERE d.source = :source AND d.document_id = :id AND {READABLE} ORDER BY c.start_char, c.end_char
            """,  # noqa: S608 - constants of this module
            {"source": source, "id": document_id, **grants_of(principal)},
        )
        if rows and where is not None and not predicate(where)(facts_of(rows[0][_OF_CHUNK:], where.fields)):
            return []
        return [Chunk(*row[:_OF_CHUNK]) for row in rows]

    def text(self, source: str, document_id: str, *, principal: Principal) -> str | None:
        """The whole text of a document; None when there is none that `principal` may read."""
        rows = self._db.read(
            f"""
            SELECT c.text FROM (
                SELECT t.document, t.part, t.text FROM texts t JOIN documents d ON d.id = t.document
                WHERE d.source = :source AND d.document_id = :id) c
            WHERE {READABLE} ORDER BY c.part
            """,  # noqa: S608 - constants of this module
            {"source": source, "id": document_id, **grants_of(principal)},
        )
        return "".join(row[0] for row in rows) if rows else None

    def chunk_texts(self, source: str, document_id: str, *, principal: Principal) -> frozenset[str]:
        """The texts of a document's chunks; none when `principal` may not read it."""
        rows = self._db.read(
            f"""
            SELECT c.text FROM chunks c JOIN documents d ON d.id = c.document
            WHERE d.source = :source AND d.document_id = :id AND {READABLE}
            """,  # noqa: S608 - a constant
            {"source": source, "id": document_id, **grants_of(principal)},
        )
        return frozenset(row[0] for row in rows)

    def page_starts(self, source: str, document_id: str, *, principal: Principal) -> tuple[int, ...]:
        """Offsets of the first character of each page; empty where there are no pages or nothing may be read."""
        rows = self._db.read(
            f"""
            SELECT c.page_starts FROM
                (SELECT id AS document, page_starts FROM documents WHERE source = :source AND document_id = :id) c
            WHERE {READABLE}
            """,  # noqa: S608 - constants of this module
            {"source": source, "id": document_id, **grants_of(principal)},
        )
        return tuple(json.loads(rows[0][0])) if rows else ()

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, FloatArray]:
        """The vectors of those `chunk_ids` that are live, each of shape (dim,)."""
        import numpy as np

        rows = self._db.read(
            """
            SELECT c.chunk_id, e.vector FROM chunks c JOIN embeddings e ON e.id = c.embedding
            WHERE c.chunk_id IN (SELECT value FROM json_each(:ids))
            """,
            {"ids": json.dumps(list(chunk_ids))},
        )
        return {row[0]: np.frombuffer(row[1], dtype="<f4") for row in rows}
