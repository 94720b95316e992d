"""Full text: chunks by their words, ranked by BM25 over what a principal may read.

The postings are those of `llmapp.catalog.postings`. They hold chunks that are gone or not yet live as well; what counts is
which row numbers the principal may read now. What is read of a segment is kept in memory, for a segment never changes.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from llmapp.catalog import postings
from llmapp.catalog.database import Database, Row
from llmapp.catalog.live_chunks import LiveChunks
from llmapp.catalog.live_table import LiveTableKeeper
from llmapp.catalog.ranked import ranked
from llmapp.catalog.readable import Readable
from llmapp.types import Principal
from llmapp.words.analysis import Words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmapp.catalog.bm25 import Bm25, TermPostings, Visible

    _Part: TypeAlias = tuple[NDArray[np.int64], NDArray[np.uint32]]
    """Row numbers and lengths of the chunks of a segment."""

_log = logging.getLogger(__name__)

_POSTINGS = """
    SELECT s.id, p.term, p.positions, p.freqs FROM segments s
    LEFT JOIN postings p ON p.segment = s.id AND p.term IN (SELECT value FROM json_each(:terms))
    WHERE s.analysis = :words ORDER BY s.id
"""
"""Every segment that is searched, with the terms that it has: one statement sees one state."""
_REINDEX_CHUNKS = 8192
"""Chunks that another analysis goes through in one transaction."""
_MOST_GONE = 0.25
"""Share of the postings that may be of deleted chunks; they cost room and time, and are found by nobody."""


@dataclass(frozen=True, slots=True)
class _Slots:
    """The chunks of some segments, one after the other."""

    segments: tuple[int, ...]
    offsets: dict[int, int]
    """First slot of each segment."""
    rows: NDArray[np.int64]
    """Catalog row numbers. Shape (slots,)."""
    lengths: NDArray[np.uint32]
    """Shape (slots,)."""


class FullText(LiveChunks):
    """The part of the catalog that finds chunks by words."""

    def __init__(self, database: Database, live_table: LiveTableKeeper, words: Words) -> None:
        """Use the catalog's database and the table that follows it, and bring the postings to this analysis.

        Raises:
            CatalogError: The database failed.
        """
        super().__init__(database, live_table)
        self._slots_lock = threading.Lock()
        self._parts: dict[int, _Part] = {}
        self._slots: _Slots | None = None
        self._visible: WeakKeyDictionary[Readable, tuple[_Slots, Visible]] = WeakKeyDictionary()
        self._reindex(words)

    def match(
        self,
        query: str,
        *,
        principal: Principal,
        top_k: int,
        rows: NDArray[np.int64] | None = None,
        parameters: Bm25 | None = None,
    ) -> list[tuple[str, float]]:
        """Search by words.

        Args:
            query: Any text; one without words finds nothing.
            principal: Who asks.
            top_k: Most hits to return.
            rows: Row numbers that may be found, ascending; None is all that the principal may read. Statistics are those of
                all that the principal may read, so a filter changes no score. Shape (n,).
            parameters: Of BM25; None takes its defaults.

        Returns:
            Chunk ids with their score, best first, higher is better, ties by chunk id.

        Raises:
            CatalogError: The database failed.
        """
        import numpy as np

        from llmapp.catalog.bm25 import Bm25, best

        readable = self.readable(principal)
        if top_k < 1 or not len(readable.slots):
            return []
        # Read after the rows that may be read: a chunk that is live by then has its postings.
        slots, terms = self._find(query)
        within = None if rows is None else np.isin(slots.rows, rows)
        found, scores = best(
            terms, self._seen_in(readable, slots), parameters=parameters or Bm25(), top_k=top_k, within=within
        )
        return ranked(slots.rows[found], scores, top_k=top_k, names=self.ids_of_rows)

    def _drop_gone_postings(self) -> None:
        """Rewrite the segments of which much is gone, each in a transaction of its own, once there is enough of it."""
        ((kept, live),) = self._db.read(
            """
            SELECT (SELECT coalesce(sum(size), 0) FROM segments),
                   (SELECT count(*) FROM chunks) + (SELECT count(*) FROM staged_chunks)
            """
        )
        if kept - live > _MOST_GONE * kept:
            for row in self._db.read("SELECT id FROM segments ORDER BY id"):
                with self._db.transaction() as connection:
                    postings.drop_gone(connection, row[0], most_share=_MOST_GONE)

    def _reindex(self, words: Words) -> None:
        """Bring the postings to an analysis, in batches that last; a process that dies leaves the rest to the next."""
        others = self._db.read(
            """
            SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM meta WHERE key = 'words' AND value = :words)
            UNION ALL SELECT 1 FROM segments WHERE analysis <> :words
            """,
            {"words": words.identity},
        )
        is_needed = bool(others)
        if is_needed and (count := self._db.read("SELECT count(*) FROM chunks")[0][0]):
            _log.warning("the words of %s chunks are analysed anew, by %s", f"{count:,}", words.identity)
        while is_needed:
            with self._db.transaction() as connection:
                is_needed = postings.index_more(connection, words, most_chunks=_REINDEX_CHUNKS)

    def _find(self, query: str) -> tuple[_Slots, list[TermPostings]]:
        """The slots, and where the terms of a question stand in them."""
        while True:
            words = self._words()
            terms = words.question(query)
            found = self._db.read(_POSTINGS, {"terms": json.dumps(terms), "words": words.identity})
            slots = self._slots_of(dict.fromkeys(row[0] for row in found))
            # Else segments were merged, or another analysis took over, between two reads.
            if slots is not None and (found or self._words() == words):
                return slots, _by_term(found, slots)

    def _words(self) -> Words:
        return postings.words_of(self._db.read(postings.WORDS))

    def _slots_of(self, segments: Iterable[int]) -> _Slots | None:
        """The chunks of these segments; None when one is not there any more."""
        import numpy as np

        with self._slots_lock:
            numbers = tuple(segments)
            if self._slots is None or self._slots.segments != numbers:
                parts = self._load({number: self._parts.get(number) for number in numbers})
                if parts is None:
                    return None
                self._parts = parts
                sizes = [len(rows) for rows, _ in parts.values()]
                offsets = dict(zip(numbers, np.cumsum([0, *sizes]).tolist(), strict=False))
                rows = np.concatenate([np.zeros(0, dtype=np.int64), *(rows for rows, _ in parts.values())])
                lengths = np.concatenate([np.zeros(0, dtype=np.uint32), *(lengths for _, lengths in parts.values())])
                self._slots = _Slots(numbers, offsets, rows, lengths)
            return self._slots

    def _load(self, parts: Mapping[int, _Part | None]) -> dict[int, _Part] | None:
        import numpy as np

        wanted = json.dumps([number for number, part in parts.items() if part is None])
        found = self._db.read(
            "SELECT id, rows, lengths FROM segments WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each(:wanted))",
            {"wanted": wanted},
        )
        loaded = {row[0]: (np.frombuffer(row[1], dtype="<i8"), np.frombuffer(row[2], dtype="<u4")) for row in found}
        whole = {number: part or loaded.get(number) for number, part in parts.items()}
        return None if None in whole.values() else whole  # type: ignore[return-value]

    def _seen_in(self, readable: Readable, slots: _Slots) -> Visible:
        """What of the slots may be read, kept as long as the view is."""
        import numpy as np

        from llmapp.catalog.bm25 import Visible

        with self._slots_lock:
            cached = self._visible.get(readable)
        if cached is not None and cached[0] is slots:
            return cached[1]
        mask = readable.holds(slots.rows)
        count = int(mask.sum())
        mean = float(slots.lengths[mask].sum(dtype=np.float64)) / max(1, count)
        visible = Visible(mask, slots.lengths, count, mean)
        with self._slots_lock:
            self._visible[readable] = (slots, visible)
        return visible


def _by_term(found: Sequence[Row], slots: _Slots) -> list[TermPostings]:
    import numpy as np

    from llmapp.catalog.bm25 import TermPostings

    parts: dict[str, list[Row]] = {}
    for row in found:
        if row["term"] is not None:
            parts.setdefault(row["term"], []).append(row)
    return [
        TermPostings(
            np.concatenate([np.frombuffer(row["positions"], dtype="<u4") + slots.offsets[row["id"]] for row in rows]),
            np.concatenate([np.frombuffer(row["freqs"], dtype="<u2") for row in rows]),
        )
        for _, rows in sorted(parts.items())
    ]
