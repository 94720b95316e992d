"""What stands in a page, and when two addresses are one. Knows no network.

What it reads was written by strangers, so every search here is linear: the standard HTML parser takes half a minute for
50 kB of the wrong bytes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|template)\b.*?(?:</\1|\Z)"
    r"|<(a|area|base|frame|iframe|meta)\b((?:[^<>\"']++|\"[^\"]{0,2048}+\"|'[^']{0,2048}+'){0,100}+)>",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE = re.compile(r"(?<![^\s\"'/])([^\s\"'=/]++)\s*+=\s*+(?:\"([^\"]*)\"|'([^']*)'|([^\s\"']++))")
_CHARSET = re.compile(rb"charset=[\"']?([\w.:-]+)", re.IGNORECASE)
_ESCAPE = re.compile("%([0-9a-fA-F]{2})")
_TRACKING = re.compile(r"(?:utm_\w+|gclid|fbclid|msclkid)(?:=|$)", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HEAD_BYTES = 2048
_MAX_LINKS = 5_000

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", None})
"""Media types of pages; None is a server that does not say."""


class Page(NamedTuple):
    """What a page asks of a crawler."""

    links: tuple[str, ...]
    """Addresses that may be followed, normalised, in the order of the page, each once."""
    is_document: bool
    """False when the page asks not to be indexed."""


def normalised(url: str, base: str = "") -> str | None:
    """The one way to write an address, so that a page is read once; None for what no crawler fetches.

    Host in lower case, no default port, no dot segments, no fragment, escapes only where they are needed and in upper
    case, no parameters that only trace where a visitor came from.
    """
    try:
        parts = urlsplit(urljoin(base, url.strip()))
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc:
        return None
    shown = f"[{host}]" if ":" in host else host
    site = (
        f"{parts.scheme}://{shown}" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f"{parts.scheme}://{shown}:{port}"
    )
    query = "&".join(part for part in parts.query.split("&") if part and not _TRACKING.match(part))
    return urljoin(site, "/" + escaped(parts.path).lstrip("/")) + (f"?{escaped(query)}" if query else "")


def shown(url: str) -> str:
    """An address as messages name it: a query may hold secrets."""
    return url.partition("?")[0]


def escaped(text: str) -> str:
    """A path or a query with escapes only where they are needed, in upper case."""
    return quote(_ESCAPE.sub(_plain, text), safe="%/:?@!$&'()*+,;=~")


def _plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character.isascii() and (character.isalnum() or character in "-._~") else escape[0].upper()


def page(body: bytes, url: str, headers: str, agent: str) -> Page:
    """Read the links and the wishes of an HTML page.

    Args:
        body: The page.
        url: Its address.
        headers: Its headers ``Content-Type`` and ``X-Robots-Tag``.
        agent: Name of the crawler, by which a page may address it.
    """
    charset = _CHARSET.search(headers.encode() + b" " + body[:_HEAD_BYTES])
    try:
        text = body.decode(charset[1].decode() if charset else "utf-8", errors="replace")
    except (LookupError, ValueError):
        text = body.decode(errors="replace")
    base, wishes, links = "", headers.lower(), dict[str, None]()
    for name, attributes in _tags(text):
        target = attributes.get("href") or attributes.get("src")
        if name == "meta" and attributes.get("name", "").lower() in {"robots", agent.lower()}:
            wishes += " " + attributes.get("content", "").lower()
        elif name == "base":
            base = base or normalised(target or "", url) or ""
        elif target and "nofollow" not in attributes.get("rel", "").lower().split() and len(links) < _MAX_LINKS:
            links.setdefault(normalised(target, base or url) or "")
    asked = set(re.split(r"[\s,;:]+", wishes))
    links.pop("", None)
    return Page(() if asked & {"nofollow", "none"} else tuple(links), not asked & {"noindex", "none"})


def _tags(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for found in _MARKUP.finditer(text):
        if found[2]:
            pairs = _ATTRIBUTE.findall(found[3])
            yield found[2].lower(), {name.lower(): html.unescape("".join(values)) for name, *values in reversed(pairs)}
