"""The table of live chunks that every search looks into, and how it follows the catalog without reading it anew.

`changes` names the documents that each generation has written, removed or given another access list: their chunks and their
lists are read again, and no others. Who is further behind than `changes` reaches compares all row numbers. A row number
names one chunk for ever, so no vector is read twice.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.catalog.access_lists import GONE, AccessLists
from llmapp.catalog.database import Database, Row
from llmapp.catalog.document_rows import KEPT_GENERATIONS
from llmapp.catalog.slots import Batch, HeldSlots, SlotFiles, Slots, SlotStore
from llmapp.errors import LockedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmapp.protocols import FloatArray

_log = logging.getLogger(__name__)

_BATCH_CHUNKS = 10_000
_MOST_GONE_SHARE = 0.5
"""Slots of chunks that have left cost memory and time; beyond this share the table begins anew."""
_TRIED_CHUNKS = 32
_CHANGES = "changes WHERE generation > :seen"


@dataclass(frozen=True, eq=False)
class LiveTable:
    """All live chunks at one generation, in slots; a slot whose chunk has left stays until the table begins anew."""

    generation: int
    rows: NDArray[np.int64]
    """Row numbers of the chunks, mostly ascending: staged ones have theirs before they are live. Shape (n,)."""
    documents: NDArray[np.int64]
    """Row numbers of their documents. Shape (n,)."""
    vectors: FloatArray
    """Unit vectors. Shape (n, dim)."""
    lists: NDArray[np.int32]
    """Numbers of the access lists of the documents; `GONE` where the chunk has left. Shape (n,)."""
    access: AccessLists
    """What the numbers stand for."""

    @cached_property
    def live(self) -> int:
        """Number of live chunks."""
        return len(self.live_slots())

    def live_slots(self) -> NDArray[np.int32]:
        """Slots of the live chunks, ascending. Shape (live,)."""
        import numpy as np

        return np.flatnonzero(self.lists != GONE).astype(np.int32)

    @cached_property
    def slot_of_row(self) -> NDArray[np.int32]:
        """Slot of every row number, and -1 for those that have none, the last one included. Shape (last row + 2,)."""
        import numpy as np

        slot_of_row = np.full(int(self.rows.max(initial=0)) + 2, -1, dtype=np.int32)
        slot_of_row[self.rows] = np.arange(len(self.rows), dtype=np.int32)
        return slot_of_row

    def slots(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Slots of some row numbers, -1 where it does not know one. Shapes (m,)."""
        import numpy as np

        slots: NDArray[np.int32] = self.slot_of_row[np.minimum(rows, len(self.slot_of_row) - 1)]
        return slots


class LiveTableKeeper:
    """Keeps the table of one catalog. Safe to use from several threads; several processes share the files."""

    def __init__(self, database: Database, folder: Path | None) -> None:
        """Follow this database, with files in `folder`; None keeps all in memory."""
        self._db = database
        self._store: SlotStore = HeldSlots() if folder is None else SlotFiles(folder)
        self._turn = threading.Lock()
        self._slots: Slots | None = None
        self._access: tuple[int, AccessLists] | None = None
        self._table: LiveTable | None = None

    def generation(self) -> int:
        """A number that grows with every committed change of documents."""
        rows = self._db.read("SELECT value FROM meta WHERE key = 'generation'")
        return int(rows[0][0]) if rows else 0

    def table(self) -> LiveTable:
        """The table at the newest generation."""
        generation = self.generation()
        with self._turn:
            if self._table is None or self._table.generation != generation:
                self._table = self._read(generation)
            return self._table

    def clear(self) -> None:
        """Forget everything, the files included; the next search reads the catalog anew."""
        with self._turn:
            self._slots = self._access = self._table = None
            self._store.clear()

    def _read(self, generation: int) -> LiveTable:
        try:
            slots = self._slots_at(generation)
        except (OSError, LockedError) as error:
            if isinstance(self._store, HeldSlots):
                raise
            _log.warning("the vectors are held in memory, their files cannot be used: %s", error)
            self._store, self._slots = HeldSlots(), None
            slots = self._slots_at(generation)
        self._slots = slots
        access = self._access_at(slots.generation)
        lists = access.of(slots.documents)
        lists[~slots.live()] = GONE
        return LiveTable(slots.generation, slots.rows, slots.documents, slots.vectors, lists, access)

    def _slots_at(self, generation: int) -> Slots:
        slots = self._trusted(self._store.read(self._slots))
        if slots is None or slots.generation < generation:
            with self._store.writing():
                slots = self._trusted(self._store.read(slots))  # another process may have brought it up meanwhile
                if slots is None or slots.generation < generation:
                    slots = self._brought_up(slots, generation)
        return slots

    def _trusted(self, slots: Slots | None) -> Slots | None:
        """None where they are not of this catalog: it may have been put back from a copy, beside newer files."""
        if slots is None or slots.generation > self.generation():
            return None
        return slots if slots.continues(self._slots) or self._agrees(slots) else None

    def _agrees(self, slots: Slots) -> bool:
        """Whether the catalog holds what they say, tried on a few.

        Those of all ages, and the last ones: beside a catalog that was put back from a copy these are of another history, and
        others have their row numbers.
        """
        given = self._numbers("SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'last_row'")
        if slots.rows.max(initial=0) > given.max(initial=0):
            return False
        count = len(slots.rows)
        tried = {*range(0, count, count // _TRIED_CHUNKS + 1), *range(max(0, count - _TRIED_CHUNKS), count)}
        slot_of = {int(slots.rows[slot]): slot for slot in sorted(tried)}
        return all(
            slots.documents[slot_of[row]] == document and slots.vectors[slot_of[row]].tobytes() == vector
            for row, document, vector in self._read_chunks(list(slot_of))
        )

    def _brought_up(self, slots: Slots | None, generation: int) -> Slots:
        """Read what is new, and note what has left."""
        import numpy as np

        nothing = np.zeros(0, dtype=np.int64)
        if slots is not None:
            new, departed = self._difference(slots, generation)
            if len(slots.departed) + len(departed) <= _MOST_GONE_SHARE * len(slots.rows):
                return self._store.extend(slots, self._batches(new), departed, generation)
        return self._store.extend(
            None, self._batches(self._numbers("SELECT id FROM chunks ORDER BY id")), nothing, generation
        )

    def _difference(self, slots: Slots, generation: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row numbers of the chunks that are not in `slots`, and of those that are, but are live no more."""
        import numpy as np

        suspects = slots.live()
        if _is_far(slots.generation, generation):
            present = self._numbers("SELECT id FROM chunks ORDER BY id")
        else:
            seen = {"seen": slots.generation}
            changed = self._numbers(f"SELECT DISTINCT document FROM {_CHANGES}", seen)  # noqa: S608 - a constant
            present = self._numbers(
                f"SELECT id FROM chunks WHERE document IN (SELECT document FROM {_CHANGES}) ORDER BY id",  # noqa: S608 - a constant
                seen,
            )
            suspects &= np.isin(slots.documents, changed)
        known = slots.rows[suspects]
        return np.setdiff1d(present, known, assume_unique=True), np.setdiff1d(known, present, assume_unique=True)

    def _batches(self, rows: NDArray[np.int64]) -> Iterator[Batch]:
        """These chunks, as far as they are still live."""
        import numpy as np

        for start in range(0, len(rows), _BATCH_CHUNKS):
            found = self._read_chunks(rows[start : start + _BATCH_CHUNKS].tolist())
            if found:
                numbers, documents, vectors = zip(*found, strict=True)
                flat = np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(found), -1)
                yield Batch(np.array(numbers, dtype=np.int64), np.array(documents, dtype=np.int64), flat)

    def _read_chunks(self, rows: list[int]) -> list[Row]:
        """Row number, document and vector of those that are live, in ascending order."""
        return self._db.read(
            """
            SELECT c.id, c.document, e.vector FROM chunks c JOIN embeddings e ON e.id = c.embedding
            WHERE c.id IN (SELECT CAST(value AS BIGINT) FROM json_each(:rows)) ORDER BY c.id
            """,
            {"rows": json.dumps(rows)},
        )

    def _access_at(self, generation: int) -> AccessLists:
        """The access lists, at this generation or a later one."""
        grants = "SELECT document, name FROM grants"
        seen, access = self._access or (generation + 1, AccessLists())
        if seen > generation or _is_far(seen, generation):
            access = AccessLists()
            access.set((), _pairs(self._db.iterate(f"{grants} ORDER BY document, name")))
        elif seen < generation:
            changed = self._numbers(f"SELECT DISTINCT document FROM {_CHANGES}", {"seen": seen})  # noqa: S608 - a constant
            of_changed = f"{grants} WHERE document IN (SELECT document FROM {_CHANGES}) ORDER BY document, name"  # noqa: S608 - constants
            access.set(changed.tolist(), _pairs(self._db.read(of_changed, {"seen": seen})))
        self._access = generation, access
        return access

    def _numbers(self, sql: str, params: Mapping[str, object] | None = None) -> NDArray[np.int64]:
        import numpy as np

        found = self._db.read(sql, params or {})
        return np.fromiter((row[0] for row in found), dtype=np.int64, count=len(found))


def _pairs(rows: Iterable[Row]) -> Iterator[tuple[int, str]]:
    return ((row[0], row[1]) for row in rows)


def _is_far(seen: int, generation: int) -> bool:
    """Whether `changes` may not reach back to `seen`; by half, for it is shortened while one reads."""
    return generation - seen > KEPT_GENERATIONS // 2
