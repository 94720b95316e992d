"""Objects of a store – S3, Google Cloud Storage, Azure, and every other file system that fsspec speaks to.

Knows keys and revisions, and nothing of formats or of any one store. Each run lists everything; an object is fetched only when its
revision is new. A listing that fails half-way stops the run, because what it leaves out would otherwise count as deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, JsonValue, SecretStr, model_validator

from llmapp.connector import Change, Checkpoint, ConnectorError, Cursor, Document, Failure, Upsert
from llmapp.errors import ConfigError
from llmapp_connectors.objects.store import Info, Store
from llmapp_connectors.paths import is_wanted

_REVISIONS = ("ETag", "etag", "generation", "md5Hash", "md5")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
_TYPES = ("ContentType", "contentType", "content_type")


class Objects(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """Objects below a prefix, in the order of their keys; the id is the key below the prefix.

    Hidden keys (a part begins with a dot) and every ``llmapp.toml`` are left out, and so are the empty objects that stand for
    folders.
    """

    snapshot: ClassVar[bool] = True

    url: str
    """Bucket and prefix, or one object, e.g. ``s3://bucket/docs``, ``gs://bucket``, ``az://container/docs``; holds no password."""
    options: Mapping[str, JsonValue] = {}
    """Options of the file system, e.g. ``endpoint_url``, ``account_name``; no place for secrets."""
    secrets: Mapping[str, SecretStr] = {}
    """Its options that are secret, e.g. ``key`` and ``secret``; none leaves it to the store's own way, e.g. a role."""
    glob: str = "**/*"
    """Which keys below the prefix; ``**`` stands for any number of folders."""
    max_bytes: int = Field(default=100_000_000, gt=0)
    """A larger object is a failure. Bytes."""

    @model_validator(mode="after")
    def _holds_no_password(self) -> Self:
        if urlsplit(self.url).password:
            raise ConfigError("the url holds a password", hint="write it under secrets, by the name of the option")
        return self

    def read(self, cursor: Cursor | None) -> Iterator[Change]:  # noqa: ARG002 - every run lists everything
        """Yield every object, then one checkpoint.

        Raises:
            SourceNotFoundError: There is no such bucket or folder.
            ConnectorAuthError: The store refuses the credentials, or what they may do.
            SourceUnavailableError: It does not answer.
            ConnectorError: The listing failed.
            MissingDependencyError: The package for this kind of store is not installed.
        """
        store = Store(self.url, self.options, self.secrets)
        for key, uri, info in store.listing():
            if is_wanted("/".join(part if part.strip(".") else "_" for part in key.split("/")), self.glob):
                yield from self._changes(store, key, uri, info)
        yield Checkpoint(None)

    def _changes(self, store: Store, key: str, uri: str, info: Info) -> Iterator[Change]:
        size_bytes = info.get("size")
        if key.endswith("/"):
            if size_bytes:  # an empty one stands for a folder
                yield Failure(key, "its key ends with a slash, as that of a folder", uri=uri)
        elif size_bytes is None:
            yield Failure(key, "the store does not tell its size", uri=uri)
        elif size_bytes > self.max_bytes:
            yield Failure(key, f"{size_bytes:,} bytes, the limit is {self.max_bytes:,}", uri=uri)
        else:
            content = lambda: _content(store, info, uri)  # noqa: E731 - it takes no arguments
            yield Upsert(Document(id=key, uri=uri, content=content, revision=_revision(info), metadata=_facts(info)))


def _content(store: Store, info: Info, uri: str) -> bytes:
    """The bytes of this revision: what the store holds after reading must be what was listed."""
    content, now = store.content(info)
    if _revision(now) != _revision(info) or len(content) != info["size"]:
        raise ConnectorError(f"{uri} changed while it was read", hint="run again")
    return content


def _revision(info: Info) -> str | None:
    """What the store calls the revision, else time and size; None where it tells neither, so that the content is compared."""
    if (name := _first(info, _REVISIONS)) is not None:
        return f"{name.lower()}:{info[name]}"
    time = _time(info)
    return None if time is None else f"{time} {info.get('size')}"


def _facts(info: Info) -> dict[str, JsonValue]:
    name = _first(info, _TYPES)
    kind = info[name] if name else getattr(info.get("content_settings"), "content_type", None)
    facts = {"content_type": kind, "last_modified": _time(info)}
    return {name: str(fact) for name, fact in facts.items() if fact}


def _time(info: Info) -> str | None:
    name = _first(info, _TIMES)
    time: Any = info[name] if name else None
    if isinstance(time, int | float):
        time = datetime.fromtimestamp(time, UTC)
    if isinstance(time, datetime):
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    return time and str(time)


def _first(info: Info, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if info.get(name)), None)
