"""Gives a hit more of its document: its neighbours, its section, or as much of the document as there is room for.

A hit grows by whole chunks, to both sides in turn, while the setting admits the next one and the limit of characters allows
it. Hits of one document that grow into each other become one, at the better rank; what only touches stays two, so a section
never holds another one. The text is cut from the document, so a citation still points to the document's own words.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Literal, Protocol, TypeAlias

from llmapp.catalog.records import ChunkPlace
from llmapp.filters.tree import Filter
from llmapp.retrieval.ranking.stage import Asked
from llmapp.types import Hit, Principal

Reach: TypeAlias = Literal["neighbours", "section", "document"]
"""How far a hit may grow: one chunk to each side, all that stands under the same headings, or anywhere."""


class ReadDocuments(Protocol):
    """Reads of documents what lies around chunks, as `llmapp.catalog.live_chunks.LiveChunks` does."""

    def surroundings(
        self, chunk_ids: Sequence[str], *, within_chars: int, principal: Principal, where: Filter | None = None
    ) -> Mapping[str, Sequence[ChunkPlace]]:
        """For each chunk that is live and readable: its document's chunks that begin that near, itself included, in order."""

    def cut(self, source: str, document_id: str, start: int, end: int, *, principal: Principal) -> str | None:
        """A part of a document's text; None when there is none that `principal` may read, or the text is shorter."""


@dataclass(slots=True)
class _Window:
    """Chunks in a row of one document, shown as one hit."""

    hit: Hit
    places: list[ChunkPlace]
    """In order of the text; empty where the hit stays as it is."""


class Expansion:
    """Widens hits. A stage of `llmapp.retrieval.hybrid`."""

    name = "expand"

    def __init__(self, documents: ReadDocuments, *, reach: Reach, most_chars: int) -> None:
        """Choose how far.

        Args:
            documents: Reads what lies around a hit.
            reach: How far a hit may grow.
            most_chars: Characters that a hit may grow to; a chunk that is longer by itself stays as it is.
        """
        self._documents = documents
        self._reach = reach
        self._most_chars = most_chars

    def __call__(self, asked: Asked, hits: Sequence[Hit]) -> list[Hit]:
        """At most `asked.top_k` hits with more of their documents, no text in two of them.

        A hit keeps its score and the id of the chunk that was found; page and heading are those where its text begins.
        """
        ids = [hit.chunk.id for hit in hits]
        around = self._documents.surroundings(
            ids, within_chars=self._most_chars, principal=asked.principal, where=asked.where
        )
        windows: list[_Window] = []
        shown: dict[str, _Window] = {}
        for hit in hits:
            if len(windows) == asked.top_k:
                break  # what comes after would not be shown, and must not make larger what is
            self._place(hit, around.get(hit.chunk.id, ()), windows, shown)
        return [self._widened(window, asked.principal) for window in windows]

    def _place(self, hit: Hit, places: Sequence[ChunkPlace], windows: list[_Window], shown: dict[str, _Window]) -> None:
        """Show a hit: in a window of its own, or in one that it grows into; not at all where its chunk is shown already."""
        at = next((index for index, place in enumerate(places) if place.chunk_id == hit.chunk.id), None)
        if at is None:  # its document was replaced meanwhile
            windows.append(_Window(hit, []))
            return
        first, last = self._grown(places, at)
        near = [shown[place.chunk_id] for place in places[first : last + 1] if place.chunk_id in shown]
        joined = _union(near[0].places, places[first : last + 1]) if near else []
        if near and all(window is near[0] for window in near) and _chars(joined) <= self._most_chars:
            near[0].places = joined
        elif hit.chunk.id not in shown:
            near = [_Window(hit, _unshown_run(places, at, first, last, shown))]
            windows.append(near[0])
        shown.update((place.chunk_id, window) for window in near for place in window.places)

    def _grown(self, places: Sequence[ChunkPlace], at: int) -> tuple[int, int]:
        """First and last place that a chunk grows to, one to each side in turn, beginning with what follows."""
        first = last = at
        sides = deque([1, -1])
        while sides:
            side = sides.popleft()
            wider = (first + min(side, 0), last + max(side, 0))
            if wider[0] >= 0 and wider[1] < len(places) and self._admits(places, at, *wider):
                first, last = wider
                sides.append(side)
        return first, last

    def _admits(self, places: Sequence[ChunkPlace], at: int, first: int, last: int) -> bool:
        if self._reach == "neighbours" and not at - 1 <= first <= last <= at + 1:
            return False
        headings = {places[first].heading, places[at].heading, places[last].heading}
        if self._reach == "section" and len(headings) > 1:
            return False
        return _chars(places[first : last + 1]) <= self._most_chars

    def _widened(self, window: _Window, principal: Principal) -> Hit:
        """The hit with the window's text; as it is where that may not be read any more, or is another meanwhile."""
        chunk = window.hit.chunk
        if len(window.places) < 2:  # noqa: PLR2004 - nothing but its own
            return window.hit
        first, end = window.places[0], window.places[-1].end_char
        text = self._documents.cut(chunk.source, chunk.document_id, first.start_char, end, principal=principal)
        own = slice(chunk.start_char - first.start_char, chunk.end_char - first.start_char)
        if text is None or text[own] != chunk.text:
            return window.hit
        wider = replace(chunk, text=text, start_char=first.start_char, end_char=end, page=first.page, heading=first.heading)
        return replace(window.hit, chunk=wider)


def _union(some: Sequence[ChunkPlace], others: Sequence[ChunkPlace]) -> list[ChunkPlace]:
    return sorted({*some, *others}, key=lambda place: place.start_char)


def _chars(places: Sequence[ChunkPlace]) -> int:
    return places[-1].end_char - places[0].start_char


def _unshown_run(places: Sequence[ChunkPlace], at: int, first: int, last: int, shown: Container[str]) -> list[ChunkPlace]:
    """The places around `at` that no window shows yet, without a gap."""
    before = takewhile(lambda place: place.chunk_id not in shown, reversed(places[first:at]))
    after = takewhile(lambda place: place.chunk_id not in shown, places[at : last + 1])
    return [*reversed(list(before)), *after]
