"""What a server answered, and what its status and headers mean. Knows nothing of connections."""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import httpx2
from pydantic import JsonValue

from llmapp.errors import ConnectorAuthError, ConnectorError, SourceNotFoundError, SourceUnavailableError

_TRANSIENT = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server answered, whatever its status."""

    url: str
    """The final address, after redirects."""
    status: int
    headers: Mapping[str, str]
    """By lower-case name; those that came more than once are joined by commas."""
    body: bytes
    """Decompressed."""
    media_type: str | None
    """Lower case, without parameters; None when the server did not say."""

    def json(self) -> JsonValue:
        """The body as JSON.

        Raises:
            ConnectorError: It is none.
        """
        try:
            return cast("JsonValue", json.loads(self.body, parse_constant=_no_number))
        except (ValueError, RecursionError):  # the error of the parser holds the body
            raise ConnectorError(
                f"{shown(self.url)} answered {self.media_type or 'something'} that is no JSON",
                hint="check the address and the credentials of the source",
            ) from None

    def checked(self) -> Fetched:
        """This answer, when it is one: a 2xx, or the 304 of a conditional request.

        Raises:
            ConnectorAuthError: 401 or 403.
            SourceNotFoundError: 404 or 410.
            SourceUnavailableError: 408, 425, 429 or 5xx; it says when to try again if the server did.
            ConnectorError: Any other status.
        """
        message = f"{shown(self.url)} answered {self.status}"
        match self.status:
            case status if 200 <= status < 300 or status == 304:  # noqa: PLR2004
                return self
            case 401 | 403:
                raise ConnectorAuthError(message, hint="check the credentials of the source")
            case 404 | 410:
                raise SourceNotFoundError(message, hint="check the address of the source")
            case status if is_transient(status):
                raise SourceUnavailableError(message, hint="try again later", retry_after_s=retry_after_s(self.headers))
            case _:
                raise ConnectorError(message)


def shown(url: httpx2.URL | str) -> str:
    """The address as messages name it: without query, user and password."""
    return str(httpx2.URL(url).copy_with(userinfo=b"", query=None, fragment=None))


def is_transient(status: int) -> bool:
    """Whether the same request may be answered differently a little later."""
    return status in _TRANSIENT or status >= 500  # noqa: PLR2004 - the server's own failures


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds until the time that a server names; None when it names none."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return max(0.0, zoned.timestamp() - time.time())


def _no_number(name: str) -> None:
    raise ValueError(name)
