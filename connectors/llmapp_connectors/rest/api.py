"""The requests of the `rest` connector: to one server only, and never taking a refusal for an answer."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import cast
from urllib.parse import urljoin, urlsplit

from pydantic import JsonValue

from llmapp.connector import ConnectorAuthError, ConnectorError, SourceUnavailableError
from llmapp.fetching import Fetched, Fetcher
from llmapp_connectors.rest.expressions import is_true, search
from llmapp_connectors.rest.settings import Refusals

_REASON = re.compile(r"[a-z_]{1,60}")
"""A reason that is shown: nothing that could be a token."""


class Api:
    """One API, behind one base address."""

    def __init__(self, fetcher: Fetcher, base_url: str, *, secrets: Mapping[str, str], refusals: Refusals | None) -> None:
        """Ask nothing yet.

        Args:
            fetcher: Carries the requests, and adds the headers.
            base_url: What every path is below.
            secrets: Parameters of every request.
            refusals: How the API says that it failed; None where the status says it.
        """
        self.base_url = base_url
        self._fetcher = fetcher
        self._secrets = secrets
        self._refusals = refusals

    def ask(
        self, url: str, params: Mapping[str, str | int], body: Mapping[str, JsonValue] | None
    ) -> tuple[JsonValue, Mapping[str, str]]:
        """The answer and its headers, by lower-case name; a POST when there is a body, which then takes the parameters.

        Raises:
            ConnectorError: There is no answer, or it is a refusal.
        """
        if body is None:
            fetched = self._fetcher.get(url, params={**params, **self._secrets})
        else:
            fetched = self._fetcher.request("POST", url, params=self._secrets, json={**body, **params})
        answer = _answer(fetched)
        refused = search(self._refusals.at, answer) if self._refusals else None
        if self._refusals and is_true(refused):
            raise _refusal(self._refusals, refused)
        return answer, fetched.headers

    def within(self, url: str, link: str) -> str:
        """The address that a link on `url` leads to, if it may have the credentials.

        Raises:
            ConnectorError: It is on another server.
        """
        try:
            target = urljoin(url, link)
            is_within = _origin(target) == _origin(self.base_url)
        except ValueError:
            is_within = False
        if not is_within:
            raise ConnectorError("the API leads to another server for its next page", hint="check base_url of the source")
        return target


def _answer(fetched: Fetched) -> JsonValue:
    if fetched.status == 403 and (wait_s := _wait_s(fetched.headers)) is not None:  # noqa: PLR2004 - the status Forbidden
        raise SourceUnavailableError("the API takes no more requests for now", hint="run later", retry_after_s=wait_s)
    answer = fetched.checked().json()
    try:  # JSON has lone surrogates, and no database takes one
        return cast("JsonValue", json.loads(json.dumps(answer, ensure_ascii=False).encode(errors="replace")))
    except RecursionError:
        raise ConnectorError("the API answered with lists in lists without end") from None


def _wait_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, where a 403 means that a limit is used up, as GitHub has it; None where it means what it says."""
    if headers.get("retry-after", "").isdecimal():
        return float(headers["retry-after"])
    if headers.get("x-ratelimit-remaining") != "0" or not headers.get("x-ratelimit-reset", "").isdecimal():
        return None
    return max(0.0, float(headers["x-ratelimit-reset"]) - time.time())


def _refusal(refusals: Refusals, reason: JsonValue) -> ConnectorError:
    is_shown = isinstance(reason, str) and _REASON.fullmatch(reason)
    message = f"the API refused: {reason if is_shown else 'without a reason that can be shown'}"
    if reason in refusals.auth:
        return ConnectorAuthError(message, hint="check the credentials of the source")
    if reason in refusals.unavailable:
        return SourceUnavailableError(message, hint="try again later")
    return ConnectorError(message)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
