"""SQLite as the database: one file in WAL mode, for the processes of one machine.

Writers of one process queue; for those of other processes they wait up to `BUSY_TIMEOUT_S`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from llmapp.catalog.database import BUSY_TIMEOUT_S, NO_ROOM_HINT, Database, Params, Row
from llmapp.catalog.lock import FileLock
from llmapp.errors import CatalogError

_HINT = "check that it can be written; if it is damaged, move it away and ingest again"
_NO_ROOM = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE")
"""The second without a detail comes where a statement of a migration cannot write; all other failures of a disk have one."""


class SQLiteDatabase(Database):
    """One SQLite file."""

    _failures = sqlite3.Error

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
        super().__init__()
        self.path = path
        self._synchronous = synchronous
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._migrate(migrations)
        except OSError as error:
            raise CatalogError(f"cannot open {path}: {error}", hint=_HINT) from error
        except sqlite3.Error as error:
            raise self._failed(error) from error

    @property
    def name(self) -> str:
        """The path of the file."""
        return str(self.path)

    def lock(self, name: str, *, purpose: str, wait_s: float) -> FileLock:
        """A lock in a file beside the database; see `Database.lock`."""
        return FileLock(self.path.with_name(f"{name}.lock"), purpose=purpose, wait_s=wait_s)

    def _failed(self, error: sqlite3.Error) -> CatalogError:
        has_no_room = getattr(error, "sqlite_errorname", "") in _NO_ROOM
        return CatalogError(f"{self.path.name}: {error}", hint=NO_ROOM_HINT if has_no_room else _HINT)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        self._use_wal(connection)
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    @staticmethod
    def _use_wal(connection: sqlite3.Connection) -> None:
        """Switch to WAL; the switch does not wait for other processes that open the new file as well, so it is repeated."""
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def _begin(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")

    def _stream(self, connection: sqlite3.Connection, sql: str, params: Params) -> Iterable[Row]:
        return connection.execute(sql, params)

    def _rewrite(self, connection: sqlite3.Connection) -> None:
        connection.execute("VACUUM")
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise CatalogError(
                f"{self.path.name} is being read by another process", hint="stop the server, and run it again"
            )

    def _version(self, connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version

    def _set_version(self, connection: sqlite3.Connection, version: int) -> None:
        connection.execute(f"PRAGMA user_version = {version}")

    def _run_script(self, connection: sqlite3.Connection, script: str) -> None:
        for statement in _statements(script):
            connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would commit the transaction that they must share."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
