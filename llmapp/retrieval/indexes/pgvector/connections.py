"""Connections to a PostgreSQL that holds vectors: kept, each for one call at a time, and every failure as one of ours."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmapp.errors import ConfigError, IndexUnavailableError, MissingDependencyError

if TYPE_CHECKING:
    import psycopg

_CONNECT_S = 5
_SCHEMES = {"postgresql", "postgres", "postgresql+psycopg"}
_EF_SEARCH = 100
"""Neighbours that a search keeps in view, as Chroma does; pgvector's own 40 finds less. Beyond them the scan goes on."""
_REBUILD = "run llmapp index rebuild; it needs no embedding, and exact search serves meanwhile"
_SERVER = "see that the server runs and index.pgvector_url is right; exact search serves meanwhile"
_OLDEST = (0, 8, 2)
_EXTENSION = "install pgvector 0.8.2 or newer on the server, and let a superuser run CREATE EXTENSION vector"


class Connections:
    """Connections to one database, opened when they are needed. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        """Name the database; nothing is imported or opened yet.

        Args:
            url: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``.

        Raises:
            ConfigError: It is no such address.
        """
        scheme, _, rest = url.partition("://")
        if scheme not in _SCHEMES or not _is_address(url):
            raise ConfigError(
                "index.pgvector_url is not postgresql://HOST:PORT/DATABASE",
                hint="one with a password comes from the environment: LLMAPP_INDEX__PGVECTOR_URL",
            )
        self._url = f"postgresql://{rest}"
        self._lock = threading.Lock()
        self._idle: queue.LifoQueue[_Held] = queue.LifoQueue()
        self._generation = 0

    @contextmanager
    def borrowed(self, *, deadline_s: float) -> Iterator[psycopg.Connection[Any]]:
        """A connection for the block alone, in which a statement may take so many seconds.

        Raises:
            MissingDependencyError: psycopg or pgvector is not installed.
            IndexUnavailableError: The server cannot be reached, or a statement of the block failed or took too long.
        """
        errors = _imported().errors
        try:
            held = self._take()
            try:
                held.allow(deadline_s)
                yield held.connection
            except BaseException:
                held.connection.close()
                raise
            self._give_back(held)
        except errors.QueryCanceled as error:
            raise IndexUnavailableError(f"the vector index has not answered for {deadline_s:g} s", hint=_SERVER) from error
        except errors.UndefinedTable as error:
            raise IndexUnavailableError("the vector index is missing", hint=_REBUILD) from error
        except (errors.UndefinedFile, errors.FeatureNotSupported, errors.InsufficientPrivilege) as error:
            raise IndexUnavailableError(f"the vector index failed: {_one_line(error)}", hint=_EXTENSION) from error
        except errors.OperationalError as error:
            self.close()  # when the server was started anew, all connections are dead
            raise IndexUnavailableError(f"the vector index cannot be reached: {_one_line(error)}", hint=_SERVER) from error
        except errors.Error as error:
            raise IndexUnavailableError(f"the vector index failed: {_one_line(error)}", hint=_REBUILD) from error

    def close(self) -> None:
        """Close what is idle; what is in use is closed at the end of its block."""
        with self._lock:
            self._generation += 1
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().connection.close()

    def _take(self) -> _Held:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return _Held(self._connect(), self._generation)

    def _give_back(self, held: _Held) -> None:
        with self._lock:
            if held.generation == self._generation:
                self._idle.put(held)
                return
        held.connection.close()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = _imported().connect(self._url, autocommit=True, connect_timeout=_CONNECT_S, application_name="llmapp")
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection  # type: ignore[no-any-return]


@dataclass(slots=True)
class _Held:
    connection: psycopg.Connection[Any]
    generation: int
    deadline_s: float | None = None

    def allow(self, deadline_s: float) -> None:
        """Let a statement take so many seconds."""
        if deadline_s != self.deadline_s:
            self.connection.execute(f"SET statement_timeout = {int(deadline_s * 1000)}")
            self.deadline_s = deadline_s


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Teach a connection the type `vector` and how to search; nothing while the database does not know it either."""
    from pgvector.psycopg.vector import register_vector_info
    from psycopg.types import TypeInfo

    if (info := TypeInfo.fetch(connection, "vector")) is None:
        return
    register_vector_info(connection, info)
    version = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    if version is not None and is_too_old(version[0]):
        raise IndexUnavailableError(f"pgvector {version[0]} is too old", hint=_EXTENSION)
    connection.execute(f"SET hnsw.ef_search = {_EF_SEARCH}")
    connection.execute("SET hnsw.iterative_scan = strict_order")


def is_too_old(version: str) -> bool:
    """Whether an extension of this version lacks iterative scans, which came with 0.8, or has CVE-2026-3172, mended in 0.8.2."""
    return tuple(map(int, re.findall(r"\d+", version)[:3])) < _OLDEST


def _imported() -> Any:
    try:
        import pgvector  # noqa: F401 - see that it is there
        import psycopg
    except ImportError as error:
        raise MissingDependencyError(error.name or "psycopg", extra="pgvector") from error
    return psycopg


def _is_address(url: str) -> bool:
    try:
        _ = urlsplit(url).port
    except ValueError:
        return False
    return True


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
