"""PostgreSQL as the database, for server processes and ingesters on several machines that share one deployment.

A transaction begins by taking one advisory lock, so there is one writer at a time, as with SQLite; readers never wait.
All transactions of a process run on one connection, which also holds the locks of the process: when it is lost, so are
they, and what is written under them fails instead of going on beside the next holder.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from llmapp.catalog.database import BUSY_TIMEOUT_S, Database, Params, Row
from llmapp.catalog.lock import ProcessLock
from llmapp.catalog.postgres_connection import Error, PostgresConnection, failure, shown
from llmapp.errors import CatalogError

_KEY = "hashtext('llmapp ' || current_schema()), hashtext('{}')"
"""An advisory lock is two numbers: the first stands for the catalog, of which a schema holds one, the second for its purpose."""
_BEGIN = """
    BEGIN;
    SET LOCAL lock_timeout = '{timeout:g}s';
    SELECT pg_advisory_xact_lock({key})
"""
_HOLDER = """
    SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND datname = current_database()
    AND classid::bigint = hashtext('llmapp ' || current_schema())::bigint & 4294967295
    AND objid::bigint = hashtext(:name)::bigint & 4294967295
"""
_OLD_READERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND age(backend_xmin) >= age(CAST(:now AS xid))
"""
"""Transactions that still see what was there before `:now`; as long as there are any, nothing is really removed."""
_POLL_S = 0.1


class PostgresDatabase(Database):
    """A database, or one schema of it, on a server. A pooler between must keep sessions, for locks belong to them."""

    _failures = Error

    def __init__(self, url: str, *, migrations: str, room: Literal["catalog", "ledger"] = "catalog") -> None:
        """Connect, and make the tables where there are none.

        Args:
            url: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``; a schema other than ``public`` is named by
                ``?options=-csearch_path%3DNAME``.
            migrations: Package that holds the numbered SQL files.
            room: What is kept; each has tables, a version and a writer of its own, so that none waits for the other.

        Raises:
            CatalogVersionError: The tables were written by a newer llmapp.
            CatalogError: The server cannot be reached, or lets the user not in.
        """
        super().__init__()
        self._url = url
        self._version_table = "schema_version" if room == "catalog" else f"{room}_version"
        writing = _KEY.format("writing" if room == "catalog" else f"writing {room}")
        self._begin_script = _BEGIN.format(timeout=BUSY_TIMEOUT_S, key=writing)
        self._own: PostgresConnection | None = None
        self._held: dict[str, AdvisoryLock] = {}
        try:
            self._migrate(migrations)
        except Error as error:
            self.close()
            raise self._failed(error) from None  # the chain may show the address with its password
        except CatalogError:
            self.close()
            raise

    @property
    def name(self) -> str:
        """The address, without the password."""
        return shown(self._url)

    def lock(self, name: str, *, purpose: str, wait_s: float) -> AdvisoryLock:
        """A lock of the server; see `Database.lock`."""
        return AdvisoryLock(self, name, purpose=purpose, wait_s=wait_s)

    def close(self) -> None:
        """Close all connections, and so give back all locks."""
        super().close()
        with self._writing:
            if self._own is not None:
                self._own.close()
                self._own = None
            self._held.clear()

    def take(self, name: str, lock: AdvisoryLock) -> bool:
        """Take the lock of that name for `lock`; False when another object or process holds it.

        Raises:
            CatalogError: The database failed.
        """
        try:
            with self._writing:
                if self._is_lost() and self._held.get(name) is lock:
                    del self._held[name]
                return self._take(name, lock)
        except Error as error:
            raise self._failed(error) from error

    def _take(self, name: str, lock: AdvisoryLock) -> bool:
        with self._writer() as connection:
            if name in self._held:
                return self._held[name] is lock
            taken = bool(connection.execute(f"SELECT pg_try_advisory_lock({_KEY.format(name)})").fetchone()[0])
            if taken:
                self._held[name] = lock
            return taken

    def holds(self, name: str, lock: AdvisoryLock) -> bool:
        """Whether `lock` holds the lock of that name, and the connection that it belongs to is there."""
        return self._held.get(name) is lock and not self._is_lost()

    def give_back(self, name: str, lock: AdvisoryLock) -> None:
        """Give the lock of that name back, if it is `lock` that holds it; one that was lost is only forgotten."""
        with self._writing, suppress(Error):
            if self._held.get(name) is not lock:
                return
            del self._held[name]
            if self._own is not None and not self._is_lost():
                self._own.execute(f"SELECT pg_advisory_unlock({_KEY.format(name)})")

    def holder(self, name: str) -> str:
        """The process that holds the lock of that name, with its machine."""
        found = self.read(_HOLDER, {"name": name})
        return str(found[0][0]) if found else "another process"

    def _failed(self, error: Error) -> CatalogError:
        return failure(error, self._url)

    def _connect(self) -> PostgresConnection:
        return PostgresConnection(self._url)

    @contextmanager
    def _borrowed(self) -> Iterator[PostgresConnection]:
        """As `Database._borrowed`, without those that the server has hung up while they were idle."""
        with super()._borrowed() as connection:
            if connection.is_lost:
                connection.reopen()
            yield connection

    @contextmanager
    def _writer(self) -> Iterator[PostgresConnection]:
        if self._own is None:
            self._own = self._connect()
        elif self._is_lost():
            if self._held:
                raise CatalogError(
                    f"{self.name}: the connection was lost, and with it the lock of {', '.join(self._held)}",
                    hint="run it again; what was committed is kept",
                )
            self._own.reopen()
        yield self._own

    def _is_lost(self) -> bool:
        return self._own is not None and self._own.is_lost

    def _begin(self, connection: PostgresConnection) -> None:
        connection.run_script(self._begin_script)

    def _stream(self, connection: PostgresConnection, sql: str, params: Params) -> Iterable[Row]:
        return connection.stream(sql, params)

    def _rewrite(self, connection: PostgresConnection) -> None:
        now = connection.execute("SELECT CAST(pg_current_xact_id() AS TEXT)").fetchone()[0]
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while connection.execute(_OLD_READERS, {"now": str(int(now) % 2**32)}).fetchone()[0]:
            if time.monotonic() > deadline:
                raise CatalogError(
                    f"{self.name} is being read by another process", hint="stop what reads for so long, and run it again"
                )
            time.sleep(_POLL_S)
        tables = connection.execute("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema()")
        connection.run_script(f"SET lock_timeout = '{BUSY_TIMEOUT_S:g}s'")
        try:
            connection.run_script(f"VACUUM (FULL) {', '.join(row[0] for row in tables.fetchall())}")
        finally:
            connection.run_script("RESET lock_timeout")

    def _version(self, connection: PostgresConnection) -> int:
        table = self._version_table
        if connection.execute(f"SELECT to_regclass('{table}')").fetchone()[0] is None:
            return 0
        return int(connection.execute(f"SELECT version FROM {table}").fetchone()[0])  # noqa: S608 - a name of ours

    def _set_version(self, connection: PostgresConnection, version: int) -> None:
        connection.execute(f"UPDATE {self._version_table} SET version = :version", {"version": version})  # noqa: S608 - as above

    def _run_script(self, connection: PostgresConnection, script: str) -> None:
        connection.run_script(script)


class AdvisoryLock(ProcessLock):
    """A lock of the server; it is free as soon as its holder's connection is gone."""

    def __init__(self, database: PostgresDatabase, name: str, *, purpose: str, wait_s: float) -> None:
        """Name the lock, what it guards, and how long `acquire` waits for another holder. Seconds."""
        super().__init__(purpose, wait_s)
        self._database = database
        self._name = name
        self._times = 0

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._times > 0 and self._database.holds(self._name, self)

    def try_acquire(self) -> bool:
        """Take it if it is free; False when another process or object holds it.

        Raises:
            CatalogError: The database failed.
        """
        times = self._times if self.held else 0
        taken = self._database.take(self._name, self)
        self._times = times + 1 if taken else self._times
        return taken

    def release(self) -> None:
        """Give it back once; does nothing when it is not held."""
        if self._times:
            self._times -= 1
            if not self._times:
                self._database.give_back(self._name, self)

    def _holder(self) -> str:
        return self._database.holder(self._name)
