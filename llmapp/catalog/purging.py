"""Documents that must leave no trace: removed from every table, their bytes overwritten, and kept from coming back.

An ordinary delete leaves the words in freed pages, in the log and in the segments of the full text. A purge writes the
database file anew, and the proof looks for the words themselves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from llmapp.catalog import document_rows as rows
from llmapp.catalog import postings
from llmapp.catalog.database import Database
from llmapp.catalog.live_table import LiveTableKeeper
from llmapp.catalog.records import Traces

_SAMPLE_CHARS = 40
"""Long enough that no other text holds it by chance, short enough to lie within one page of the file."""
_LEAST_SAMPLE_CHARS = 12
_MOST_SAMPLES = 64
"""Pieces of a document, and vectors, that are looked for; every file is searched for each of them."""
_MOST_OTHERS = 1_000
"""A term in more chunks than this, beside those of a document, is taken for one that others have; each is looked at."""


class Purging:
    """The part of the catalog that forgets."""

    def __init__(self, database: Database, live_table: LiveTableKeeper) -> None:
        """Use the catalog's database, and what is kept of it for searching."""
        self._db = database
        self._live_table = live_table

    def named(self, name: str) -> list[tuple[str, str]]:
        """Source and id of the documents that a person may mean: by ``source:id``, by id or by uri; also those set aside."""
        found = self._db.read(
            """
            SELECT source, document_id FROM documents
            WHERE :name IN (source || ':' || document_id, document_id, uri)
            UNION SELECT source, document_id FROM quarantine
            WHERE :name IN (source || ':' || document_id, document_id, uri) ORDER BY 1, 2
            """,
            {"name": name},
        )
        return [(row[0], row[1]) for row in found]

    def whole_text(self, source: str, document_id: str) -> str:
        """All that is kept of the words of a document; empty where there is none. For nobody to read: no rights are looked at."""
        found = self._db.read(
            """
            SELECT t.text FROM texts t JOIN documents d ON d.id = t.document
            WHERE d.source = :source AND d.document_id = :id ORDER BY t.part
            """,
            {"source": source, "id": document_id},
        )
        return "".join(row["text"] for row in found)

    def purge(self, source: str, document_id: str) -> None:
        """Remove a document from all tables and keep it from being taken in again; then write the file anew.

        Raises:
            CatalogError: The database failed, or another process is reading it.
        """
        with self._db.transaction() as connection:
            rows.begin(connection)
            rows.remove(connection, source, document_id)
            rows.drop_unused_embeddings(connection)
            connection.execute(
                "DELETE FROM quarantine WHERE source = :source AND document_id = :id", {"source": source, "id": document_id}
            )
            connection.execute(
                """
                INSERT INTO purged VALUES (:name, :now)
                ON CONFLICT (name) DO UPDATE SET purged_at = excluded.purged_at
                """,
                {"name": _hashed(source, document_id), "now": datetime.now(UTC).isoformat(timespec="seconds")},
            )
            connection.execute(  # the reason of a run may name it
                "UPDATE runs SET error = '' WHERE source = :source AND instr(error, :id) > 0",
                {"source": source, "id": document_id},
            )
            for number in postings.segments(connection):
                postings.drop_gone(connection, number)
            rows.advance(connection)
        self._live_table.clear()
        self._db.compact()

    def is_purged(self, source: str, document_id: str) -> bool:
        """Whether a document was purged, and so is not to be taken in again."""
        return bool(self._db.read("SELECT 1 FROM purged WHERE name = :name", {"name": _hashed(source, document_id)}))

    def any_purged(self) -> bool:
        """Whether any document was purged."""
        return bool(self._db.read("SELECT 1 FROM purged LIMIT 1"))

    def lift_purge(self, source: str, document_id: str) -> bool:
        """Let a document be taken in again; whether it was purged."""
        with self._db.transaction() as connection:
            name = {"name": _hashed(source, document_id)}
            return connection.execute("DELETE FROM purged WHERE name = :name", name).rowcount > 0

    def traces_of(self, source: str, document_id: str) -> Traces:
        """What a search for a document would look for, noted before it is purged."""
        chunks = self._db.read(
            """
            SELECT c.id, c.chunk_id, c.text, e.vector, (SELECT count(*) FROM chunks o WHERE o.embedding = c.embedding) AS uses
            FROM chunks c JOIN documents d ON d.id = c.document JOIN embeddings e ON e.id = c.embedding
            WHERE d.source = :source AND d.document_id = :id ORDER BY c.start_char
            """,
            {"source": source, "id": document_id},
        )
        spread = chunks[:: -(-len(chunks) // _MOST_SAMPLES) or 1]
        samples = [_whole_words(row["text"]) for row in spread if len(row["text"]) >= _LEAST_SAMPLE_CHARS]
        shared = self._shared(samples, source, document_id)
        return Traces(
            source,
            document_id,
            chunk_ids=tuple(row["chunk_id"] for row in chunks),
            rows=tuple(row["id"] for row in chunks),
            texts=tuple(text for text in samples if text not in shared),
            terms=self._own_terms([row["id"] for row in chunks], samples),
            vectors=tuple(row["vector"] for row in spread if row["uses"] == 1),
        )

    def rows_left(self, traces: Traces) -> dict[str, int]:
        """Rows of a document by place: what is left of it in the tables."""
        names = {"source": traces.source, "id": traces.document_id, "chunks": json.dumps(traces.chunk_ids)}
        where = "WHERE source = :source AND document_id = :id"
        counted = {
            "documents": f"SELECT count(*) FROM documents {where}",  # noqa: S608 - a constant
            "chunks": "SELECT count(*) FROM chunks WHERE chunk_id IN (SELECT value FROM json_each(:chunks))",
            "staged chunks": f"SELECT count(*) FROM staged_chunks {where}",  # noqa: S608
            "quarantine": f"SELECT count(*) FROM quarantine {where}",  # noqa: S608
            "facts": "SELECT count(*) FROM facts WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.id = document)",
        }
        left = {place: int(self._db.read(sql, names)[0][0]) for place, sql in counted.items()}
        return left | {"postings": self._posted(traces)}

    def terms_left(self, traces: Traces) -> int:
        """Terms that only the document had and that the full text still knows."""
        found = self._db.read(
            "SELECT count(DISTINCT term) FROM postings WHERE term IN (SELECT value FROM json_each(:terms))",
            {"terms": json.dumps(traces.terms)},
        )
        return int(found[0][0])

    def _posted(self, traces: Traces) -> int:
        """Chunks of a document that a segment still names."""
        import numpy as np

        blobs = self._db.iterate("SELECT rows FROM segments")
        return sum(int(np.isin(np.frombuffer(row[0], dtype="<i8"), traces.rows).sum()) for row in blobs)

    def _own_terms(self, rows: Sequence[int], texts: Sequence[str]) -> tuple[str, ...]:
        """Terms of these texts that stand in no live chunk but these. They say in the stored postings what a word says in a text."""
        import numpy as np

        words = postings.words_of(self._db.read(postings.WORDS))
        others: dict[str, set[int]] = {term: set() for text in texts for term in words.terms(text)}
        for term, row_blob, position_blob in self._db.iterate(
            """
            SELECT p.term, s.rows, p.positions FROM segments s
            JOIN postings p ON p.segment = s.id AND p.term IN (SELECT value FROM json_each(:terms))
            """,
            {"terms": json.dumps(list(others))},
        ):
            held = np.frombuffer(row_blob, dtype="<i8")[np.frombuffer(position_blob, dtype="<u4")]
            others[term].update(held.tolist())
        rare = {term: held.difference(rows) for term, held in others.items() if len(held) <= len(rows) + _MOST_OTHERS}
        own = [term for term, held in rare.items() if not self._are_live(held)]
        return tuple(own[:_MOST_SAMPLES])

    def _are_live(self, rows: Iterable[int]) -> bool:
        """Whether any of these is the row number of a chunk, live or staged."""
        found = self._db.read(
            """
            SELECT 1 FROM chunks WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each(:rows))
            UNION ALL SELECT 1 FROM staged_chunks WHERE row IN (SELECT CAST(value AS BIGINT) FROM json_each(:rows)) LIMIT 1
            """,
            {"rows": json.dumps(sorted(rows))},
        )
        return bool(found)

    def _shared(self, samples: Sequence[str], source: str, document_id: str) -> set[str]:
        found = self._db.read(
            """
            SELECT value FROM json_each(:samples) WHERE EXISTS (
                SELECT 1 FROM texts t JOIN documents d ON d.id = t.document
                WHERE instr(t.text, value) > 0 AND NOT (d.source = :source AND d.document_id = :id))
            """,
            {"samples": json.dumps(samples), "source": source, "id": document_id},
        )
        return {row[0] for row in found}


def _whole_words(text: str) -> str:
    """The beginning of a text, without a word in which it would break off: full text knows whole words."""
    if len(text) <= _SAMPLE_CHARS:
        return text
    cut = text[:_SAMPLE_CHARS]
    return cut.rsplit(maxsplit=1)[0] if len(cut.split()) > 1 else cut


def _hashed(source: str, document_id: str) -> str:
    return hashlib.sha256(f"{source}\0{document_id}".encode()).hexdigest()
