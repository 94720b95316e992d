"""What somebody may read and a filter lets through, as places in the live table, and the cache of it, keyed by what may be read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from llmapp.catalog.filtering import size_of
from llmapp.catalog.live_table import LiveTable
from llmapp.filters.tree import Filter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matching: TypeAlias = Callable[[Filter], NDArray[np.int64]]
    """Row numbers of the documents that satisfy a filter, as `llmapp.catalog.filtering.Filtering.matching_documents` finds them."""

_Key: TypeAlias = tuple[bytes, Filter | None]
_MOST_BYTES = 128 * 2**20
_BYTES_A_VIEW = 1024
"""Of a view of nothing."""
_BYTES_A_CHUNK = 4 + 8
"""Of `Readable.slots` and `Readable.rows`."""


@dataclass(frozen=True, eq=False)
class Readable:
    """The chunks of a live table that somebody may read."""

    table: LiveTable
    slots: NDArray[np.int32]
    """Their places in the table, ascending. Shape (n,)."""

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Their row numbers in the catalog, ascending. Shape (n,)."""
        import numpy as np

        rows = self.table.rows[self.slots]
        return rows if bool((rows[1:] > rows[:-1]).all()) else np.sort(rows)

    @cached_property
    def _by_slot(self) -> NDArray[np.bool_]:
        import numpy as np

        by_slot = np.zeros(len(self.table.rows) + 1, dtype=np.bool_)  # the last place is for -1: no slot
        by_slot[self.slots] = True
        return by_slot

    def holds(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these row numbers are among them, in any order. Shapes (m,)."""
        held: NDArray[np.bool_] = self._by_slot[self.table.slots(rows)]
        return held

    @property
    def most_bytes(self) -> int:
        """Bytes of memory, at most."""
        return _BYTES_A_CHUNK * len(self.slots) + len(self.table.rows)


class ReadableCache:
    """The views of one generation, least recently used first to go. Safe to use from several threads."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        """Hold at most so many bytes, and one view in any case."""
        self._most_bytes = most_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._table: LiveTable | None = None
        self._views: OrderedDict[_Key, Readable] = OrderedDict()

    def get(self, table: LiveTable, lists: NDArray[np.bool_], where: Filter | None, matching: Matching) -> Readable:
        """What may be read of `table`.

        Args:
            table: The table.
            lists: Whether one who asks may read what has an access list, by its number. Shape (lists,).
            where: What the documents must satisfy; None is nothing.
            matching: Finds the documents that do.
        """
        import numpy as np

        key = np.packbits(lists).tobytes(), where
        with self._lock:
            self._turn_to(table)
            if (view := self._views.get(key)) is not None:
                self._views.move_to_end(key)
                return view
        may_be_found = lists[table.lists]
        if where is not None:
            may_be_found &= np.isin(table.documents, matching(where))
        view = Readable(table, np.flatnonzero(may_be_found).astype(np.int32))
        with self._lock:
            if self._table is table and key not in self._views:
                self._put(key, view)
        return view

    def _turn_to(self, table: LiveTable) -> None:
        if self._table is not table:
            self._table, self._bytes = table, 0
            self._views.clear()

    def _put(self, key: _Key, view: Readable) -> None:
        self._views[key] = view
        self._bytes += self._bytes_of(key, view)
        while self._bytes > self._most_bytes and len(self._views) > 1:
            self._bytes -= self._bytes_of(*self._views.popitem(last=False))

    def _bytes_of(self, key: _Key, view: Readable) -> int:
        return _BYTES_A_VIEW + len(key[0]) + size_of(key[1]) + view.most_bytes
