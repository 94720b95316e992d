"""How a crawler behaves: it obeys robots.txt, takes its time, and shows its credentials to one origin only.

A robots.txt is read as RFC 9309 says; the standard library takes the first rule that fits and knows no ``*`` and no ``$``.
"""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from urllib.parse import urlsplit

from llmapp.connector import ConnectorError
from llmapp.fetching import Fetched, Fetcher
from llmapp_connectors.web.memory import Entry
from llmapp_connectors.web.pages import escaped, normalised, shown

_MAX_BYTES = 512_000  # RFC 9309 asks for 500 KiB at least
_LONGEST_DELAY_S = 30.0  # that a robots.txt can ask for
_SECONDS = re.compile(r"\d{1,6}(\.\d{1,6})?")


class Visitor:
    """Asks for pages, one at a time."""

    def __init__(self, fetcher: Fetcher, *, home: str, agent: str, delay_s: float, authorization: str | None) -> None:
        """Ask nothing yet.

        Args:
            fetcher: The client.
            home: Address whose origin may see `authorization`.
            agent: The crawler as it names itself.
            delay_s: Least time between two requests, more where a robots.txt asks for it. Seconds.
            authorization: Value of the header of that name; None sends none.
        """
        self._fetcher = fetcher
        self._agent = agent
        self._delay_s = delay_s
        self._secret = {_origin(home): {"authorization": authorization}} if authorization else {}
        self._robots: dict[str, Robots] = {}
        self._next_s = 0.0  # by the monotonic clock

    def fetch(self, url: str, known: Entry | None = None) -> Fetched | None:
        """Ask for a page, or whether it is still the one that is known: then the answer has status 304.

        Returns:
            The answer; None when a robots.txt closes the page, or where it redirects to.

        Raises:
            SourceNotFoundError: It is not there.
            ConnectorError: It cannot be had.
        """
        if not self._robots_of(url).allow(url):
            return None
        asked = {"if-none-match": known.etag, "if-modified-since": known.modified} if known else {}
        fetched = self._get(url, {name: value for name, value in asked.items() if value}).checked()
        final = normalised(fetched.url) or url
        if fetched.status == HTTPStatus.NOT_MODIFIED:
            if not known or not any(asked.values()):
                raise ConnectorError(f"{shown(url)} answered 304 to a question that was not asked")
            if known.document_id not in {"", final}:  # the same page at another address
                return self.fetch(url)
        return fetched if self._robots_of(final).allow(final) else None

    def is_kept_out(self, url: str) -> bool:
        """Whether it is known, without a request, that a robots.txt keeps the page from crawlers."""
        return not self._robots.get(_origin(url), _ALL_ALLOWED).allow(url)

    def _robots_of(self, url: str) -> Robots:
        origin = _origin(url)
        if origin not in self._robots:
            fetched = self._get(f"{origin}/robots.txt", {})
            is_there = fetched.status < 400 or fetched.status in {408, 425, 429} or fetched.status >= 500  # noqa: PLR2004
            self._robots[origin] = Robots(fetched.checked().body if is_there else b"", self._agent)
        return self._robots[origin]

    def _get(self, url: str, headers: dict[str, str]) -> Fetched:
        robots = self._robots.get(_origin(url), _ALL_ALLOWED)
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        try:
            return self._fetcher.get(url, headers={**headers, **self._secret.get(_origin(url), {})})
        finally:
            self._next_s = time.monotonic() + max(self._delay_s, min(robots.delay_s, _LONGEST_DELAY_S))


class Robots:
    """The rules of the group that names the crawler, or else of the group for all; of those that fit the longest wins."""

    def __init__(self, body: bytes, agent: str) -> None:
        """Read the rules for one crawler.

        Args:
            body: The robots.txt; empty allows everything.
            agent: The crawler as it names itself, e.g. ``llmapp/0.1``.
        """
        groups = _groups(body[:_MAX_BYTES].decode(errors="replace"))
        rules = groups.get(_product(agent), groups.get("*", []))
        self._rules = [(escaped(value), key == "allow") for key, value in rules if key in {"allow", "disallow"} and value]
        delays_s = [float(value) for key, value in rules if key == "crawl-delay" and _SECONDS.fullmatch(value)]
        self.delay_s = max(delays_s, default=0.0)

    def allow(self, url: str) -> bool:
        """Whether the crawler may fetch a normalised address."""
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        return max(((len(rule), allows) for rule, allows in self._rules if _fits(target, rule)), default=(0, True))[1]


def _groups(text: str) -> dict[str, list[tuple[str, str]]]:
    """Key and value of every rule, by the crawlers that it is for; groups of the same crawler are one."""
    groups: dict[str, list[tuple[str, str]]] = {}
    agents: list[str] = []
    is_head = False  # several names may stand above one group
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition("#")[0].partition(":"))
        if key.lower() == "user-agent":
            agents = [*(agents if is_head else []), _product(value)]
            groups.setdefault(agents[-1], [])
            is_head = True
        elif key.lower() in {"allow", "disallow", "crawl-delay"}:
            is_head = False
            for name in agents:
                groups[name].append((key.lower(), value))
    return groups


def _product(agent: str) -> str:
    return agent.partition("/")[0].strip().lower()


def _fits(target: str, rule: str) -> bool:
    """Whether `target` begins with `rule`, where ``*`` stands for anything and a last ``$`` for the end."""
    first, *rest = rule.removesuffix("$").split("*")
    last = rest.pop() if rest and rule.endswith("$") else None
    place = len(first) if target.startswith(first) else -1
    for piece in rest:
        if place >= 0 and (place := target.find(piece, place)) >= 0:
            place += len(piece)
    if place < 0 or not rule.endswith("$"):
        return place >= 0
    return place == len(target) if last is None else target.endswith(last) and len(target) - len(last) >= place


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


_ALL_ALLOWED = Robots(b"", "")
