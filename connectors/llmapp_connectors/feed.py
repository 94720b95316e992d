"""Items of an RSS or Atom feed.

A feed shows its newest items only, so one that has left it is not gone. Knows what feedparser makes of the bytes that
`Fetcher` brought; feedparser itself fetches nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar, cast
from urllib.parse import urljoin

from pydantic import BaseModel, Field, JsonValue, SecretStr

from llmapp.connector import (
    Change,
    Checkpoint,
    ConnectorError,
    Cursor,
    CursorRejectedError,
    Document,
    Failure,
    MissingDependencyError,
    Upsert,
)
from llmapp.fetching import Fetched, Fetcher

_MAX_SEEN = 10_000
_HTML = frozenset({"text/html", "application/xhtml+xml"})


class Feed(BaseModel, frozen=True):
    """Items of one feed, oldest first; the id is the item's own, or else its link."""

    accumulates: ClassVar[bool] = True
    """What a read from the start no longer mentions is not gone."""

    url: str
    """Address of the feed."""
    allow_private: bool = False
    """Whether private and loopback addresses are fetched."""
    user_agent: str = Field(default="llmapp", min_length=1)
    """The name in requests."""
    authorization: SecretStr | None = None
    """Value of the header Authorization."""
    max_bytes: int = Field(default=20_000_000, gt=0)
    """A larger feed is an error. Bytes."""

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        """Yield the items that are new or have changed, then a checkpoint.

        Raises:
            ConnectorError: The feed cannot be fetched, or what was fetched is no feed.
        """
        etag, modified, seen = _unpacked(cursor)
        fetched = self._fetch({"if-none-match": etag, "if-modified-since": modified})
        if fetched.status != HTTPStatus.NOT_MODIFIED or not (etag or modified):
            etag, modified = (fetched.headers.get(name, "") for name in ("etag", "last-modified"))
            told: dict[str, str] = {}
            for entry in reversed(_entries(fetched)):
                name, revision, change = _read(entry, fetched.url)
                if name not in told and (not revision or seen.get(name) != revision):
                    yield change
                told.setdefault(name, revision)
            kept = {name: revision for name, revision in seen.items() if name not in told} | told
            seen = dict(list(kept.items())[-_MAX_SEEN:])
        yield Checkpoint({"etag": etag, "modified": modified, "seen": dict(seen)})

    def _fetch(self, validators: Mapping[str, str]) -> Fetched:
        headers = {name: value for name, value in validators.items() if value} | {"user-agent": self.user_agent}
        if self.authorization:
            headers["authorization"] = self.authorization.get_secret_value()
        with Fetcher(allow_private=self.allow_private, max_bytes=self.max_bytes) as fetcher:
            return fetcher.get(self.url, headers=headers).checked()


def _unpacked(cursor: Cursor) -> tuple[str, str, Mapping[str, str]]:
    match cursor:
        case None:
            return "", "", {}
        case {"etag": str(etag), "modified": str(modified), "seen": dict(seen)}:
            return etag, modified, cast("dict[str, str]", seen)
    raise CursorRejectedError("this cursor is none of the connector feed", hint="it is read from the start")


def _entries(fetched: Fetched) -> Sequence[Mapping[str, Any]]:
    try:
        import feedparser
    except ImportError as error:
        raise MissingDependencyError("feedparser", extra="feed") from error
    # A stream, for a text that looks like an address would be fetched; and no base, for ids would be taken for addresses.
    parsed = feedparser.parse(
        io.BytesIO(fetched.body), response_headers={"content-type": fetched.headers.get("content-type", "")}
    )
    if not parsed.entries and (parsed.bozo or not parsed.get("version")):
        raise ConnectorError(
            f"{fetched.url.partition('?')[0]} is no feed that can be read", hint="check that it is RSS or Atom, not a page"
        )
    return [dict(entry) for entry in parsed.entries]  # without the names that feedparser makes up, with warnings


def _read(entry: Mapping[str, Any], feed_url: str) -> tuple[str, str, Change]:
    """Id, revision and change of an item; a failure has no revision, so that it is told every time."""
    link, title = str(entry.get("link", "")), str(entry.get("title", "")) or None
    uri = _address(link, feed_url)
    bodies = [*entry.get("content", ()), *([entry["summary_detail"]] if "summary_detail" in entry else [])]
    body = next((body for body in bodies if body.get("value", "").strip()), {"value": title or "", "type": "text/plain"})
    name = str(entry.get("id", "")) or link or _digest(title, body["value"])
    if not body["value"].strip():
        return name, "", Failure(name, "the item has neither text nor title", uri=uri, remembered=True)
    metadata = _metadata(entry)
    revision = f"blake2b:{_digest(uri, title, body['value'], metadata)}"
    document = Document(id=name, uri=uri, text=body["value"], title=title, revision=revision, metadata=metadata)
    if body.get("type") in _HTML:
        document = replace(document, text=None, content=body["value"].encode, media_type="text/html")
    return name, revision, Upsert(document)


def _address(link: str, feed_url: str) -> str:
    """Where a person finds the item; the feed itself where the link is none."""
    try:
        target = urljoin(feed_url, link)
    except ValueError:
        return feed_url
    return target if target.startswith(("https://", "http://")) else feed_url


def _metadata(entry: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Author, tags, and times in UTC, as far as they are there."""
    times = {name: entry.get(f"{name}_parsed") for name in ("published", "updated")}
    found: dict[str, JsonValue] = {name: time.strftime("%Y-%m-%dT%H:%M:%SZ", at) for name, at in times.items() if at}
    if author := str(entry.get("author", "")):
        found["author"] = author
    if tags := [str(tag.get("term") or tag.get("label") or "") for tag in entry.get("tags", ())]:
        found["tags"] = [tag for tag in tags if tag]
    return found


def _digest(*parts: JsonValue) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
