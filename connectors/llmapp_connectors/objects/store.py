"""A store behind fsspec: its whole listing and its bytes, without a cache, and its errors without a secret.

Knows how file systems of fsspec differ in telling that they failed, and that some do not tell.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import quote

from pydantic import JsonValue, SecretStr

from llmapp.connector import (
    ConnectorAuthError,
    ConnectorError,
    MissingDependencyError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from llmapp.errors import LLMAppError

Info: TypeAlias = Mapping[str, Any]
"""What a file system tells of an object: ``name``, ``size`` in bytes, ``type``, and what it likes besides."""

_PACKAGES = {"s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3"), "gs": ("gcsfs", "gcs"), "gcs": ("gcsfs", "gcs")}
_PACKAGES |= dict.fromkeys(("az", "abfs", "abfss", "adl"), ("adlfs", "azure"))
# Names of classes, so that no package of a vendor is imported to compare with.
_REFUSED = {"PermissionError", "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}
_REFUSED |= {"TokenRetrievalError", "ClientAuthenticationError", "DefaultCredentialsError", "RefreshError"}
_AWAY = {"ConnectionError", "TimeoutError", "FSTimeoutError", "HTTPClientError", "ClientConnectionError"}
_AWAY |= {"ServiceRequestError", "ServiceResponseError", "Timeout"}
_REFUSED_STATUS, _AWAY_STATUS = {401, 403}, {408, 429, 500, 502, 503, 504}
_AWAY_ERRNO = {errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO)}


class Store:
    """One prefix of a store, for one run."""

    def __init__(self, url: str, options: Mapping[str, JsonValue], secrets: Mapping[str, SecretStr]) -> None:
        """Choose the file system by the scheme of the url.

        Raises:
            MissingDependencyError: Its package is not installed.
            ConnectorError: There is none of that scheme, or it takes no such option.
        """
        self._url = url.rstrip("/")
        self._secrets = [secret.get_secret_value() for secret in secrets.values()]
        scheme = url.partition("://")[0]
        package, extra = _PACKAGES.get(scheme, ("fsspec", "s3"))
        given = {**options, **{name: secret.get_secret_value() for name, secret in secrets.items()}}
        with self._told():
            try:
                from fsspec.core import url_to_fs

                # Either cache would hide from a later run what has changed since.
                self._files, self._root = url_to_fs(url, **given, use_listings_cache=False, skip_instance_cache=True)
            except ImportError as error:
                if scheme in _PACKAGES or error.name == "fsspec":
                    raise MissingDependencyError(package, extra=extra) from None
                raise

    def listing(self) -> Iterator[tuple[str, str, Info]]:
        """Yield the key below the prefix, the address and the facts of every object, ordered by key; it is listed to the end first.

        Raises:
            ConnectorError: It could not be listed to its end.
        """
        with self._told():
            found = sorted(self._found(), key=lambda info: str(info["name"]))
        root = str(self._root).rstrip("/")
        for info in found:
            name = str(info["name"])
            key = name.removeprefix(f"{root}/")
            is_root = len(found) == 1 and name == root  # the url names one object
            yield (name.rpartition("/")[2], self._url, info) if is_root else (key, f"{self._url}/{key}", info)

    def content(self, info: Info) -> tuple[bytes, Info]:
        """Read an object, no more bytes than were listed, and what the store says of it afterwards.

        Raises:
            ConnectorError: It cannot be read.
        """
        with self._told():
            # A range of no bytes is an error for some stores.
            content = self._files.cat_file(info["name"], start=0, end=info["size"]) if info["size"] else b""
            return content, self._files.info(info["name"])

    def _found(self) -> Iterator[Info]:
        from fsspec import AbstractFileSystem
        from fsspec.asyn import AsyncFileSystem

        kind = type(self._files)
        is_async = isinstance(self._files, AsyncFileSystem)
        if (kind._find is AsyncFileSystem._find) if is_async else (kind.find is AbstractFileSystem.find):  # noqa: SLF001 - whose it is
            yield from self._walked(self._root)
        else:  # its own, which lists flat
            found = self._files.find(self._root, detail=True)
            infos = found.values() if isinstance(found, dict) else map(self._files.info, found)
            yield from (info for info in infos if info["type"] == "file")

    def _walked(self, folder: str) -> Iterator[Info]:
        """Files below a folder. The walk of fsspec passes silently over a folder below the first that it cannot list."""
        for info in self._files.ls(folder, detail=True):
            if info["type"] == "directory" and info["name"].rstrip("/") != folder.rstrip("/"):
                yield from self._walked(info["name"])
            elif info["type"] == "file":
                yield info

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what goes wrong inside into a `ConnectorError` that repeats no secret."""
        try:
            yield
        except LLMAppError:
            raise
        except Exception as error:  # noqa: BLE001 - every file system fails in its own way
            raise self._meaning(error) from None  # the error itself may hold a secret

    def _meaning(self, error: Exception) -> ConnectorError:
        text = " ".join(f"{error}".split()) or type(error).__name__
        for secret in sorted(filter(None, self._secrets), key=len, reverse=True):
            for form in (secret, quote(secret), quote(secret, safe="")):
                text = text.replace(form, "***")
        names = {kind.__name__ for kind in type(error).__mro__}
        status = getattr(error, "code", None) or getattr(error, "status_code", None)
        if names & _REFUSED or status in _REFUSED_STATUS or text.startswith("Forbidden"):
            return ConnectorAuthError(
                f"the store refused: {text[:300]}", hint="check the secrets, and that they may list and read"
            )
        if isinstance(error, FileNotFoundError) or "ResourceNotFoundError" in names:
            return SourceNotFoundError(f"not there: {text[:300]}", hint="check bucket and prefix of the url")
        if names & _AWAY or status in _AWAY_STATUS or getattr(error, "errno", None) in _AWAY_ERRNO:
            return SourceUnavailableError(
                f"the store does not answer: {text[:300]}", hint="see whether it can be reached, then run again"
            )
        return ConnectorError(
            f"the store failed: {type(error).__name__}: {text[:300]}", hint="check url and options of the source"
        )
