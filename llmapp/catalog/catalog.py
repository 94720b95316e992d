"""The catalog: writes documents whole, and hands out what a principal may read.

The parts over one database: the documents (here), the work they leave for the vector index (`llmapp.catalog.index_state`), the
state of the syncs (`llmapp.catalog.sync_state`), new chunks that wait behind the live ones (`llmapp.catalog.staging`), documents
that must leave no trace (`llmapp.catalog.purging`), the chunks as a search reads them (`llmapp.catalog.live_chunks`), by their words
(`llmapp.catalog.full_text`) and by filters (`llmapp.catalog.filtering`), and what stands around them
(`llmapp.catalog.surroundings`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.catalog import document_rows as rows
from llmapp.catalog import facts, postings
from llmapp.catalog.database import Database
from llmapp.catalog.full_text import FullText
from llmapp.catalog.index_state import IndexState
from llmapp.catalog.live_table import LiveTableKeeper
from llmapp.catalog.lock import ProcessLock
from llmapp.catalog.purging import Purging
from llmapp.catalog.records import Counts, DocumentRecord, StoredDocument
from llmapp.catalog.sqlite import SQLiteDatabase
from llmapp.catalog.staging import Staging
from llmapp.catalog.surroundings import Surroundings
from llmapp.catalog.sync_state import SyncState
from llmapp.errors import EmbedderMismatchError
from llmapp.words.analysis import Words

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray

_GRANTS = "(SELECT json_group_array(name) FROM (SELECT name FROM grants WHERE document = d.id ORDER BY name))"


class Catalog(SyncState, Staging, Purging, FullText, Surroundings, IndexState):
    """Documents, chunks, embeddings and access lists in one database. Safe to use from several threads and processes."""

    def __init__(self, place: Path | str, *, words: Words | None = None) -> None:
        """Open or create the catalog.

        Args:
            place: A SQLite file, as a path, or the URL of a PostgreSQL.
            words: How texts become terms; with another one than before the full text is written anew before this returns.
                None is `Words()`.

        Raises:
            CatalogVersionError: Written by a newer llmapp.
            CatalogError: The file cannot be opened, or the server cannot be used.
            MissingDependencyError: psycopg is not installed.
        """
        self._db = _database(place)
        SyncState.__init__(self, self._db)
        Staging.__init__(self, self._db)
        Surroundings.__init__(self, self._db)
        IndexState.__init__(self, self._db)
        # Beside a server no vectors are kept in files: a purge could not reach those of other machines.
        live_table = LiveTableKeeper(self._db, place.with_suffix(".vectors") if isinstance(place, Path) else None)
        Purging.__init__(self, self._db, live_table)
        try:
            FullText.__init__(self, self._db, live_table, words or Words())
            facts.fill(self._db)
        except BaseException:
            self._db.close()
            raise

    @property
    def place(self) -> str:
        """Where it is: the path of a file, or the address of a server without the password."""
        return self._db.name

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def ingest_lock(self, *, wait_s: float = 0.0) -> ProcessLock:
        """The lock that one process of all that use this catalog holds while it changes documents.

        Args:
            wait_s: Seconds that its `acquire` waits for another holder.
        """
        return self._db.lock("ingest", purpose="ingestion", wait_s=wait_s)

    def index_lock(self) -> ProcessLock:
        """The lock that one process of all that use this catalog holds while it writes the vector index."""
        return self._db.lock("index", purpose="the index", wait_s=0.0)

    def move_lock(self) -> ProcessLock:
        """The lock that one process of all that use this catalog holds while it moves the vectors to another store."""
        return self._db.lock("move", purpose="a move of the vectors", wait_s=0.0)

    def bind_embedder(self, identity: str) -> None:
        """Tie the catalog to one embedder; the first one is stored, and so is one that comes while there is no chunk.

        Raises:
            EmbedderMismatchError: The live vectors were made by another one.
        """
        self.check_embedder(identity)
        with self._db.transaction() as connection:
            rows.name_embedder(connection, identity)

    def check_embedder(self, identity: str) -> None:
        """See that the vectors here were made by this embedder.

        Raises:
            EmbedderMismatchError: They were made by another one.
        """
        stored = self.live_embedder()
        if stored not in {None, identity}:
            raise EmbedderMismatchError(stored=str(stored), configured=identity)

    def stored(self, source: str, document_id: str) -> StoredDocument | None:
        """What is known of a document; None when it is not in the catalog."""
        found = self._db.read(
            f"""
            SELECT document_id, revision, content_hash, {_GRANTS} AS acl, own_acl, parser, chunker, is_narrowed FROM documents d
            WHERE source = :source AND document_id = :id
            """,  # noqa: S608 - a constant
            {"source": source, "id": document_id},
        )
        if not found:
            return None
        row = dict(found[0])
        acl, flags = frozenset(json.loads(row["acl"])), {name: bool(row[name]) for name in ("own_acl", "is_narrowed")}
        return StoredDocument(**{**row, **flags, "acl": acl})

    def document_ids(self, source: str) -> set[str]:
        """The ids of all documents of a source."""
        found = self._db.read("SELECT document_id FROM documents WHERE source = :source", {"source": source})
        return {row[0] for row in found}

    def count_documents(self, source: str) -> int:
        """Number of documents of a source."""
        found = self._db.read("SELECT count(*) FROM documents WHERE source = :source", {"source": source})
        return int(found[0][0])

    def followers(self, source: str) -> dict[str, tuple[frozenset[str], bool]]:
        """Of the documents without an access list of their own: by id, the list, and whether it was narrowed."""
        found = self._db.read(
            f"SELECT document_id, {_GRANTS}, is_narrowed FROM documents d WHERE source = :source AND NOT own_acl",  # noqa: S608 - a constant
            {"source": source},
        )
        return {row[0]: (frozenset(json.loads(row[1])), bool(row[2])) for row in found}

    def hidden(self, source: str) -> int:
        """Number of documents of a source that nobody may read."""
        found = self._db.read(
            """
            SELECT count(*) FROM documents d WHERE source = :source
            AND NOT EXISTS (SELECT 1 FROM grants WHERE document = d.id)
            """,
            {"source": source},
        )
        return int(found[0][0])

    def known_embeddings(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that already have a vector."""
        found = self._db.read(
            "SELECT key FROM embeddings WHERE key IN (SELECT value FROM json_each(:keys))", {"keys": json.dumps(list(keys))}
        )
        return {row[0] for row in found}

    def replace(self, records: Sequence[DocumentRecord], vectors: Mapping[str, FloatArray]) -> None:
        """Commit documents, each as a whole, all in one transaction; a reader sees the old ones or the new ones.

        Args:
            records: The documents; those with the same source and id are replaced.
            vectors: New embeddings by key, each of shape (dim,); keys that are stored already may be left out.

        Raises:
            CatalogError: The database failed; nothing was kept.
        """
        with self._db.transaction() as connection:
            rows.begin(connection)
            rows.put_embeddings(connection, vectors)
            numbered = [chunk for record in records for chunk in rows.put(connection, record)]
            postings.index(connection, numbered)
            rows.advance(connection)

    def touch(self, source: str, document_id: str, *, revision: str | None) -> None:
        """Note a new revision of a document whose content is the same; its quarantine ends."""
        with self._db.transaction() as connection:
            name = {"source": source, "id": document_id, "revision": revision}
            connection.execute(
                "UPDATE documents SET revision = :revision WHERE source = :source AND document_id = :id", name
            )
            connection.execute("DELETE FROM quarantine WHERE source = :source AND document_id = :id", name)

    def drop_unused(self) -> None:
        """Drop the vectors that were let go since the last time and that nothing uses, and the postings of what is gone.

        At the end of a run: a text that moves from one document to another keeps its vector, and is not paid for again.
        """
        self._drop_gone_postings()
        if self._db.read("SELECT 1 FROM freed LIMIT 1"):
            with self._db.transaction() as connection:
                rows.drop_unused_embeddings(connection)

    def set_access(self, source: str, access: Mapping[str, Iterable[str]], *, own: bool, narrowed: bool = False) -> None:
        """Give documents other access lists, in one transaction; nothing is embedded.

        Args:
            source: Their source.
            access: Grants by document id; documents that are not there are passed over.
            own: Whether the lists are the documents' own, or the source's.
            narrowed: Whether the source grants more, to a content that is not committed yet.
        """
        with self._db.transaction() as connection:
            rows.begin(connection)
            for document_id, grants in access.items():
                if (document := rows.find(connection, source, document_id)) is not None:
                    rows.touch(connection, [document])
                    connection.execute("DELETE FROM grants WHERE document = :document", {"document": document})
                    connection.executemany(
                        "INSERT INTO grants (document, name) VALUES (:document, :name)",
                        [{"document": document, "name": name} for name in sorted(set(grants))],
                    )
                    connection.execute(
                        "UPDATE documents SET own_acl = :own, is_narrowed = :narrowed WHERE id = :document",
                        {"own": own, "narrowed": narrowed, "document": document},
                    )
            rows.advance(connection)

    def delete(self, source: str, document_ids: Iterable[str]) -> int:
        """Remove documents with their chunks; vectors that nothing uses go with the next `drop_unused`.

        Returns:
            Number of documents removed.
        """
        with self._db.transaction() as connection:
            rows.begin(connection)
            removed = sum(rows.remove(connection, source, document_id) for document_id in document_ids)
            if removed:
                rows.advance(connection)
            return removed

    def forget_source(self, source: str) -> int:
        """Remove all documents of a source, its cursor, its quarantine and its runs, in one transaction.

        Returns:
            Number of documents removed.
        """
        with self._db.transaction() as connection:
            rows.begin(connection)
            names = connection.execute(
                "SELECT document_id FROM documents WHERE source = :source", {"source": source}
            ).fetchall()
            removed = sum(rows.remove(connection, source, row[0]) for row in names)
            connection.execute(
                "INSERT INTO freed SELECT embedding FROM staged_chunks WHERE source = :source ON CONFLICT DO NOTHING",
                {"source": source},
            )
            for table in ("cursors", "quarantine", "runs", "staged_chunks", "staged_documents"):
                connection.execute(f"DELETE FROM {table} WHERE source = :source", {"source": source})  # noqa: S608 - named above
            rows.drop_unused_embeddings(connection)
            rows.advance(connection)
            return removed

    def counts(self) -> Counts:
        """How much there is of everything."""
        tables = ("documents", "chunks", "embeddings", "pending", "quarantine WHERE NOT is_dropped")
        select = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)  # noqa: S608 - the names stand one line above
        return Counts(*self._db.read(f"SELECT {select}")[0])

    def fingerprint(self) -> str:
        """SHA-256 over the names and texts of all documents: the same wherever they are, however they are cut and embedded."""
        digests: dict[tuple[str, str], hashlib._Hash] = {}
        parts = (
            "SELECT d.source, d.document_id, t.text FROM documents d JOIN texts t ON t.document = d.id ORDER BY d.id, t.part"
        )
        for source, document_id, text in self._db.iterate(parts):
            digests.setdefault((source, document_id), hashlib.sha256()).update(text.encode())
        written = [[*name, digest.hexdigest()] for name, digest in sorted(digests.items(), key=lambda item: item[0])]
        return hashlib.sha256(json.dumps(written).encode()).hexdigest()

    def digest(self) -> str:
        """SHA-256 over all documents, access lists, chunks and vectors, independent of the order they came in.

        Two catalogs with the same digest answer alike; crash, resume and move tests compare it.
        """
        found = self._db.iterate(
            f"""
            SELECT d.source, d.document_id, d.content_hash, d.parser, d.chunker, d.uri, d.title, d.media_type, d.metadata, d.page_starts,
                   CASE WHEN d.own_acl THEN 1 ELSE 0 END, {_GRANTS}, c.chunk_id, c.title, c.heading, c.page, c.start_char, c.end_char, c.text, e.vector
            FROM documents d LEFT JOIN chunks c ON c.document = d.id LEFT JOIN embeddings e ON e.id = c.embedding
            ORDER BY d.source, d.document_id, c.chunk_id
            """  # noqa: S608 - a constant
        )
        digest = hashlib.sha256()
        for row in found:
            for value in row:
                part = value if isinstance(value, bytes) else json.dumps(value).encode()
                digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()


def _database(place: Path | str) -> Database:
    if isinstance(place, Path):
        return SQLiteDatabase(place, migrations="llmapp.catalog.migrations")
    from llmapp.catalog.postgres import PostgresDatabase

    return PostgresDatabase(place, migrations="llmapp.catalog.migrations.postgres")
