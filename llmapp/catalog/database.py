"""SQLite behind one small class: connections, transactions, numbered migrations.

Knows nothing of what is stored; `llmapp.costs.ledger` keeps its own file with it. Parameters are always named, so that
the statements can move to another database as they are. Connections are pooled, for a transaction must have one of its
own. Writers of one process queue; for those of other processes they wait up to `_BUSY_TIMEOUT_S`.
"""

from __future__ import annotations

import queue
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Literal, TypeAlias

from llmapp.errors import CatalogError, CatalogVersionError

_BUSY_TIMEOUT_S = 10.0
_HINT = "check that it can be written; if it is damaged, move it away and ingest again"
_NO_ROOM_HINT = "free some disk space, and run it again; what was committed is kept"
_NO_ROOM = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE")
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
        self._writing = threading.Lock()
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._migrate(migrations)
        except OSError as error:
            raise CatalogError(f"cannot open {path}: {error}", hint=_HINT) from error

    def read(self, sql: str, params: Params = ()) -> list[sqlite3.Row]:
        """Run one SELECT and return all its rows.

        Raises:
            CatalogError: The database failed.
        """
        try:
            with self._borrowed() as connection:
                return connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def iterate(self, sql: str, params: Params = ()) -> Iterator[sqlite3.Row]:
        """Run one SELECT and yield its rows as they come, for results that need not fit into memory.

        Raises:
            CatalogError: The database failed.
        """
        try:
            with self._borrowed() as connection:
                yield from connection.execute(sql, params)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write in one transaction: all of the block or nothing.

        Raises:
            CatalogError: The database failed; nothing of the block was kept.
        """
        try:
            with self._writing, self._borrowed() as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def compact(self) -> None:
        """Write the file anew without what was deleted, and empty its log; what was deleted is in neither afterwards.

        Raises:
            CatalogError: The database failed, or another process is reading it.
        """
        try:
            with self._writing, self._borrowed() as connection:
                connection.execute("VACUUM")
                busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            raise self._failed(error) from error
        if busy:
            raise CatalogError(
                f"{self.path.name} is being read by another process", hint="stop the server, and run it again"
            )

    def close(self) -> None:
        """Close all connections; one that is in use is closed by its user's end."""
        self._closed = True
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def _failed(self, error: sqlite3.Error) -> CatalogError:
        has_no_room = getattr(error, "sqlite_errorname", "") in _NO_ROOM
        return CatalogError(f"{self.path.name}: {error}", hint=_NO_ROOM_HINT if has_no_room else _HINT)

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        """A connection for the block alone: there are never more than blocks that run at once, however many threads."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._connect()
        try:
            yield connection
        finally:
            if self._closed:
                connection.close()
            else:
                self._idle.put(connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        self._use_wal(connection)
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    @staticmethod
    def _use_wal(connection: sqlite3.Connection) -> None:
        """Switch to WAL; the switch does not wait for other processes that open the new file as well, so it is repeated."""
        deadline = time.monotonic() + _BUSY_TIMEOUT_S
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def _migrate(self, package: str) -> None:
        scripts = {
            int(match[1]): file.read_text(encoding="utf-8")
            for file in resources.files(package).iterdir()
            if (match := _MIGRATION.fullmatch(file.name))
        }
        newest = max(scripts)
        version = self._version()
        if version > newest:
            self.close()
            raise CatalogVersionError(
                f"{self.path} has version {version}, this llmapp knows {newest}",
                hint="upgrade llmapp: pip install -U llmapp",
            )
        if version == newest:
            return
        with self.transaction() as connection:
            # Asked again: another process may have migrated while this one waited for the lock.
            done = connection.execute("PRAGMA user_version").fetchone()[0]
            for number in range(done + 1, newest + 1):
                for statement in _statements(scripts[number]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")

    def _version(self) -> int:
        version: int = self.read("PRAGMA user_version")[0][0]
        return version


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would commit the transaction that they must share."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
