"""The rows of one document, written and removed within a transaction of the caller.

Knows the tables and keeps three things right: a chunk that was there before is no news for the vector index, a vector
that no chunk uses any more is noted, and a document is replaced as a whole. Notes of one transaction stand in temporary tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from llmapp.catalog import facts, meta
from llmapp.catalog.database import Connection
from llmapp.catalog.postings import reserve_rows
from llmapp.catalog.records import DocumentRecord, StagedChunks
from llmapp.types import Chunk

if TYPE_CHECKING:
    from llmapp.catalog.postings import NumberedFields
    from llmapp.protocols import FloatArray

PART_CHARS = 1 << 20
"""A text is stored in parts of this length: sqlite3 and SQLite each hold a copy of what they are given."""
_GENERATION = "COALESCE((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'generation'), 0)"
KEPT_GENERATIONS = 1000
"""Generations whose changes are kept, for those who follow them; who is further behind compares everything."""
STAGED = """
    SELECT s.row AS id, d.id AS document, s.chunk_id, s.embedding, s.title, s.heading, s.text, s.start_char, s.end_char, s.page
    FROM staged_documents whole
    JOIN staged_chunks s ON s.source = whole.source AND s.document_id = whole.document_id AND s.version = whole.version
    JOIN documents d ON d.source = s.source AND d.document_id = s.document_id
    WHERE d.id IN (SELECT document FROM touched)
    ORDER BY s.source, s.document_id, s.start_char
"""
"""The staged chunks of the documents at hand."""
_GONE = "former WHERE NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.chunk_id = former.chunk_id)"
_NEW = """
    chunks WHERE document IN (SELECT document FROM touched)
    AND NOT EXISTS (SELECT 1 FROM former WHERE former.chunk_id = chunks.chunk_id)
"""
"""The chunks of the documents at hand that are there no more, and those that were not there before."""


def begin(connection: Connection) -> None:
    """Start the notes of a transaction."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS touched (document INTEGER PRIMARY KEY)")
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS former (chunk_id TEXT PRIMARY KEY)")


def put_embeddings(connection: Connection, vectors: Mapping[str, FloatArray]) -> None:
    """Store vectors by key, each of shape (dim,); one that is there already stays."""
    connection.executemany(
        "INSERT INTO embeddings (key, vector) VALUES (:key, :vector) ON CONFLICT DO NOTHING",
        [{"key": key, "vector": vector.astype("<f4").tobytes()} for key, vector in vectors.items()],
    )


def put(connection: Connection, record: DocumentRecord) -> list[NumberedFields]:
    """Write a document in the place of an earlier one; its vectors must be stored.

    Returns:
        The chunks whose words are to be indexed.
    """
    numbered: list[NumberedFields] = []
    _take_out(connection, find(connection, record.source, record.document_id))
    document = _insert_document(connection, record)
    connection.executemany(
        "INSERT INTO grants (document, name) VALUES (:document, :name)",
        [{"document": document, "name": name} for name in sorted(set(record.acl))],
    )
    touch(connection, [document])
    if record.is_staged:
        insert_staged(connection)
        forget_staged(connection, record.source, record.document_id)
    else:
        numbered = _insert_chunks(connection, document, record)
    tell_index(connection)
    connection.execute(
        "DELETE FROM quarantine WHERE source = :source AND document_id = :id",
        {"source": record.source, "id": record.document_id},
    )
    return numbered


def remove(connection: Connection, source: str, document_id: str) -> bool:
    """Remove a document with its chunks; whether there was one."""
    forget_staged(connection, source, document_id)
    document = find(connection, source, document_id)
    _take_out(connection, document)
    touch(connection, [])
    tell_index(connection)
    return document is not None


def find(connection: Connection, source: str, document_id: str) -> int | None:
    """Row number of a document; None when it is not there."""
    row = connection.execute(
        "SELECT id FROM documents WHERE source = :source AND document_id = :id", {"source": source, "id": document_id}
    ).fetchone()
    return None if row is None else int(row[0])


def touch(connection: Connection, documents: Iterable[int]) -> None:
    """Name the documents at hand, and note that the generation to come changes them."""
    connection.execute("DELETE FROM touched")
    connection.executemany("INSERT INTO touched VALUES (:id)", [{"id": document} for document in documents])
    connection.execute(
        f"INSERT INTO changes SELECT {_GENERATION} + 1, document FROM touched WHERE TRUE ON CONFLICT DO NOTHING"  # noqa: S608 - a constant
    )


def take_chunks(connection: Connection) -> None:
    """Remove the chunks of the documents at hand, and note which there were and which vectors they used."""
    connection.execute("DELETE FROM former")
    connection.execute("INSERT INTO former SELECT chunk_id FROM chunks WHERE document IN (SELECT document FROM touched)")
    connection.execute(
        """
        INSERT INTO freed SELECT embedding FROM chunks WHERE document IN (SELECT document FROM touched)
        ON CONFLICT DO NOTHING
        """
    )
    connection.execute("DELETE FROM chunks WHERE document IN (SELECT document FROM touched)")


def insert_staged(connection: Connection) -> None:
    """Make the staged chunks of the documents at hand their chunks."""
    connection.execute(
        f"INSERT INTO chunks (id, document, chunk_id, embedding, title, heading, text, start_char, end_char, page) {STAGED}"
    )


def tell_index(connection: Connection) -> None:
    """Leave work for the vector index: a chunk that was there before has the same id and the same vector, so it is none."""
    for action, changed in (("delete", _GONE), ("upsert", _NEW)):
        # A row of its own, so that whoever is at the earlier work for the same chunk does not mark this as done.
        connection.execute(f"DELETE FROM pending WHERE chunk_id IN (SELECT chunk_id FROM {changed})")  # noqa: S608 - constants
        connection.execute(
            f"INSERT INTO pending (chunk_id, action) SELECT chunk_id, '{action}' FROM {changed} ORDER BY chunk_id"  # noqa: S608
        )


def put_staged(connection: Connection, part: StagedChunks) -> list[NumberedFields]:
    """Stage some chunks of a document; their vectors must be stored.

    Returns:
        The chunks whose words are to be indexed: those that were not staged before.
    """
    name = {"source": part.source, "id": part.document_id, "version": part.version}
    pairs = list(zip(part.chunks, part.keys, strict=True))
    known = _staged_starts(connection, part) if pairs else set()
    new = [(chunk, key) for chunk, key in pairs if chunk.start_char not in known]
    rows = reserve_rows(connection, len(new))
    connection.executemany(
        """
        INSERT INTO staged_chunks (source, document_id, version, start_char, end_char, row, chunk_id, embedding, title,
                                             heading, text, page)
        VALUES (:source, :id, :version, :start, :end, :row, :chunk_id, (SELECT id FROM embeddings WHERE key = :key), :title,
                :heading, :text, :page)
        """,
        [{**name, **_values(chunk, key), "row": row} for row, (chunk, key) in zip(rows, new, strict=True)],
    )
    if part.is_complete:
        others = "FROM staged_chunks WHERE source = :source AND document_id = :id AND version <> :version"
        connection.execute(f"INSERT INTO freed SELECT embedding {others} ON CONFLICT DO NOTHING", name)
        connection.execute(f"DELETE {others}", name)
        connection.execute(
            """
            INSERT INTO staged_documents VALUES (:source, :id, :version)
            ON CONFLICT (source, document_id) DO UPDATE SET version = excluded.version
            """,
            name,
        )
    return _fields(rows, [chunk for chunk, _ in new])


def forget_staged(connection: Connection, source: str, document_id: str) -> None:
    """Drop what is staged for a document."""
    name = {"source": source, "id": document_id}
    where = "WHERE source = :source AND document_id = :id"
    connection.execute(f"INSERT INTO freed SELECT embedding FROM staged_chunks {where} ON CONFLICT DO NOTHING", name)  # noqa: S608
    connection.execute(f"DELETE FROM staged_chunks {where}", name)  # noqa: S608
    connection.execute(f"DELETE FROM staged_documents {where}", name)  # noqa: S608


def free_staged(connection: Connection) -> None:
    """Note the vectors of all staged chunks as let go."""
    connection.execute("INSERT INTO freed SELECT embedding FROM staged_chunks WHERE TRUE ON CONFLICT DO NOTHING")


def drop_unused_embeddings(connection: Connection) -> None:
    """Drop vectors that were let go and that nothing uses."""
    connection.execute(
        """
        DELETE FROM embeddings WHERE id IN (SELECT embedding FROM freed)
        AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.embedding = embeddings.id)
        AND NOT EXISTS (SELECT 1 FROM staged_chunks WHERE staged_chunks.embedding = embeddings.id)
        """
    )
    connection.execute("DELETE FROM freed")


def advance(connection: Connection) -> None:
    """Begin a new generation, so that whoever keeps what it has read reads again."""
    connection.execute(
        """
        INSERT INTO meta VALUES ('generation', '1')
        ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(meta.value AS INTEGER) + 1 AS TEXT)
        """
    )
    connection.execute(f"DELETE FROM changes WHERE generation <= {_GENERATION} - {KEPT_GENERATIONS}")  # noqa: S608 - constants


def name_embedder(connection: Connection, identity: str) -> None:
    """Tie the catalog to an embedder."""
    meta.put(connection, "embedder", identity)


def _take_out(connection: Connection, document: int | None) -> None:
    touch(connection, () if document is None else (document,))
    take_chunks(connection)
    connection.execute("DELETE FROM documents WHERE id IN (SELECT document FROM touched)")


def _insert_document(connection: Connection, record: DocumentRecord) -> int:
    document: int = connection.execute(
        """
        INSERT INTO documents (source, document_id, uri, title, page_starts, media_type, metadata, revision,
                               content_hash, parser, committed_at, own_acl, chunker)
        VALUES (:source, :document_id, :uri, :title, :page_starts, :media_type, :metadata, :revision,
                :content_hash, :parser, :committed_at, :own_acl, :chunker)
        RETURNING id
        """,
        {
            "source": record.source,
            "document_id": record.document_id,
            "uri": record.uri,
            "title": record.title,
            "page_starts": json.dumps(record.page_starts),
            "media_type": record.media_type,
            "metadata": json.dumps(dict(record.metadata)),
            "revision": record.revision,
            "content_hash": record.content_hash,
            "parser": record.parser,
            "committed_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "own_acl": record.own_acl,
            "chunker": record.chunker,
        },
    ).fetchone()[0]
    connection.executemany("INSERT INTO texts VALUES (:document, :part, :text)", _parts(document, record.text))
    facts.write(connection, document)
    return document


def _parts(document: int, text: str) -> Iterator[dict[str, object]]:
    for part, start in enumerate(range(0, len(text), PART_CHARS)):
        yield {"document": document, "part": part, "text": text[start : start + PART_CHARS]}


def _staged_starts(connection: Connection, part: StagedChunks) -> set[int]:
    starts = [chunk.start_char for chunk in part.chunks]
    found = connection.execute(
        """
        SELECT start_char FROM staged_chunks
        WHERE source = :source AND document_id = :id AND version = :version AND start_char BETWEEN :first AND :last
        """,
        {"source": part.source, "id": part.document_id, "version": part.version, "first": min(starts), "last": max(starts)},
    ).fetchall()
    return {row[0] for row in found}


def _insert_chunks(connection: Connection, document: int, record: DocumentRecord) -> list[NumberedFields]:
    rows = reserve_rows(connection, len(record.chunks))
    connection.executemany(
        """
        INSERT INTO chunks (id, chunk_id, document, embedding, title, heading, text, start_char, end_char, page)
        VALUES (:row, :chunk_id, :document, (SELECT id FROM embeddings WHERE key = :key), :title, :heading, :text, :start, :end,
                :page)
        """,
        [
            {**_values(chunk, key), "document": document, "row": row}
            for row, chunk, key in zip(rows, record.chunks, record.embedding_keys, strict=True)
        ],
    )
    return _fields(rows, record.chunks)


def _fields(rows: Iterable[int], chunks: Iterable[Chunk]) -> list[NumberedFields]:
    return [(row, (chunk.title, chunk.heading, chunk.text)) for row, chunk in zip(rows, chunks, strict=True)]


def _values(chunk: Chunk, key: str) -> dict[str, object]:
    return {
        "chunk_id": chunk.id,
        "key": key,
        "title": chunk.title,
        "heading": chunk.heading,
        "text": chunk.text,
        "start": chunk.start_char,
        "end": chunk.end_char,
        "page": chunk.page,
    }
