"""SQLite behind one small class: connections, transactions, numbered migrations.

Knows nothing of what is stored; `llmapp.costs.ledger` keeps its own file with it. Parameters are always named, so that
the statements can move to another database as they are. One connection a thread, because a sqlite3 connection is one
thread's; writers wait for each other up to `_BUSY_TIMEOUT_S`.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Literal, TypeAlias

from llmapp.errors import CatalogError, CatalogVersionError

_BUSY_TIMEOUT_S = 10.0
_MIGRATION = re.compile(r"(\d{4})_\w+\.sql")

Params: TypeAlias = Mapping[str, object] | Sequence[object]


class Database:
    """One SQLite file in WAL mode, brought to its newest version when opened."""

    def __init__(self, path: Path, *, migrations: str, synchronous: Literal["NORMAL", "FULL"] = "FULL") -> None:
        """Open or create the file.

        Args:
            path: The file; its folder is created.
            migrations: Package that holds the numbered SQL files.
            synchronous: ``FULL`` keeps every commit through a power loss, ``NORMAL`` through the death of the process.

        Raises:
            CatalogVersionError: The file was written by a newer llmapp.
            CatalogError: The file cannot be opened, or is not a database.
        """
        self.path = path
        self._synchronous = synchronous
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._migrate(migrations)
        except (OSError, sqlite3.Error) as error:
            raise CatalogError(f"cannot open {path}: {error}", hint="run llmapp doctor") from error

    def read(self, sql: str, params: Params = ()) -> list[sqlite3.Row]:
        """Run one SELECT and return all its rows.

        Raises:
            CatalogError: The database failed.
        """
        try:
            return self._connection().execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise CatalogError(f"{self.path.name}: {error}", hint="run llmapp doctor") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write in one transaction: all of the block or nothing.

        Raises:
            CatalogError: The database failed; nothing of the block was kept.
        """
        connection = self._connection()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise CatalogError(f"{self.path.name}: {error}", hint="run llmapp doctor") from error

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
            self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
            with self._lock:
                self._opened.append(connection)
        return connection

    def _migrate(self, package: str) -> None:
        scripts = {
            int(match[1]): file.read_text(encoding="utf-8")
            for file in resources.files(package).iterdir()
            if (match := _MIGRATION.fullmatch(file.name))
        }
        newest = max(scripts)
        connection = self._connection()
        version = self._version(connection)
        if version > newest:
            raise CatalogVersionError(
                f"{self.path} has version {version}, this llmapp knows {newest}",
                hint="upgrade llmapp: pip install -U llmapp",
            )
        if version == newest:
            return
        connection.execute("BEGIN EXCLUSIVE")
        try:
            for number in range(self._version(connection) + 1, newest + 1):
                for statement in _statements(scripts[number]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would commit the transaction that they must share."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
