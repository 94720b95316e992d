"""The port to a database: connections, transactions and numbered migrations, the same for SQLite and PostgreSQL.

Knows nothing of what is stored. `llmapp.catalog.sqlite` keeps one file, `llmapp.catalog.postgres` talks to a server.
Statements are written once, in what both speak: named parameters, `ON CONFLICT`, `RETURNING`, temporary tables, lists as
`json_each`. There is one writer at a time in either, so a transaction sees all that was committed before it. A statement
that only reads sees one state, two statements may see two.
"""

from __future__ import annotations

import queue
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

from llmapp.errors import CatalogError, CatalogVersionError

if TYPE_CHECKING:
    from llmapp.catalog.lock import ProcessLock

NO_ROOM_HINT = "free some disk space, and run it again; what was committed is kept"
BUSY_TIMEOUT_S = 10.0
"""A writer waits so long for those of other processes."""
_MIGRATION = re.compile(r"(\d{4})_\w+\.sql")

Params: TypeAlias = Mapping[str, object]
_NONE: Params = {}


class Row(Protocol):
    """One row: by position, by name, as a sequence, or as a mapping for `dict`."""

    def __getitem__(self, key: Any, /) -> Any:
        """The value of a column, by its position or its name."""

    def __iter__(self) -> Iterator[Any]:
        """The values, in order."""

    def keys(self) -> Iterable[str]:
        """The names of the columns, in order."""


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """Rows that were written."""

    def fetchone(self) -> Any:
        """The next row, a `Row`; None when there is none."""

    def fetchall(self) -> list[Any]:
        """All rows that are left, each a `Row`."""


class Connection(Protocol):
    """What a transaction writes with."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open that can be rolled back."""

    def execute(self, sql: str, params: Params = ..., /) -> Cursor:
        """Run one statement with named parameters."""

    def executemany(self, sql: str, params: Iterable[Params], /) -> object:
        """Run one statement for each of `params`."""

    def close(self) -> None:
        """Close it; an open transaction is rolled back."""


class Database(ABC):
    """A database with a pool of connections, brought to its newest version when opened. Safe to use from several threads."""

    _failures: ClassVar[type[Exception]]
    """What the driver raises."""

    def __init__(self) -> None:
        """Start with no connection."""
        self._writing = threading.Lock()
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        self._closed = False

    @property
    @abstractmethod
    def name(self) -> str:
        """What errors and `llmapp status` call it; never with a password."""

    def read(self, sql: str, params: Params = _NONE) -> list[Row]:
        """Run one SELECT and return all its rows.

        Raises:
            CatalogError: The database failed.
        """
        try:
            with self._borrowed() as connection:
                rows: list[Row] = connection.execute(sql, params).fetchall()
                return rows
        except self._failures as error:
            raise self._failed(error) from error

    def iterate(self, sql: str, params: Params = _NONE) -> Iterator[Row]:
        """Run one SELECT and yield its rows as they come, for results that need not fit into memory.

        Raises:
            CatalogError: The database failed.
        """
        try:
            with self._borrowed() as connection:
                yield from self._stream(connection, sql, params)
        except self._failures as error:
            raise self._failed(error) from error

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Write in one transaction, alone among all processes: all of the block or nothing.

        Raises:
            CatalogError: The database failed; nothing of the block was kept.
        """
        try:
            with self._writing, self._writer() as connection:
                try:
                    self._begin(connection)
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
        except self._failures as error:
            raise self._failed(error) from error

    def compact(self) -> None:
        """Write the tables anew without what was deleted, and empty what the database keeps beside them.

        Raises:
            CatalogError: The database failed, or another process is reading it.
        """
        try:
            with self._writing, self._borrowed() as connection:
                self._rewrite(connection)
        except self._failures as error:
            raise self._failed(error) from error

    @abstractmethod
    def lock(self, name: str, *, purpose: str, wait_s: float) -> ProcessLock:
        """A lock that one process of all that use this database can hold.

        Args:
            name: Its name, one word.
            purpose: What it guards, for messages.
            wait_s: Seconds that its `acquire` waits for another holder.
        """

    def close(self) -> None:
        """Close all connections; one that is in use is closed by its user's end."""
        self._closed = True
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    @contextmanager
    def _borrowed(self) -> Iterator[Any]:
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

    def _writer(self) -> Any:
        """A context with the connection that a transaction runs on."""
        return self._borrowed()

    def _migrate(self, package: str) -> None:
        scripts = {
            int(match[1]): file.read_text(encoding="utf-8")
            for file in resources.files(package).iterdir()
            if (match := _MIGRATION.fullmatch(file.name))
        }
        newest = max(scripts)
        with self._borrowed() as connection:
            version = self._version(connection)
        if version > newest:
            self.close()
            raise CatalogVersionError(
                f"{self.name} has version {version}, this llmapp knows {newest}",
                hint="upgrade llmapp: pip install -U llmapp",
            )
        if version == newest:
            return
        with self.transaction() as connection:
            # Asked again: another process may have migrated while this one waited for its turn.
            done = self._version(connection)
            for number in sorted(number for number in scripts if number > done):
                self._run_script(connection, scripts[number])
                self._set_version(connection, number)

    @abstractmethod
    def _failed(self, error: Any) -> CatalogError:
        """The error of the driver in our words."""

    @abstractmethod
    def _connect(self) -> Any:
        """A new connection."""

    @abstractmethod
    def _begin(self, connection: Any) -> None:
        """Begin a transaction that is the only one to write, and that sees what those before it have committed."""

    @abstractmethod
    def _stream(self, connection: Any, sql: str, params: Params) -> Iterable[Row]:
        """The rows of a statement as they come."""

    @abstractmethod
    def _rewrite(self, connection: Any) -> None:
        """Write the tables anew."""

    @abstractmethod
    def _version(self, connection: Any) -> int:
        """Number of the last migration; 0 in an empty database."""

    @abstractmethod
    def _set_version(self, connection: Any, version: int) -> None:
        """Note the last migration."""

    @abstractmethod
    def _run_script(self, connection: Any, script: str) -> None:
        """Run the statements of a migration within the transaction."""
