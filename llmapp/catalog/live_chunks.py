"""The chunks as a search reads them: always through a principal, always the live ones.

A chunk is readable when one of its document's grants is one of the principal's. Both filters stand in the SQL, so a
retriever cannot forget them. The vectors of all live chunks are kept in memory, one table for each generation.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmapp.catalog.database import Database
from llmapp.catalog.filtering import FACTS, Filtering, facts_of
from llmapp.catalog.records import VectorTable
from llmapp.filters.keys import satisfies
from llmapp.filters.tree import Filter
from llmapp.types import Chunk, Principal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmapp.protocols import FloatArray

READABLE = (
    "EXISTS (SELECT 1 FROM grants g WHERE g.document = c.document AND g.name IN (SELECT value FROM json_each(:grants)))"
)
_READABLE_ROWS = """
    SELECT c.id FROM chunks c
    WHERE c.document IN (SELECT g.document FROM grants g WHERE g.name IN (SELECT value FROM json_each(:grants)))
    ORDER BY c.id
"""
_OF_CHUNK = 10
"""Columns of a chunk; behind them stand the facts of its document."""
_MOST_CACHED_PRINCIPALS = 256


class LiveChunks(Filtering):
    """The part of the catalog that retrieval reads."""

    def __init__(self, database: Database) -> None:
        """Use the catalog's database."""
        super().__init__(database)
        self._cache_lock = threading.Lock()
        self._table: tuple[int, VectorTable] | None = None
        self._rows: dict[frozenset[str], tuple[int, NDArray[np.int64]]] = {}

    def generation(self) -> int:
        """A number that grows with every committed change of documents."""
        rows = self._db.read("SELECT value FROM meta WHERE key = 'generation'")
        return int(rows[0][0]) if rows else 0

    def chunk_ids(self) -> set[str]:
        """The ids of all live chunks."""
        return {row[0] for row in self._db.read("SELECT chunk_id FROM chunks")}

    def live_vectors(self) -> VectorTable:
        """The vectors of all live chunks, kept in memory until the next generation.

        No principal: vectors alone are no answer. Whoever shows a chunk goes through `readable_rows` and `chunks`.
        """
        with self._cache_lock:
            generation = self.generation()
            if self._table is None or self._table[0] != generation:
                self._table = (generation, self._load_vectors())
            return self._table[1]

    def readable_rows(self, principal: Principal, where: Filter | None = None) -> NDArray[np.int64]:
        """Row numbers of the live chunks that `principal` may read, ascending. Shape (n,).

        Args:
            principal: Who asks.
            where: What their documents must satisfy; None is nothing.
        """
        import numpy as np

        rows = self._readable_rows(principal)
        return (
            rows
            if where is None
            else np.intersect1d(rows, self._rows_of(self.matching_documents(where)), assume_unique=True)
        )

    def _rows_of(self, documents: NDArray[np.int64]) -> NDArray[np.int64]:
        import numpy as np

        found = self._db.read(
            "SELECT id FROM chunks WHERE document IN (SELECT value FROM json_each(:documents))",
            {"documents": json.dumps(documents.tolist())},
        )
        return np.fromiter((row[0] for row in found), dtype=np.int64, count=len(found))

    def _readable_rows(self, principal: Principal) -> NDArray[np.int64]:
        import numpy as np

        generation = self.generation()
        with self._cache_lock:
            cached = self._rows.get(principal.grants)
        if cached is not None and cached[0] == generation:
            return cached[1]
        found = self._db.read(_READABLE_ROWS, grants_of(principal))
        rows = np.fromiter((row[0] for row in found), dtype=np.int64, count=len(found))
        with self._cache_lock:
            if len(self._rows) >= _MOST_CACHED_PRINCIPALS:
                self._rows.clear()
            self._rows[principal.grants] = (generation, rows)
        return rows

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
        return {
            row[0]: Chunk(*row[:_OF_CHUNK]) for row in rows if where is None or satisfies(where, facts_of(row[_OF_CHUNK:]))
        }

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

    def _load_vectors(self) -> VectorTable:
        import numpy as np

        rows = self._db.read(
            "SELECT c.id, c.chunk_id, e.vector FROM chunks c JOIN embeddings e ON e.id = c.embedding ORDER BY c.id"
        )
        numbers = np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))
        flat = np.frombuffer(b"".join(row[2] for row in rows), dtype="<f4")
        vectors = flat.reshape(len(rows), -1) if rows else np.zeros((0, 0), dtype=np.float32)
        return VectorTable(chunk_ids=[row[1] for row in rows], rows=numbers, vectors=vectors)


def grants_of(principal: Principal) -> dict[str, object]:
    """The parameter of `READABLE`."""
    return {"grants": json.dumps(sorted(principal.grants))}
