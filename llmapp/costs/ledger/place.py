"""Where the ledger is kept: a file of this machine, or beside the catalog in PostgreSQL; and the way from one to the other."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from llmapp.catalog.database import Connection, Database, Row
from llmapp.catalog.sqlite import SQLiteDatabase

_log = logging.getLogger(__name__)

_TABLES = ("hold", "hold_account", "journal", "budget_limit")
"""What is carried over, in an order that references allow. Budgets follow from it."""


def open_database(place: Path | str) -> Database:
    """Open or create the ledger's database.

    Args:
        place: A SQLite file, or the URL of a PostgreSQL, where its tables stand beside those of the catalog.

    Raises:
        CatalogError: It cannot be used.
        MissingDependencyError: psycopg is not installed.
    """
    if isinstance(place, Path):
        return SQLiteDatabase(place, migrations="llmapp.costs.migrations", synchronous="NORMAL")
    from llmapp.catalog.postgres import PostgresDatabase

    return PostgresDatabase(place, migrations="llmapp.costs.migrations.postgres", room="ledger")


def carry_over(file: Path, database: Database) -> None:
    """Bring what a file has recorded into another ledger, once: several machines each bring theirs.

    All of it is brought in one transaction; then the file is renamed. Killed in between it is brought again, which changes
    nothing: a hold has the same id everywhere.

    Args:
        file: The SQLite ledger; where there is none, nothing is done. Nobody may still write to it.
        database: Where to.

    Raises:
        CatalogError: One of the two cannot be used; the file is where it was.
    """
    if not file.is_file():
        return
    old = SQLiteDatabase(file, migrations="llmapp.costs.migrations", synchronous="NORMAL")
    try:
        with database.transaction() as connection:
            known = {row["id"] for row in connection.execute("SELECT id FROM hold").fetchall()}
            for table in _TABLES:
                _copy(connection, table, _new(old.read(f"SELECT * FROM {table}"), known, table))  # noqa: S608 - names of ours
            connection.execute("DELETE FROM budget")
    finally:
        old.close()
    for path in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
        if path.exists():
            path.rename(path.with_name(f"{path.name}.carried-over"))
    _log.warning("the ledger of %s was carried over to %s", file, database.name)


def _new(rows: Iterable[Row], known: set[str], table: str) -> list[dict[str, object]]:
    key = "id" if table == "hold" else "hold_id"
    named = [dict(row) for row in rows]
    for row in named:
        row.pop("seq", None)  # of the journal: its order is kept, its numbers are those of the new one
    return [row for row in named if row.get(key) not in known]


def _copy(connection: Connection, table: str, rows: list[dict[str, object]]) -> None:
    if rows:
        columns = list(rows[0])
        values = ", ".join(f":{name}" for name in columns)
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values}) ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours
        connection.executemany(sql, rows)
