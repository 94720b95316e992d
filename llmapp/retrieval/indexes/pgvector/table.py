"""A table of ids and vectors, searched through pgvector's HNSW index; small tables are searched exactly.

The index is made by `settle`, when the first many vectors are in: that is four times as fast as putting each into it. Vectors of
up to 2,000 numbers are indexed as they are, of up to 4,000 in half precision and compared in full; longer ones are always
searched exactly, for pgvector has no index for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmapp.errors import DimensionMismatchError, IndexUnavailableError
from llmapp.retrieval.indexes.pgvector.connections import Connections, prepare

if TYPE_CHECKING:
    import psycopg
    from psycopg.sql import Composed

    from llmapp.protocols import FloatArray

_READ_DEADLINE_S = 15.0
_WRITE_DEADLINE_S = 180.0
_BUILD_DEADLINE_S = 4 * 3600.0
"""An index of 384 dimensions is made at some 1,500 vectors a second here."""
_BATCH = 5_000
_INDEXED_FROM = 2_000
"""Vectors from which an index is faster than looking at each."""
_MOST_FULL_DIM, _MOST_HALF_DIM = 2_000, 4_000
"""Longest vectors that pgvector indexes. Source: the README of pgvector 0.8, ``HNSW``."""
_BUILD_MEMORY = "512MB"
"""An index that fits into it is made in memory: 384 dimensions take about 2 kB a vector."""


class PgVectorIndex:
    """A table in PostgreSQL. Implements `llmapp.protocols.VectorIndex`; safe to use from several threads."""

    name = "pgvector"
    """Name of the store."""
    is_shared = True
    """A database serves many."""

    def __init__(
        self,
        url: str,
        table: str,
        *,
        read_deadline_s: float = _READ_DEADLINE_S,
        write_deadline_s: float = _WRITE_DEADLINE_S,
    ) -> None:
        """Name the database and the table; nothing is imported or asked before the first use.

        Args:
            url: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``.
            table: Name of the table, of this catalog alone; made by the first `upsert`, as is the extension.
            read_deadline_s: Seconds that a search may take.
            write_deadline_s: Seconds that one batch of a write, or a list of all ids, may take.

        Raises:
            ConfigError: The address is none of a PostgreSQL.
        """
        self._connections = Connections(url)
        self._table = table
        self._quoted = '"' + table.replace('"', '""') + '"'
        self._read_deadline_s = read_deadline_s
        self._write_deadline_s = write_deadline_s
        self._known_dim: int | None = None

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        """Put vectors; applying the same twice changes nothing. `vectors` has shape (len(ids), dim).

        Raises:
            DimensionMismatchError: The store holds vectors of another length; it is as it was.
            IndexUnavailableError: The server refuses or cannot be reached, or has no pgvector.
        """
        if not ids:
            return
        dim = vectors.shape[1]
        with self._connections.borrowed(deadline_s=self._write_deadline_s) as connection:
            if self._dim(connection) is None:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
                prepare(connection)
                columns = f'id text COLLATE "C" PRIMARY KEY, vector vector({dim}) NOT NULL'
                connection.execute(self._sql(f"CREATE TABLE IF NOT EXISTS {{table}} ({columns})"))
            self._check_dim(connection, dim)
            for start in range(0, len(ids), _BATCH):
                self._put(connection, ids[start : start + _BATCH], vectors[start : start + _BATCH])

    def delete(self, ids: Sequence[str]) -> None:
        """Remove ids; unknown ones are ignored.

        Raises:
            IndexUnavailableError: The server refuses or cannot be reached.
        """
        if not ids:
            return
        with self._connections.borrowed(deadline_s=self._write_deadline_s) as connection:
            if self._dim(connection) is not None:
                connection.execute(self._sql("DELETE FROM {table} WHERE id = ANY(%s)"), (list(ids),))

    def query(self, vector: FloatArray, *, top_k: int) -> list[tuple[str, float]]:
        """The `top_k` nearest ids with their cosine similarity, best first. `vector` has shape (dim,) and length 1.

        Raises:
            DimensionMismatchError: The store holds vectors of another length.
            IndexUnavailableError: The server does not answer or cannot be reached, or the table is missing.
        """
        with self._connections.borrowed(deadline_s=self._read_deadline_s) as connection:
            self._check_dim(connection, len(vector))
            nearness = _nearness(len(vector)).format("%(query)b")
            # The number stands in the text: for a parameter the server would plan a scan of the whole table.
            select = self._sql(f"""
                WITH near AS MATERIALIZED (SELECT id, vector FROM {{table}} ORDER BY {nearness} LIMIT {int(top_k)})
                SELECT id, -(vector <#> %(query)b) AS score FROM near ORDER BY score DESC, id
                """)  # noqa: S608 - numbers of ours
            return [(row[0], float(row[1])) for row in connection.execute(select, {"query": vector})]

    def ids(self) -> set[str]:
        """All ids in the store.

        Raises:
            IndexUnavailableError: The server does not answer or cannot be reached, or the table is missing.
        """
        with self._connections.borrowed(deadline_s=self._write_deadline_s) as connection:
            return {row[0] for row in connection.execute(self._sql("SELECT id FROM {table}"))}

    def vectors(self, ids: Sequence[str]) -> dict[str, FloatArray]:
        """The stored vectors of those `ids` that are there, each of shape (dim,).

        Raises:
            IndexUnavailableError: The server does not answer or cannot be reached, or the table is missing.
        """
        if not ids:
            return {}
        select = self._sql("SELECT id, vector FROM {table} WHERE id = ANY(%s)")
        with self._connections.borrowed(deadline_s=self._write_deadline_s) as connection:
            return {row[0]: row[1].to_numpy() for row in connection.execute(select, (list(ids),), binary=True)}

    def mend(self) -> None:
        """Do nothing: a write is a transaction."""

    def settle(self) -> None:
        """Make the index when there are many vectors and it is not there.

        Raises:
            IndexUnavailableError: The server refuses or cannot be reached, or the table is missing.
        """
        with self._connections.borrowed(deadline_s=_BUILD_DEADLINE_S) as connection:
            dim = self._dim(connection)
            if dim is None or dim > _MOST_HALF_DIM or self._has_index(connection):
                return
            enough = self._sql(f"SELECT count(*) FROM (SELECT 1 FROM {{table}} LIMIT {_INDEXED_FROM}) few")  # noqa: S608 - a number of ours
            if _number(connection, enough) >= _INDEXED_FROM:
                kind = "vector_ip_ops" if dim <= _MOST_FULL_DIM else "halfvec_ip_ops"
                with connection.transaction():
                    connection.execute(f"SET LOCAL maintenance_work_mem = '{_BUILD_MEMORY}'")
                    connection.execute(self._sql(f"CREATE INDEX ON {{table}} USING hnsw ({_indexed(dim)} {kind})"))
                connection.execute(self._sql("ANALYZE {table}"))

    def fault(self) -> str | None:
        """Why the store cannot serve; None when the table is there."""
        try:
            with self._connections.borrowed(deadline_s=self._read_deadline_s) as connection:
                return None if self._dim(connection) else "the vector index is missing"
        except IndexUnavailableError as error:
            return error.message

    def clear(self) -> None:
        """Throw the table away.

        Raises:
            IndexUnavailableError: The server refuses or cannot be reached.
        """
        with self._connections.borrowed(deadline_s=self._write_deadline_s) as connection:
            connection.execute(self._sql("DROP TABLE IF EXISTS {table}"))
        self._known_dim = None

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self._connections.close()

    def _put(self, connection: psycopg.Connection[Any], ids: Sequence[str], vectors: FloatArray) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE incoming (id text, vector vector) ON COMMIT DROP")
            with cursor.copy("COPY incoming FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["text", "vector"])
                for row in zip(ids, vectors, strict=True):
                    copy.write_row(row)
            cursor.execute(
                self._sql(
                    "INSERT INTO {table} SELECT id, vector FROM incoming ON CONFLICT (id) DO UPDATE SET vector = excluded.vector"
                )
            )

    def _check_dim(self, connection: psycopg.Connection[Any], dim: int) -> None:
        if self._known_dim != dim:
            stored = self._dim(connection)
            if stored not in {None, dim}:
                raise DimensionMismatchError(stored=stored or 0, given=dim)
            self._known_dim = stored

    def _dim(self, connection: psycopg.Connection[Any]) -> int | None:
        """Length of the vectors in the table; None when there is no table."""
        select = "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'vector'"
        row = connection.execute(select, (self._quoted,)).fetchone()
        return None if row is None else int(row[0])

    def _has_index(self, connection: psycopg.Connection[Any]) -> bool:
        select = (
            "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam"
            " WHERE i.indrelid = to_regclass(%s) AND a.amname = 'hnsw' AND i.indisvalid"
        )
        return _number(connection, select, self._quoted) > 0

    def _sql(self, statement: str) -> Composed:
        from psycopg.sql import SQL, Identifier

        return SQL(statement).format(table=Identifier(self._table))


def _indexed(dim: int) -> str:
    """What the index is made of."""
    return "vector" if dim <= _MOST_FULL_DIM else f"(vector::halfvec({dim}))"


def _nearness(dim: int) -> str:
    """What the index is searched by, with a place for the question."""
    return "vector <#> {}" if dim <= _MOST_FULL_DIM else f"vector::halfvec({dim}) <#> {{}}::halfvec({dim})"


def _number(connection: psycopg.Connection[Any], select: str | Composed, *params: str) -> int:
    row = connection.execute(select, params or None).fetchone()
    return 0 if row is None else int(row[0])
