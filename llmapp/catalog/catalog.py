"""The catalog: writes documents whole, and hands out what a principal may read.

Three parts over one database: the documents and the work they leave for the vector index (here), the state of the
syncs (`llmapp.catalog.sync_state`), and the chunks as a search reads them (`llmapp.catalog.live_chunks`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.catalog.database import Database
from llmapp.catalog.live_chunks import LiveChunks
from llmapp.catalog.records import Counts, DocumentRecord, PendingWork, StoredDocument
from llmapp.catalog.sync_state import SyncState
from llmapp.errors import EmbedderMismatchError

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray


class Catalog(SyncState, LiveChunks):
    """Documents, chunks, embeddings and access lists in one SQLite file. Safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open or create the catalog.

        Raises:
            CatalogVersionError: Written by a newer llmapp.
            CatalogError: The file cannot be opened.
        """
        self._db = Database(path, migrations="llmapp.catalog.migrations")
        SyncState.__init__(self, self._db)
        LiveChunks.__init__(self, self._db)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def bind_embedder(self, identity: str) -> None:
        """Tie the catalog to one embedder; the first one is stored.

        Raises:
            EmbedderMismatchError: The catalog holds vectors of another one.
        """
        with self._db.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('embedder', :identity)", {"identity": identity})
            stored: str = connection.execute("SELECT value FROM meta WHERE key = 'embedder'").fetchone()[0]
            if stored != identity and connection.execute("SELECT 1 FROM embeddings LIMIT 1").fetchone():
                raise EmbedderMismatchError(stored=stored, configured=identity)
            connection.execute("UPDATE meta SET value = :identity WHERE key = 'embedder'", {"identity": identity})

    def check_embedder(self, identity: str) -> None:
        """See that the vectors here were made by this embedder.

        Raises:
            EmbedderMismatchError: They were made by another one.
        """
        rows = self._db.read("SELECT value FROM meta WHERE key = 'embedder'")
        if rows and rows[0][0] != identity and self._db.read("SELECT 1 FROM embeddings LIMIT 1"):
            raise EmbedderMismatchError(stored=rows[0][0], configured=identity)

    def stored(self, source: str, document_id: str) -> StoredDocument | None:
        """What is known of a document; None when it is not in the catalog."""
        rows = self._db.read(
            "SELECT document_id, revision, content_hash FROM documents WHERE source = :source AND document_id = :id",
            {"source": source, "id": document_id},
        )
        return StoredDocument(*rows[0]) if rows else None

    def document_ids(self, source: str) -> set[str]:
        """The ids of all documents of a source."""
        rows = self._db.read("SELECT document_id FROM documents WHERE source = :source", {"source": source})
        return {row[0] for row in rows}

    def known_embeddings(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that already have a vector."""
        rows = self._db.read(
            "SELECT key FROM embeddings WHERE key IN (SELECT value FROM json_each(:keys))", {"keys": json.dumps(list(keys))}
        )
        return {row[0] for row in rows}

    def replace(self, records: Sequence[DocumentRecord], vectors: Mapping[str, FloatArray]) -> None:
        """Commit documents, each as a whole, all in one transaction; a reader sees the old ones or the new ones.

        Args:
            records: The documents; those with the same source and id are replaced.
            vectors: New embeddings by key, each of shape (dim,); keys that are stored already may be left out.

        Raises:
            CatalogError: The database failed; nothing was kept.
        """
        with self._db.transaction() as connection:
            _begin(connection)
            for key, vector in vectors.items():
                connection.execute(
                    "INSERT OR IGNORE INTO embeddings (key, vector) VALUES (:key, :vector)",
                    {"key": key, "vector": vector.astype("<f4").tobytes()},
                )
            for record in records:
                _put(connection, record)
            # Only now: a later document of the batch may need what an earlier one has let go.
            _drop_unused_embeddings(connection)
            _advance(connection)

    def touch(self, source: str, document_id: str, *, revision: str | None) -> None:
        """Note a new revision of a document whose content is the same; its quarantine ends."""
        with self._db.transaction() as connection:
            name = {"source": source, "id": document_id, "revision": revision}
            connection.execute(
                "UPDATE documents SET revision = :revision WHERE source = :source AND document_id = :id", name
            )
            connection.execute("DELETE FROM quarantine WHERE source = :source AND document_id = :id", name)

    def narrow(self, source: str, document_id: str, acl: tuple[str, ...]) -> None:
        """Take away every grant of a document that is not in `acl`, at once and whatever becomes of its content."""
        with self._db.transaction() as connection:
            taken = connection.execute(
                """
                DELETE FROM grants WHERE name NOT IN (SELECT value FROM json_each(:acl))
                AND document = (SELECT id FROM documents WHERE source = :source AND document_id = :id)
                """,
                {"source": source, "id": document_id, "acl": json.dumps(acl)},
            ).rowcount
            if taken:
                # What is stored is no longer what its hash says: the next run takes the document in again.
                connection.execute(
                    """
                    UPDATE documents SET revision = NULL, content_hash = content_hash || '?'
                    WHERE source = :source AND document_id = :id
                    """,
                    {"source": source, "id": document_id},
                )
                _advance(connection)

    def delete(self, source: str, document_ids: Iterable[str]) -> int:
        """Remove documents with their chunks, and embeddings that no other chunk uses.

        Returns:
            Number of documents removed.
        """
        with self._db.transaction() as connection:
            _begin(connection)
            removed = sum(_remove(connection, source, document_id, keep=frozenset()) for document_id in document_ids)
            if removed:
                _drop_unused_embeddings(connection)
                _advance(connection)
            return removed

    def pending(self, limit: int | None = None) -> list[PendingWork]:
        """Work that the vector index has not applied yet, oldest first."""
        sql = "SELECT seq, chunk_id, action FROM pending ORDER BY seq LIMIT :limit"
        return [PendingWork(*row) for row in self._db.read(sql, {"limit": -1 if limit is None else limit})]

    def mark_applied(self, work: Sequence[PendingWork]) -> None:
        """Forget exactly this work; what came for the same chunks meanwhile stays."""
        with self._db.transaction() as connection:
            connection.executemany("DELETE FROM pending WHERE seq = :seq", [{"seq": item.seq} for item in work])

    def mark_all_pending(self) -> int:
        """Make every live chunk pending again, for an index that starts empty.

        Returns:
            Number of chunks.
        """
        with self._db.transaction() as connection:
            connection.execute("DELETE FROM pending")
            connection.execute(
                "INSERT INTO pending (chunk_id, action) SELECT chunk_id, 'upsert' FROM chunks ORDER BY chunk_id"
            )
            count: int = connection.execute("SELECT count(*) FROM pending").fetchone()[0]
            return count

    def counts(self) -> Counts:
        """How much there is of everything."""
        tables = ("documents", "chunks", "embeddings", "pending", "quarantine")
        select = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)  # noqa: S608 - the names stand one line above
        return Counts(*self._db.read(f"SELECT {select}")[0])

    def digest(self) -> str:
        """SHA-256 over all documents, access lists, chunks and vectors, independent of the order they came in.

        Two catalogs with the same digest answer alike; crash, resume and move tests compare it.
        """
        rows = self._db.read(
            """
            SELECT d.source, d.document_id, d.content_hash, d.uri, d.title, c.chunk_id, c.start_char, c.end_char, c.heading, c.text,
                   (SELECT json_group_array(name) FROM (SELECT name FROM grants WHERE document = d.id ORDER BY name)), e.vector
            FROM documents d LEFT JOIN chunks c ON c.document = d.id LEFT JOIN embeddings e ON e.id = c.embedding
            ORDER BY d.source, d.document_id, c.chunk_id
            """
        )
        digest = hashlib.sha256()
        for row in rows:
            for value in row:
                part = value if isinstance(value, bytes) else json.dumps(value).encode()
                digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()


def _begin(connection: sqlite3.Connection) -> None:
    """Notes of one transaction: chunks of the document at hand that stay, and embeddings that may be unused at its end."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS unchanged (chunk_id TEXT PRIMARY KEY)")
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS freed (embedding INTEGER PRIMARY KEY)")
    connection.execute("DELETE FROM temp.freed")


def _put(connection: sqlite3.Connection, record: DocumentRecord) -> None:
    keep = frozenset(chunk.id for chunk in record.chunks)
    _remove(connection, record.source, record.document_id, keep=keep)
    document = connection.execute(
        """
        INSERT INTO documents (source, document_id, uri, title, text, page_starts, media_type, metadata, revision,
                               content_hash, parser, committed_at)
        VALUES (:source, :document_id, :uri, :title, :text, :page_starts, :media_type, :metadata, :revision,
                :content_hash, :parser, :committed_at)
        """,
        {
            "source": record.source,
            "document_id": record.document_id,
            "uri": record.uri,
            "title": record.title,
            "text": record.text,
            "page_starts": json.dumps(record.page_starts),
            "media_type": record.media_type,
            "metadata": json.dumps(dict(record.metadata)),
            "revision": record.revision,
            "content_hash": record.content_hash,
            "parser": record.parser,
            "committed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    ).lastrowid
    connection.executemany(
        "INSERT INTO grants (document, name) VALUES (:document, :name)",
        [{"document": document, "name": name} for name in sorted(set(record.acl))],
    )
    _put_chunks(connection, document, record)
    connection.execute(
        "DELETE FROM quarantine WHERE source = :source AND document_id = :id",
        {"source": record.source, "id": record.document_id},
    )


def _put_chunks(connection: sqlite3.Connection, document: int | None, record: DocumentRecord) -> None:
    connection.executemany(
        """
        INSERT INTO chunks (chunk_id, document, embedding, title, heading, text, start_char, end_char, page)
        VALUES (:chunk_id, :document, (SELECT id FROM embeddings WHERE key = :key), :title, :heading, :text, :start, :end, :page)
        """,
        [
            {
                "chunk_id": chunk.id,
                "document": document,
                "key": key,
                "title": chunk.title,
                "heading": chunk.heading,
                "text": chunk.text,
                "start": chunk.start_char,
                "end": chunk.end_char,
                "page": chunk.page,
            }
            for chunk, key in zip(record.chunks, record.embedding_keys, strict=True)
        ],
    )
    # A chunk that was there before has the same id and the same vector: the index need not hear of it.
    connection.executemany(
        "INSERT OR REPLACE INTO pending (chunk_id, action) SELECT :id, 'upsert' WHERE NOT EXISTS "
        "(SELECT 1 FROM temp.unchanged WHERE chunk_id = :id)",
        [{"id": chunk.id} for chunk in record.chunks],
    )


def _remove(connection: sqlite3.Connection, source: str, document_id: str, *, keep: frozenset[str]) -> bool:
    """Remove one document; its chunks outside `keep` become work for the index, the others are noted as unchanged."""
    connection.execute("DELETE FROM temp.unchanged")
    row = connection.execute(
        "SELECT id FROM documents WHERE source = :source AND document_id = :id", {"source": source, "id": document_id}
    ).fetchone()
    if row is None:
        return False
    found = connection.execute("SELECT chunk_id FROM chunks WHERE document = :document ORDER BY id", {"document": row[0]})
    ids = [chunk["chunk_id"] for chunk in found]
    connection.executemany("INSERT INTO temp.unchanged VALUES (:id)", [{"id": i} for i in ids if i in keep])
    connection.executemany(
        "INSERT OR REPLACE INTO pending (chunk_id, action) VALUES (:id, 'delete')", [{"id": i} for i in ids if i not in keep]
    )
    connection.execute(
        "INSERT OR IGNORE INTO temp.freed SELECT embedding FROM chunks WHERE document = :document", {"document": row[0]}
    )
    connection.execute("DELETE FROM chunks WHERE document = :document", {"document": row[0]})
    connection.execute("DELETE FROM documents WHERE id = :document", {"document": row[0]})
    return True


def _drop_unused_embeddings(connection: sqlite3.Connection) -> None:
    connection.execute(
        """
        DELETE FROM embeddings WHERE id IN (SELECT embedding FROM temp.freed)
        AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.embedding = embeddings.id)
        """
    )


def _advance(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO meta VALUES ('generation', '1') ON CONFLICT (key) DO UPDATE SET value = CAST(value + 1 AS TEXT)"
    )
