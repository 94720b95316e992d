"""The store that serves. Which one that is stands in the catalog, so every process follows when the vectors have moved."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llmapp.errors import IndexUnavailableError, LLMAppError

if TYPE_CHECKING:
    from llmapp.catalog.catalog import Catalog
    from llmapp.catalog.lock import ProcessLock
    from llmapp.protocols import FloatArray, VectorIndex

_log = logging.getLogger(__name__)


class ServingIndex:
    """A `VectorIndex` that is whichever store the catalog names. Safe to use from several threads.

    A search takes the lock where the store is for one process alone, and keeps it; whoever writes holds it already.
    """

    def __init__(
        self,
        catalog: Catalog,
        open_store: Callable[[str], VectorIndex],
        *,
        initial: str,
        lock: ProcessLock,
        move_lock: ProcessLock | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            catalog: Names the store that serves.
            open_store: Makes a store by its name.
            initial: Name of the store that serves when the catalog names none.
            lock: The lock of the index.
            move_lock: Held by whoever moves the vectors to another store; None where they never move.
        """
        self._catalog = catalog
        self._open_store = open_store
        self._initial = initial
        self._lock = lock
        self._move_lock = move_lock
        self._switching = threading.Lock()
        self._taking = threading.Lock()
        self._taken = False
        self._opened: tuple[tuple[str, int], VectorIndex] | None = None
        self._left_alone: set[str] = set()

    def current(self) -> VectorIndex:
        """The store that serves now; the one that served before is closed.

        Raises:
            ConfigError: The settings do not say where the store is.
        """
        name, swaps = self._catalog.serving()
        serving = (name or self._initial, swaps)
        with self._switching:
            if self._opened is None or self._opened[0] != serving:
                former, self._opened = self._opened, (serving, self._open_store(serving[0]))
                if former is not None:
                    former[1].close()
                if self._opened[1].is_shared:
                    self._give_lock_back()
            return self._opened[1]

    @property
    def name(self) -> str:
        """Name of the store that serves; it need not be one that can be opened, so that the vectors can move away from it."""
        return self._catalog.serving_store() or self._initial

    @property
    def is_shared(self) -> bool:
        """Whether several processes may read it at the same time."""
        return self.current().is_shared

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        """See `VectorIndex.upsert`."""
        self.current().upsert(ids, vectors)

    def delete(self, ids: Sequence[str]) -> None:
        """See `VectorIndex.delete`."""
        self.current().delete(ids)

    def query(self, vector: FloatArray, *, top_k: int) -> list[tuple[str, float]]:
        """See `VectorIndex.query`.

        Raises:
            IndexUnavailableError: Also when the store is for one process and another one holds it.
        """
        store = self.current()
        if not store.is_shared and not self._take_lock():
            raise IndexUnavailableError("another process holds the vector index", hint="exact search serves meanwhile")
        return store.query(vector, top_k=top_k)

    def ids(self) -> set[str]:
        """See `VectorIndex.ids`."""
        return self.current().ids()

    def vectors(self, ids: Sequence[str]) -> dict[str, FloatArray]:
        """See `VectorIndex.vectors`."""
        return self.current().vectors(ids)

    def settle(self) -> None:
        """See `VectorIndex.settle`."""
        self.current().settle()

    def mend(self) -> None:
        """See `VectorIndex.mend`."""
        self.current().mend()

    def fault(self) -> str | None:
        """See `VectorIndex.fault`."""
        return self.current().fault()

    def clear(self) -> None:
        """See `VectorIndex.clear`."""
        self.current().clear()

    def close(self) -> None:
        """Release files and connections; the next use opens them again."""
        with self._switching:
            if self._opened is not None:
                self._opened[1].close()

    def open_other(self, name: str) -> VectorIndex:
        """A store by its name, which need not be the one that serves; closed by the caller.

        Raises:
            ConfigError: The settings do not say where the store is.
        """
        return self._open_store(name)

    def drop_retired(self) -> None:
        """Empty the stores that served once and are not kept; the caller holds the lock of the index.

        One that cannot be emptied now is left for the next process, with a warning.
        """
        if self._move_lock is None or not self._move_lock.try_acquire():
            return
        try:
            for name, why in self._catalog.other_stores().items():
                if why == "retired" and name not in self._left_alone:
                    self._try_to_drop(name)
        finally:
            self._move_lock.release()

    def _try_to_drop(self, name: str) -> None:
        try:
            self.drop_other(name)
        except LLMAppError as error:
            self._left_alone.add(name)
            _log.warning("%s served before and could not be emptied: %s", name, error.message)

    def drop_other(self, name: str) -> None:
        """Empty a store that does not serve; the caller holds the locks of moves and of the index.

        Raises:
            ConfigError: The settings do not say where the store is.
            IndexUnavailableError: It cannot be emptied.
        """
        self.current()  # closes it, should it have served until now
        store = self._open_store(name)
        store.clear()
        store.close()
        self._catalog.note_other_store(name, None)

    def _take_lock(self) -> bool:
        """Take the lock at the first need and keep it: whoever else of this process holds it may give it back any time."""
        with self._taking:
            self._taken = self._taken or self._lock.try_acquire()
            return self._taken

    def _give_lock_back(self) -> None:
        """A store that serves several needs no lock, and a move back to one for one process takes it."""
        with self._taking:
            if self._taken:
                self._lock.release()
            self._taken = False
