"""What belongs to a site, and what of it is a document."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from llmapp_connectors.web.pages import HTML_TYPES

_NO_DOCUMENT = re.compile(
    r"(image|audio|video|font|model)/.*|text/(css|(java|ecma)script|calendar|xsl)"
    r"|application/((x-)?((java|ecma)script|g?tar|bzip2?|rar.*|7z.*|gzip|zip|.*shockwave.*)"
    r"|(.*\+)?(json|xml)|wasm|java-archive|font.*|vnd\.ms-fontobject|pkcs.*|pgp.*)"
)
_BINARY = "application/octet-stream"
_TYPES = mimetypes.MimeTypes()  # the same on every machine


@dataclass(frozen=True, slots=True)
class Scope:
    """Which addresses a crawl may visit."""

    hosts: frozenset[str] | None
    """Hosts of the site, by `host_of`; None is all of the web."""
    include: Sequence[str]
    exclude: Sequence[str]
    """Globs of paths."""

    def is_at_home(self, url: str) -> bool:
        """Whether an address is on the site."""
        return self.hosts is None or host_of(url) in self.hosts

    def is_wanted(self, url: str) -> bool:
        """Whether an address is on the site and its path is to be read."""
        path = urlsplit(url).path
        named = any(fnmatchcase(path, glob) for glob in self.include)
        return self.is_at_home(url) and named and not any(fnmatchcase(path, glob) for glob in self.exclude)

    def is_followed(self, url: str) -> bool:
        """Whether a link is worth a request: it is wanted, and its suffix is not that of an image, a style or a program."""
        media_type, coding = _TYPES.guess_type(urlsplit(url).path)
        return coding is None and media_type != _BINARY and is_document(media_type) and self.is_wanted(url)


def host_of(url: str) -> str:
    """Host and port, where ``www.`` makes no other host."""
    return urlsplit(url).netloc.removeprefix("www.")


def is_document(media_type: str | None) -> bool:
    """Whether an answer of this type may be a document; only what certainly is none is left out."""
    return media_type in HTML_TYPES or not _NO_DOCUMENT.fullmatch(media_type or "")


def may_link(url: str) -> bool:
    """Whether an address that did not answer may be a page, by its suffix."""
    return _TYPES.guess_type(urlsplit(url).path)[0] in HTML_TYPES
