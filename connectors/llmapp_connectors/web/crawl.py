"""One run over a site: which pages belong to it, and what has become of them.

A page that fails is a `Failure` and keeps the links that it had, so nothing below it counts as gone. What a run cannot know
it does not claim: where the links of a page are needed and nobody has ever read them, the run does not end as complete.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING

from llmapp.connector import Change, Checkpoint, ConnectorError, Delete, Document, Failure, SourceUnavailableError, Upsert
from llmapp.errors import AddressRefusedError, SourceNotFoundError
from llmapp.fetching import Fetched
from llmapp_connectors.web.manners import Visitor
from llmapp_connectors.web.memory import Entry, packed
from llmapp_connectors.web.pages import HTML_TYPES, normalised, page, shown
from llmapp_connectors.web.scope import Scope, host_of, is_document, may_link
from llmapp_connectors.web.sitemaps import listed

if TYPE_CHECKING:
    from llmapp_connectors.web import Web

_PAGES_A_CHECKPOINT = 250
_MAX_OUTAGES = 10


class Crawl:
    """Visits every address of a site once, breadth first."""

    def __init__(self, settings: Web, visitor: Visitor, known: Mapping[str, Entry]) -> None:
        """Visit nothing yet; `known` is what the last run remembers, by address."""
        self._settings = settings
        self._visitor = visitor
        self._known = known
        self._pages: dict[str, Entry] = {}
        self._queue: deque[tuple[str, int]] = deque()
        self._seen: set[str] = set()
        self._scope = Scope(None, settings.include, settings.exclude)
        self._told: set[str] = set()
        self._hidden: list[str] = []
        self._outages = 0

    def changes(self) -> Iterator[Change]:
        """Yield what has changed, then what is gone; `llmapp_connectors.web.Web.read` says what it raises."""
        start, first = self._start()
        pages, leaf = listed(start, first, self._visitor, self._settings.max_bytes), self._settings.max_depth
        places = [(start, 0)] if pages is None else [(url, leaf) for url in filter(self._scope.is_wanted, pages)]
        self._queue = deque(places[: self._settings.max_pages])
        self._seen = {url for url, _ in self._queue}
        answers = {start: first} if pages is None else {}
        for visited in count(1):
            if not self._queue:
                break
            url, depth = self._queue.popleft()
            yield from self._visit(url, depth, answers.pop(url, None))
            if visited % _PAGES_A_CHECKPOINT == 0:
                yield Checkpoint(packed({**self._known, **self._pages}))
        gone = {entry.document_id for entry in self._known.values()} - {entry.document_id for entry in self._pages.values()}
        yield from map(Delete, sorted(gone - {""}))
        # What hangs below a page that never answered is not known to be gone; a run with a memory keeps its old links.
        yield Checkpoint(packed(self._pages), complete=bool(self._known) or not self._hidden)

    def _start(self) -> tuple[str, Fetched]:
        start = normalised(self._settings.start)
        if start is None:
            raise ConnectorError(
                "the start of the site is no address", hint="it reads https://host/path, without a password"
            )
        first = self._visitor.fetch(start, self._known.get(start))
        if first is None:
            raise ConnectorError(f"{shown(start)} is not for crawlers, says its robots.txt", hint="ask the site for leave")
        hosts = frozenset({host_of(start), host_of(normalised(first.url) or start)}) if self._settings.same_site else None
        self._scope = Scope(hosts, self._settings.include, self._settings.exclude)
        return start, first

    def _visit(self, url: str, depth: int, answer: Fetched | None) -> Iterator[Change]:
        known = self._known.get(url)
        try:
            fetched = answer or self._visitor.fetch(url, known)
        except SourceNotFoundError:
            fetched = None
        except ConnectorError as error:
            yield from self._failed(url, depth, known, error)
            return
        self._outages = 0
        if fetched is not None:
            entry = known if known and fetched.status == HTTPStatus.NOT_MODIFIED else self._entry(fetched)
            self._keep(url, depth, entry)
            if self._is_news(known, entry):
                yield Upsert(_document(entry.document_id, fetched, entry.digest))

    def _is_news(self, known: Entry | None, entry: Entry) -> bool:
        """Whether a document is to be told, which is done once in a run however many addresses lead to it."""
        is_first = bool(entry.document_id) and entry.document_id not in self._told
        self._told.add(entry.document_id)
        return is_first and (known is None or (known.document_id, known.digest) != (entry.document_id, entry.digest))

    def _keep(self, url: str, depth: int, entry: Entry) -> None:
        """Remember an address, and put what it links to into the queue."""
        self._pages[url] = entry
        for link in entry.links if depth < self._settings.max_depth else ():
            if link not in self._seen and len(self._seen) < self._settings.max_pages and not self._visitor.is_kept_out(link):
                self._seen.add(link)
                self._queue.append((link, depth + 1))

    def _failed(self, url: str, depth: int, known: Entry | None, error: ConnectorError) -> Iterator[Change]:
        self._outages = self._outages + 1 if error.retryable else 0
        if self._outages >= _MAX_OUTAGES:
            raise SourceUnavailableError(f"{shown(url)} and the {_MAX_OUTAGES - 1} before it did not answer") from error
        if known:
            self._keep(url, depth, known)
        elif isinstance(error, AddressRefusedError):
            return  # a link into a private network is no page of the site
        elif error.retryable and depth < self._settings.max_depth and may_link(url):
            self._hidden.append(url)
        name = (known.document_id if known else "") or url
        if name not in self._told:
            yield Failure(name, str(error), uri=name, remembered=True)  # every run visits it

    def _entry(self, fetched: Fetched) -> Entry:
        headers, agent = fetched.headers, self._settings.user_agent.partition("/")[0]
        final = normalised(fetched.url) or ""
        wishes = f"{headers.get('content-type', '')} {headers.get('x-robots-tag', '')}"
        read = page(fetched.body if fetched.media_type in HTML_TYPES else b"", final, wishes, agent)
        has_document = read.is_document and is_document(fetched.media_type) and self._scope.is_wanted(final)
        return Entry(
            headers.get("etag", ""),
            headers.get("last-modified", ""),
            hashlib.blake2b(fetched.body, digest_size=16).hexdigest(),
            final if has_document else "",
            tuple(filter(self._scope.is_followed, read.links)) if self._scope.is_at_home(final) else (),
        )


def _document(name: str, fetched: Fetched, digest: str) -> Document:
    body, revision = fetched.body, f"blake2b:{digest}"
    return Document(id=name, uri=name, content=lambda: body, media_type=fetched.media_type, revision=revision)
