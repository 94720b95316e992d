"""Chunks that are prepared behind the live ones and then take their place in one transaction.

Two uses: a document with too many chunks to be held in memory, and all documents when the chunker or the embedder has
changed. Nothing staged is ever found by a search; a process that dies leaves it to be used or dropped by the next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from llmapp.catalog import document_rows as rows
from llmapp.catalog import postings
from llmapp.catalog.database import Database
from llmapp.catalog.records import StagedChunks, StoredText

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray


class Staging:
    """The part of the catalog where new chunks wait."""

    def __init__(self, database: Database) -> None:
        """Use the catalog's database."""
        self._db = database

    def live_embedder(self) -> str | None:
        """Identity of the embedder that made the live vectors; None while there are none."""
        found = self._db.read("SELECT value FROM meta WHERE key = 'embedder' AND EXISTS (SELECT 1 FROM chunks)")
        return found[0][0] if found else None

    def outdated(self, chunker: str, embedder: str) -> list[tuple[str, str]]:
        """Source and id of the documents whose chunks were made by another chunker or embedder, sorted."""
        other_embedder = self.live_embedder() not in {None, embedder}
        found = self._db.read(
            "SELECT source, document_id FROM documents WHERE :all OR chunker <> :chunker ORDER BY source, document_id",
            {"all": other_embedder, "chunker": chunker},
        )
        return [(row[0], row[1]) for row in found]

    def stored_text(self, source: str, document_id: str) -> StoredText:
        """The text of a document with what is needed to cut it. No principal: nobody is shown it."""
        (row,) = self._db.read(
            """
            SELECT source, document_id, uri, title, page_starts, media_type, parser, id FROM documents
            WHERE source = :source AND document_id = :id
            """,
            {"source": source, "id": document_id},
        )
        facts = dict(row)
        parts = self._db.read("SELECT text FROM texts WHERE document = :id ORDER BY part", {"id": facts.pop("id")})
        text = "".join(part[0] for part in parts)
        return StoredText(**{**facts, "text": text, "page_starts": tuple(json.loads(facts["page_starts"]))})

    def is_staged(self, source: str, document_id: str, version: str) -> bool:
        """Whether the next chunks of a document are complete, made from this version of its text and these parts."""
        found = self._db.read(
            "SELECT 1 FROM staged_documents WHERE source = :source AND document_id = :id AND version = :version",
            {"source": source, "id": document_id, "version": version},
        )
        return bool(found)

    def stage(self, parts: Sequence[StagedChunks], vectors: Mapping[str, FloatArray]) -> None:
        """Stage chunks of some documents in one transaction; what is staged already may be staged again.

        Args:
            parts: The chunks. With the last of a document, what was staged for another version of it goes.
            vectors: New vectors by key, each of shape (dim,); keys that are stored already may be left out.
        """
        with self._db.transaction() as connection:
            rows.begin(connection)
            rows.put_embeddings(connection, vectors)
            postings.index(connection, [chunk for part in parts for chunk in rows.put_staged(connection, part)])

    def swap_staged(self, *, chunker: str, embedder: str) -> None:
        """Put the staged chunks in the place of the live ones, all at once, and name the parts that made them."""
        with self._db.transaction() as connection:
            rows.begin(connection)
            documents = connection.execute(
                "SELECT d.id FROM documents d JOIN staged_documents s ON s.source = d.source AND s.document_id = d.document_id"
            ).fetchall()
            rows.free_staged(connection)
            rows.touch(connection, [row[0] for row in documents])
            rows.take_chunks(connection)
            rows.insert_staged(connection)
            rows.tell_index(connection)
            connection.execute(
                "UPDATE documents SET chunker = :chunker WHERE id IN (SELECT document FROM touched)",
                {"chunker": chunker},
            )
            rows.name_embedder(connection, embedder)
            connection.execute("DELETE FROM staged_chunks")
            connection.execute("DELETE FROM staged_documents")
            rows.drop_unused_embeddings(connection)
            rows.advance(connection)

    def drop_staged(self) -> None:
        """Drop all that is staged, and the vectors that were made for it."""
        if not self._db.read("SELECT EXISTS (SELECT 1 FROM staged_chunks) OR EXISTS (SELECT 1 FROM staged_documents)")[0][0]:
            return
        with self._db.transaction() as connection:
            rows.begin(connection)
            rows.free_staged(connection)
            connection.execute("DELETE FROM staged_chunks")
            connection.execute("DELETE FROM staged_documents")
            rows.drop_unused_embeddings(connection)
