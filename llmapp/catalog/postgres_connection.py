"""A connection to PostgreSQL that takes the statements of the catalog as they are. The catalog's only door to psycopg.

What differs from SQLite is bridged here and in the first migration, which gives PostgreSQL the few functions of SQLite
that statements use (`json_each`, `json_group_array`, `instr`).
"""

from __future__ import annotations

import os
import re
import selectors
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from llmapp.catalog.database import NO_ROOM_HINT, Cursor, Params, Row
from llmapp.errors import CatalogError, MissingDependencyError

try:
    import psycopg
except ImportError as error:
    raise MissingDependencyError("psycopg", extra="postgres") from error

_CONNECT_TIMEOUT_S = 10
_SILENT_S = 30
"""After so many seconds without a word from the server it is asked whether it is still there."""
_STREAMED_ROWS = 500
_DEFAULTS = {
    "connect_timeout": _CONNECT_TIMEOUT_S,
    "keepalives_idle": _SILENT_S,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "[^"]*" | --[^\n]* | ::\w+ | :(?P<name>[A-Za-z_]\w*) | (?P<integer>\bINTEGER\b) | %""", re.VERBOSE
)
_TEMPORARY = re.compile(r"\s*CREATE\s+TEMP\s+TABLE\s+IF\s+NOT\s+EXISTS\s+(?P<name>\w+)")
_HINTS = {
    "28P01": "check user and password; a password comes from LLMAPP_CATALOG_URL, PGPASSWORD or ~/.pgpass",
    "28000": "check the user, and what pg_hba.conf of the server lets in",
    "3D000": "create the database, or name another one in catalog_url",
    "3F000": "create the schema that catalog_url names",
    "42501": "the user of catalog_url must own the schema and its tables",
    "53100": NO_ROOM_HINT,
    "53300": "raise max_connections of the server, or run fewer processes",
    "55P03": "another process holds the tables; run it again when it has ended",
}
_HINT = "see the log of the server; what was committed is kept"
_UNREACHABLE = "see that the server runs and that catalog_url names it; what was committed is kept"
Error = psycopg.Error


class PostgresConnection:
    """One connection; every statement outside a transaction is one of its own."""

    def __init__(self, url: str) -> None:
        """Connect.

        Raises:
            Error: The server cannot be reached, or lets nobody in; without the password.
        """
        self._url = url
        self._raw = _connect(url)
        self._temporary: set[str] = set()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open that can be rolled back."""
        return not self._raw.closed and self._raw.info.transaction_status != psycopg.pq.TransactionStatus.IDLE

    @property
    def is_lost(self) -> bool:
        """Whether it is closed, or the server has hung up: an idle connection has nothing to read but the end."""
        if self._raw.closed:
            return True
        with selectors.DefaultSelector() as selector:
            selector.register(self._raw.pgconn.socket, selectors.EVENT_READ)
            return bool(selector.select(timeout=0))

    def reopen(self) -> None:
        """Connect again in the place of a connection that is lost.

        Raises:
            Error: As when it was made.
        """
        self._raw.close()
        self._raw = _connect(self._url)
        self._temporary.clear()

    def execute(self, sql: str, params: Params | None = None) -> Cursor:
        """Run one statement with named parameters."""
        if found := _TEMPORARY.match(sql):
            self._make_temporary(sql, found["name"])
        return self._raw.execute(_query(sql), params or {})

    def _make_temporary(self, sql: str, name: str) -> None:
        """Make a temporary table of one column that is known as small.

        Of one that was never analysed 2,550 rows are assumed, and to join them all chunks are read for each document.
        """
        if name not in self._temporary:
            self._raw.execute(_query(sql))
            self.run_script(f"INSERT INTO {name} VALUES ('0'); ANALYZE {name}; DELETE FROM {name}")  # noqa: S608 - a name of ours
            self._temporary.add(name)

    def executemany(self, sql: str, params: Iterable[Params]) -> None:
        """Run one statement for each of `params`."""
        with self._raw.cursor() as cursor:
            cursor.executemany(_query(sql), params)

    def run_script(self, script: str) -> None:
        """Run several statements, as they are written, without parameters."""
        self._raw.execute(script.encode())

    def stream(self, sql: str, params: Params) -> Iterator[Row]:
        """Yield the rows of a SELECT from a cursor of the server, all of one state."""
        with self._raw.transaction(), self._raw.cursor(name="rows") as cursor:
            cursor.itersize = _STREAMED_ROWS
            yield from cursor.execute(_query(sql), params or {})

    def close(self) -> None:
        """Close it; an open transaction is rolled back."""
        self._raw.close()


def _connect(url: str) -> psycopg.Connection[Row]:
    given = {key for key, _ in parse_qsl(urlsplit(url).query)}
    defaults: dict[str, Any] = {key: value for key, value in _DEFAULTS.items() if key not in given}
    name = f"llmapp {socket.gethostname()} {os.getpid()}"
    made = psycopg.connect(_plain(url), autocommit=True, row_factory=_rows, application_name=name, **defaults)
    made.adapters.register_loader("numeric", _NumberLoader)
    return made


class _NumberLoader(psycopg.adapt.Loader):
    """Sums and means as SQLite has them: a sum of whole numbers is one."""

    def load(self, data: psycopg.abc.Buffer) -> int | float:
        text = bytes(data)
        return int(text) if text.lstrip(b"-").isdigit() else float(text)


class _Row:
    """A row like that of sqlite3: by position or name, iterable, and a mapping for `dict`."""

    __slots__ = ("_places", "_values")

    def __init__(self, places: dict[str, int], values: Sequence[Any]) -> None:
        self._places = places
        self._values = values

    def __getitem__(self, key: int | slice | str) -> Any:
        return self._values[self._places[key] if isinstance(key, str) else key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> list[str]:
        """The names of the columns."""
        return list(self._places)


def _rows(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], Row]:
    places = {column.name: place for place, column in enumerate(cursor.description or ())}
    return lambda values: _Row(places, values)


def _query(sql: str) -> bytes:
    return translated(sql).encode()


@lru_cache(maxsize=512)
def translated(sql: str) -> str:
    """A statement in the words of PostgreSQL and psycopg.

    ``:name`` becomes ``%(name)s`` and ``%`` becomes ``%%``, both outside literals and comments for the first. An INTEGER
    is BIGINT, which is what it is in SQLite. A temporary table is emptied at every commit: PostgreSQL never tidies one up
    by itself, and nobody relies on what an earlier transaction has left there.
    """
    sql = _TOKEN.sub(_token, sql)
    if _TEMPORARY.match(sql):
        # An index, emptied, would make it forget what was learnt of its size.
        return f"{sql.replace(' PRIMARY KEY', '')} ON COMMIT DELETE ROWS"
    return sql


def _token(found: re.Match[str]) -> str:
    if found["name"]:
        return f"%({found['name']})s"
    return "BIGINT" if found["integer"] else found[0].replace("%", "%%")


def shown(url: str) -> str:
    """An address as it may be shown: without its password."""
    parts = urlsplit(_plain(url))
    where = f"{parts.username}@" if parts.username else ""
    where += parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host", "")
    return f"postgresql://{where}{parts.path}"


def password_in(url: str) -> str | None:
    """The password that an address carries; None when it carries none."""
    parts = urlsplit(url)
    return unquote(parts.password) if parts.password else dict(parse_qsl(parts.query)).get("password")


def failure(error: psycopg.Error, url: str) -> CatalogError:
    """What has failed, in our words and without the password."""
    text = " ".join(str(error).split()) or type(error).__name__
    if secret := password_in(url):
        text = text.replace(secret, "***")
    return CatalogError(f"{shown(url)}: {text}", hint=_hint(error, text))


def _hint(error: psycopg.Error, text: str) -> str:
    known = _HINTS.get(error.sqlstate or "")
    if known or error.sqlstate or not isinstance(error, psycopg.OperationalError):
        return known or _HINT
    # While a connection is made psycopg does not tell the code of the error.
    if "password" in text:
        return _HINTS["28P01"]
    return _HINTS["3D000"] if 'database "' in text else _UNREACHABLE


def _plain(url: str) -> str:
    return re.sub(r"^postgres(ql)?(\+psycopg)?://", "postgresql://", url)
