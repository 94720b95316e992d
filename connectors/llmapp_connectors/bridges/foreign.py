"""Code of others that a bridge runs: found by its import path, told when it fails, its values made plain.

The import path comes from llmapp.toml, and so from the operator. What the code says may hold a secret that it was given:
errors are told without its words then, and values with the secret struck out.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, time
from decimal import Decimal
from math import isfinite
from pathlib import PurePath
from typing import Annotated
from uuid import UUID

from pydantic import Field, JsonValue, SecretStr

from llmapp.connector import ConnectorAuthError, ConnectorError, SourceUnavailableError
from llmapp.errors import LLMAppError

ImportPath = Annotated[str, Field(pattern=r"^\w+(\.\w+)*:\w+$")]
"""``package.module:name``"""
Secrets = Mapping[str, SecretStr]
_SHORTEST_SECRET_CHARS = 4
"""A shorter one stands in a text by chance."""
_LONGEST_WORDS_CHARS = 200
_REFUSED = (401, 403)
_LATER = (408, 425, 429, 500, 502, 503, 504)


def imported(path: str) -> object:
    """What stands at ``package.module:name``.

    Raises:
        ConnectorError: There is nothing, or its module cannot be imported.
    """
    try:
        return pkgutil.resolve_name(path)
    except (Exception, SystemExit) as error:  # a module may do anything when it is imported
        hint = "install its package where llmapp is installed, or put its folder on PYTHONPATH"
        raise ConnectorError(f"{path} cannot be imported: {_words(error)}", hint=hint) from error


def keywords(arguments: Mapping[str, JsonValue], secrets: Secrets) -> dict[str, object]:
    """What the code is called with; a secret comes before an argument of its name."""
    return {**arguments, **{name: secret.get_secret_value() for name, secret in secrets.items()}}


@contextmanager
def told(path: str, secrets: Secrets) -> Iterator[None]:
    """Turn what the code raises into errors of a connector.

    Raises:
        ConnectorAuthError: It was refused.
        SourceUnavailableError: It had no answer, or not now.
        ConnectorError: Anything else.
    """
    try:
        yield
    except LLMAppError:
        raise
    except Exception as error:  # noqa: BLE001 - it may raise anything
        raise _connector_error(path, error, secrets) from (None if secrets else error)


def plain(value: object, secrets: Secrets) -> JsonValue:
    """The value as JSON, the same in every run: times and numbers as text, sets in order, anything unknown as null."""
    match value:
        case None | bool() | int():
            found: JsonValue = value
        case str():
            found = _struck(value, secrets).encode(errors="backslashreplace").decode()
        case float():
            found = value if isfinite(value) else None
        case Mapping():
            found = {str(plain(key, secrets)): plain(part, secrets) for key, part in value.items()}
        case list() | tuple():
            found = [plain(part, secrets) for part in value]
        case set() | frozenset():
            found = sorted((plain(part, secrets) for part in value), key=repr)
        case date() | time():
            found = value.isoformat()
        case Decimal() | UUID() | PurePath():
            found = _struck(str(value), secrets)
        case _:
            found = None
    return found


def _struck(text: str, secrets: Secrets) -> str:
    for secret in secrets.values():
        if len(secret.get_secret_value()) >= _SHORTEST_SECRET_CHARS:
            text = text.replace(secret.get_secret_value(), "***")
    return text


def _connector_error(path: str, error: Exception, secrets: Secrets) -> ConnectorError:
    chain = list(_chain(error))
    statuses = [getattr(getattr(one, "response", None), "status_code", None) for one in chain]
    status = next((status for status in statuses if isinstance(status, int)), None)
    words = type(error.__cause__ or error).__name__ if secrets else _words(error.__cause__ or error)
    message = f"{path} failed: {words}" + (f" (status {status})" if status else "")
    if status in _REFUSED:
        return ConnectorAuthError(message, hint="check the secrets of the source")
    if status in _LATER or any(isinstance(one, ConnectionError | TimeoutError) for one in chain):
        return SourceUnavailableError(message, hint="run again later")
    return ConnectorError(message, hint="check its arguments; its own words are left out where it holds secrets")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _words(error: BaseException) -> str:
    line = " ".join(str(error).split())[:_LONGEST_WORDS_CHARS]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
