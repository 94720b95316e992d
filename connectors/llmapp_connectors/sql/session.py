"""One SELECT that only reads: streamed, in a transaction that is never committed, its errors told without the password.

Knows what each database calls a transaction that may only read. To any other database than those named here the statement is
sent in an ordinary transaction, which is rolled back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

from llmapp.connector import (
    ConnectorAuthError,
    ConnectorError,
    MissingDependencyError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from llmapp.errors import LLMAppError

if TYPE_CHECKING:
    from sqlalchemy import URL, RowMapping, Select

_FETCH_ROWS = 500
# The host takes its time between two rows, so what would cut off a slow reader is put off, for this session only.
_MYSQL = ("SET SESSION net_write_timeout = 86400", "SET SESSION TRANSACTION READ ONLY", "START TRANSACTION READ ONLY")
_READ_ONLY = {
    "sqlite": ("PRAGMA query_only = ON",),
    "postgresql": (
        "SET idle_in_transaction_session_timeout = 0",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",  # also for what would follow a COMMIT within the query
        "SET TRANSACTION READ ONLY",
    ),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "oracle": ("SET TRANSACTION READ ONLY",),
}
_SAID = {  # what a driver says, after its SQLSTATE if it has one
    ConnectorAuthError: (
        r"^28|^42501|authentication|access denied|permission denied|login failed|not authorized|role .* does not exist",
        "check user and password of the url, and what the user may read",
    ),
    SourceNotFoundError: (
        r"^3D000|^42P01|^42703|no such (table|column)|unknown (database|column)|doesn't exist|does not exist|invalid object name",
        "check the names of database, table and columns",
    ),
    SourceUnavailableError: (
        r"^08|^57P|^53|connect|timeout|timed out|locked|gone away|closed|network|translate host|starting up|too many",
        "see whether the database is up and can be reached, then run again",
    ),
}


def rows(url: SecretStr, select: Select[Any]) -> Iterator[RowMapping]:
    """Yield the rows of `select` as the database sends them."""
    import sqlalchemy

    address = sqlalchemy.make_url(url.get_secret_value())
    _refuse_to_create(address)
    engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        for command in _READ_ONLY.get(engine.dialect.name, ()):
            connection.exec_driver_sql(command)
        with connection.execution_options(yield_per=_FETCH_ROWS).execute(select) as result:
            yield from result.mappings()


def _refuse_to_create(address: URL) -> None:
    """SQLite makes the database that it does not find."""
    path = address.database or ":memory:"
    if address.get_backend_name() == "sqlite" and not path.startswith((":memory:", "file:")) and not Path(path).is_file():
        raise SourceNotFoundError(f"there is no database {path}", hint="check the path in the url")


@contextmanager
def told(url: SecretStr) -> Iterator[None]:
    """Turn what goes wrong inside into a `ConnectorError` that does not repeat the password."""
    try:
        import sqlalchemy  # noqa: F401
    except ModuleNotFoundError:
        raise MissingDependencyError("sqlalchemy", extra="sql") from None
    try:
        yield
    except LLMAppError:
        raise
    except ModuleNotFoundError as error:
        hint = "install the driver that the url names, or name one that is installed"
        raise ConnectorError(f"the driver {error.name} is not installed", hint=hint) from None
    except Exception as error:  # noqa: BLE001 - drivers raise what they like
        raise _meaning(error, url) from None  # the driver's own error may hold the url


def _meaning(error: Exception, url: SecretStr) -> ConnectorError:
    origin = getattr(error, "orig", None) or error
    text = _without_secrets(" ".join(f"{getattr(origin, 'sqlstate', None) or ''} {origin}".split()), url)
    for kind, (pattern, hint) in _SAID.items():
        if re.search(pattern, text, re.IGNORECASE):
            return kind(text[:300], hint=hint)
    return ConnectorError(f"the database refused: {text[:300]}", hint="check the url, and try the query as this user")


def _without_secrets(text: str, url: SecretStr) -> str:
    import sqlalchemy

    secrets = {url.get_secret_value()}
    try:
        address = sqlalchemy.make_url(url.get_secret_value())
    except sqlalchemy.exc.ArgumentError:
        pass
    else:
        values = [
            address.password,
            *(
                value
                for name, value in address.query.items()
                if re.search("pass|pwd|secret|token|key|connect", name, re.IGNORECASE)
            ),
        ]
        secrets.update(
            form(value) for value in values if isinstance(value, str) and value for form in (str, quote, quote_plus)
        )
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
