"""The pages that a sitemap lists, with all the sitemaps that it names.

A sitemap is a listing: one that cannot be read whole is an error, because what it does not list counts as gone. It is
searched and not parsed, so that no entity in it can unfold.
"""

from __future__ import annotations

import html
import re
import zlib
from collections import deque

from llmapp.connector import ConnectorError, SourceUnavailableError
from llmapp.fetching import Fetched
from llmapp_connectors.web.manners import Visitor
from llmapp_connectors.web.pages import HTML_TYPES, normalised, shown

_ROOT = re.compile(rb"<(urlset|sitemapindex)[\s>]")
_LOCATION = re.compile(r"<loc>\s*+(?:<!\[CDATA\[)?\s*+([^<\]\s]{1,2048}+)")
_GZIP = b"\x1f\x8b"
_HEAD_BYTES = 2048
_MAX_SITEMAPS = 1_000


def listed(start: str, first: Fetched, visitor: Visitor, max_bytes: int) -> list[str] | None:
    """The pages in a sitemap and in those that it names, each once, in their order; None when `first` is no sitemap.

    Raises:
        ConnectorError: One of them cannot be read.
    """
    found = _read(first, max_bytes)
    pages: dict[str, None] = {}
    seen, pending = {start}, deque([found] if found else [])
    while pending:
        is_index, places = pending.popleft()
        for place in dict.fromkeys(places):
            if not is_index:
                pages[place] = None
            elif place not in seen:
                seen.add(place)
                fetched = visitor.fetch(place) if len(seen) <= _MAX_SITEMAPS else None
                pending.append((fetched and _read(fetched, max_bytes)) or _fail(place))
    return list(pages) if found else None


def _read(fetched: Fetched, max_bytes: int) -> tuple[bool, list[str]] | None:
    """Whether it is an index of sitemaps, and the addresses in it; None when it is no sitemap."""
    if fetched.media_type and fetched.media_type in HTML_TYPES:
        return None
    try:
        is_packed = fetched.body.startswith(_GZIP)
        body = zlib.decompressobj(wbits=31).decompress(fetched.body, max_bytes) if is_packed else fetched.body
    except zlib.error:
        body = b""
    root = _ROOT.search(body[:_HEAD_BYTES])
    if root is None:
        return None
    if b"</" + root[1] not in body:
        raise SourceUnavailableError(f"{shown(fetched.url)} is a sitemap that ends early", hint="try again later")
    places = (normalised(html.unescape(place)) for place in _LOCATION.findall(body.decode(errors="replace")))
    return root[1] == b"sitemapindex", [place for place in places if place]


def _fail(url: str) -> tuple[bool, list[str]]:
    raise ConnectorError(
        f"{shown(url)} is named by a sitemap and is none that can be read",
        hint=f"it may be a page, closed by robots.txt, or one of more than {_MAX_SITEMAPS:,}",
    )
