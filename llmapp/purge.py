"""A document that must leave no trace: removed from every store, then looked for in each, down to the bytes of the files.

Knows every place where an application keeps words or vectors. What it cannot reach, backups and the logs of providers, it
does not claim.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.errors import ExampleError, IndexUnavailableError
from llmapp.prompting.examples import quoting, read_examples

if TYPE_CHECKING:
    from pydantic import JsonValue

    from llmapp.bootstrap import Parts
    from llmapp.catalog.records import Traces


@dataclass(frozen=True, slots=True)
class Trace:
    """A place that was searched after the purge."""

    place: str
    looked_for: int
    """Things that were looked for: rows, ids, pieces of text or vectors. Count."""
    found: int
    """Of these, the ones that are still there; 0 is what was promised."""


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What was removed, and the proof."""

    source: str
    document_id: str
    chunks: int
    traces: tuple[Trace, ...]
    not_searched: tuple[str, ...]
    """Places that may hold it and were not searched: of servers, for a while; the file of examples where it is wrong."""
    quoting_examples: tuple[int, ...] = ()
    """Examples that hold words of it, by their numbers in ``llmapp examples list``: a person has to take them out."""

    @property
    def is_gone(self) -> bool:
        """Whether nothing was found anywhere."""
        return not any(trace.found for trace in self.traces)

    def shape(self) -> dict[str, JsonValue]:
        """As JSON."""
        places: list[JsonValue] = [
            {"place": trace.place, "looked_for": trace.looked_for, "found": trace.found} for trace in self.traces
        ]
        return {
            "source": self.source,
            "document_id": self.document_id,
            "chunks": self.chunks,
            "is_gone": self.is_gone,
            "traces": places,
            "not_searched": list(self.not_searched),
            "quoting_examples": list(self.quoting_examples),
        }


def purge(parts: Parts, source: str, document_id: str) -> PurgeReport:
    """Remove a document from everywhere and look for it.

    Raises:
        LockedError: Another process holds the index, or moves the vectors.
        IndexUnavailableError: A store that holds vectors beside the one that serves cannot be emptied.
        CatalogError: The database failed, or is being read.
    """
    with parts.move_lock, parts.index_lock:  # before anything is removed: without them the vectors could not be
        traces = parts.catalog.traces_of(source, document_id)
        quotes, unread = _quoting_examples(parts, parts.catalog.whole_text(source, document_id))
        for store in parts.catalog.other_stores():  # what an earlier or an unfinished move has left
            parts.index.drop_other(store)
        parts.catalog.purge(source, document_id)
        # Not written anew here: in some runs a purged vector stood in Chroma's new files again when this very process wrote them.
        parts.projection.empty()
        found = tuple(_search(parts, traces))
    return PurgeReport(source, document_id, len(traces.chunk_ids), found, (*_out_of_reach(parts), *unread), quotes)


def _quoting_examples(parts: Parts, text: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Numbers of the examples that hold words of a text; and what could not be read."""
    try:
        return tuple(quoting(read_examples(parts.settings.examples), text)), ()
    except ExampleError as error:
        return (), (error.message,)


def _search(parts: Parts, traces: Traces) -> Iterator[Trace]:
    ids, state = set(traces.chunk_ids), parts.settings.state
    for place, rows in parts.catalog.rows_left(traces).items():
        yield Trace(f"catalog: {place}", max(1, len(ids)), rows)
    yield Trace("catalog: full text", len(traces.terms), parts.catalog.terms_left(traces))
    held = {vector.tobytes() for vector in parts.catalog.live_vectors().vectors} if traces.vectors else set()
    yield Trace("vectors in memory", len(traces.vectors), len(held.intersection(traces.vectors)))
    yield Trace(f"vector index: {parts.index.name}", len(ids), len(ids & _indexed(parts)))
    needles = [*(text.encode() for text in traces.texts), *traces.vectors]
    for part in sorted(state.iterdir()):
        files = [file for file in (part.rglob("*") if part.is_dir() else (part,)) if file.is_file()]
        found = {needle for file in files for needle in _found_in(file, needles)}
        yield Trace(f"bytes of {part.name}{'/' if part.is_dir() else ''}", len(needles), len(found))


def _out_of_reach(parts: Parts) -> Iterator[str]:
    kept = "write-ahead log, replicas and backups"
    if parts.settings.catalog_url is not None:
        yield f"{kept} of the server of the catalog"
    if parts.index.is_shared and parts.index.name != "exact":
        yield f"{kept} of the server of {parts.index.name}"


def _indexed(parts: Parts) -> set[str]:
    try:
        return parts.index.ids()
    except IndexUnavailableError:
        return set()  # nothing can be read from it; the bytes of its files are searched all the same


def _found_in(file: Path, needles: Iterable[bytes]) -> Iterator[bytes]:
    if not file.stat().st_size:
        return
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield from (needle for needle in needles if content.find(needle) >= 0)
