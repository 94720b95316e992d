"""Any REST API that answers with JSON, described by settings: which list, how its pages turn, where a document stands.

Ready settings for Confluence, Jira, GitHub issues and Slack are presets. Knows no vendor itself. An answer that cannot
be taken for a whole listing stops the run; an item that does not fit is a failure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, model_validator

from llmapp.connector import Change, Checkpoint, Cursor, CursorRejectedError
from llmapp.errors import ConfigError
from llmapp.fetching import Fetcher
from llmapp_connectors.rest.api import Api
from llmapp_connectors.rest.items import Items
from llmapp_connectors.rest.paging import pages
from llmapp_connectors.rest.settings import Auth, Detail, Incremental, Item, Refusals, Request, secret_of
from llmapp_connectors.rest.templates import with_preset


class Rest(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """Items of one list: with `incremental` from where the last read ended, else all of them in every read.

    The cursor is the greatest time stamp of a read that came to its end. An API rarely says what has gone, so a cursor is
    refused when the last complete listing is older than `relist_after_s`: the host then reads all, and deletes the rest.
    """

    listing: Request
    """The list."""
    item: Item
    """Where a document stands in an item of the list."""
    base_url: str
    """What every path is below; no other server is asked."""
    preset: str | None = None
    """Ready settings that these stand on: ``confluence``, ``github``, ``jira`` or ``slack``; false takes a part away."""
    variables: Mapping[str, str | int] = {}
    """What stands in braces in any setting, e.g. ``{site}``; ``{base_url}`` is always there."""
    token: SecretStr | None = None
    """The secret; None asks without."""
    auth: Auth = Auth()
    """How the token is sent."""
    headers: Mapping[str, str] = {}
    """Sent with every request; no place for secrets."""
    detail: Detail | None = None
    """What is asked besides for each new or changed item."""
    incremental: Incremental | None = None
    """How a later read brings less; None lists everything in every run, and sees at once what has gone."""
    refusals: Refusals | None = None
    """How the API says that it failed in an answer of status 200."""
    relist_after_s: float = Field(default=604_800, ge=0)
    """Age of the last complete listing after which everything is listed again. Seconds."""
    allow_private: bool = False
    """Whether the API may be inside your own network."""

    @model_validator(mode="before")
    @classmethod
    def _on_preset(cls, given: Any) -> Any:
        return with_preset(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        base = urlsplit(self.base_url)
        secret = secret_of(self.token)
        has_time, has_revision = self.item.time is not None, self.item.revision is not None
        for is_wrong, problem in (
            (base.scheme not in {"http", "https"} or not base.hostname, "base_url is no http address"),
            (base.username or base.query or base.fragment, "base_url holds more than server and path"),
            (not (secret.isascii() and secret.isprintable()), "the token holds signs that no header takes"),
            (self.auth.kind in {"header", "query"} and not self.auth.name, f"auth {self.auth.kind} needs a name"),
            (self.detail and not (has_time or has_revision), "detail needs item.time or item.revision"),
            (self.incremental and not has_time, "incremental needs item.time"),
        ):
            if is_wrong:
                raise ConfigError(problem, hint="correct the settings of the source")
        return self

    @property
    def snapshot(self) -> bool:
        """Whether every read mentions all that exist."""
        return self.incremental is None

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        """Yield what has changed since the cursor, in the order of the API, then one checkpoint.

        Raises:
            CursorRejectedError: A complete listing is due.
            ConnectorError: The list cannot be read to its end.
        """
        now_s = time.time()
        since_s, listed_s = self._resumed(cursor, now_s)
        newest_s = since_s or 0.0
        with Fetcher(headers={**self.headers, **self.auth.headers(self.token)}, allow_private=self.allow_private) as fetcher:
            api = Api(fetcher, self.base_url, secrets=self.auth.params(self.token), refusals=self.refusals)
            items = Items(self.item, self.detail, api)
            for page in pages(api, self.listing, self.listing.path, self._params(since_s)):
                last_s = None
                for raw in page:
                    change, time_s = items.change(raw)
                    if change is not None:
                        yield change
                    last_s = last_s if time_s is None else time_s
                    newest_s = max(newest_s, time_s or 0.0)
                if self._is_behind(last_s, since_s):
                    break
        # One checkpoint, at the end: what an API moves to a page already read is newer than all that was read. A clock
        # of the future must not carry the cursor there.
        yield Checkpoint(None if self.snapshot else {"since_s": min(newest_s, now_s), "listed_s": listed_s})

    def _resumed(self, cursor: Cursor | None, now_s: float) -> tuple[float | None, float]:
        """Where to go on, None from the start, and when everything was last listed."""
        if cursor is None or self.snapshot:
            return None, now_s
        match cursor:
            case {"since_s": int() | float() as since_s, "listed_s": int() | float() as listed_s}:
                if 0 <= now_s - listed_s <= self.relist_after_s:
                    return min(max(0.0, since_s), now_s), listed_s
        raise CursorRejectedError("a complete listing is due, for what has gone", hint="the host makes it by itself")

    def _params(self, since_s: float | None) -> dict[str, str | int]:
        later = {} if since_s is None or self.incremental is None else self.incremental.asked(since_s)
        return {**self.listing.params, **later}

    def _is_behind(self, last_s: float | None, since_s: float | None) -> bool:
        if last_s is None or since_s is None or self.incremental is None:
            return False
        return self.incremental.newest_first and last_s < self.incremental.start_s(since_s)
