"""Moves the vectors of the catalog to another store, from what is stored: not one is embedded again.

The catalog knows every vector and the other store knows what it holds already, so a move is: put what it lacks, remove what it
should not have, until nothing is left to do. Killed anywhere, it goes on from there. The store that serves is not touched, and goes
on to serve and to be kept up, until the catalog names the other one: in one transaction with the work that came in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmapp.errors import DimensionMismatchError, IndexUnavailableError
from llmapp.retrieval.index_check import blindness, lost_ids, overlooked_ids

if TYPE_CHECKING:
    from llmapp.catalog.catalog import Catalog
    from llmapp.catalog.lock import ProcessLock
    from llmapp.protocols import Progress, VectorIndex
    from llmapp.retrieval.serving import ServingIndex

_BATCH_CHUNKS = 2_000
"""Lost at most when the move is killed."""
_ROUNDS = 5
"""What is committed during one round is carried over in the next; the rest is pending after the swap."""


@dataclass(frozen=True, slots=True)
class MovePlan:
    """What a move would do."""

    former: str
    """Name of the store that serves."""
    store: str
    """Name of the store that would serve."""
    chunks: int
    """Live chunks in the catalog."""
    to_put: int
    """Vectors that the store lacks."""
    to_remove: int
    """Vectors in the store that no live chunk has."""


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What a move has done."""

    former: str
    """Name of the store that served."""
    store: str
    """Name of the store that serves now."""
    chunks: int
    """Vectors in it."""
    put: int
    """Of these, the ones that this run has put; an earlier run that was cut short has put the others."""
    removed: int
    """Vectors that were removed from it."""
    pending: int
    """Chunks that were committed so late that they are applied after the swap; they are searched exactly until then."""
    seconds: float


class IndexMove:
    """A move of the vectors to another store."""

    def __init__(
        self, catalog: Catalog, serving: ServingIndex, lock: ProcessLock, index_lock: ProcessLock, *, store: str
    ) -> None:
        """Prepare it.

        Args:
            catalog: Holds the vectors.
            serving: Names the store that serves, and opens others.
            lock: The lock of moves.
            index_lock: The lock of the index; held too where the store is for one process, which may have it open still.
            store: Name of the store to move to.

        Raises:
            ConfigError: The settings do not say where that store is.
        """
        self._catalog = catalog
        self._serving = serving
        self._lock = lock
        self._index_lock = index_lock
        self._former = serving.name
        self._store: VectorIndex = serving.open_other(store)
        self._put = self._removed = 0

    def plan(self) -> MovePlan:
        """See what is to be done; nothing is changed.

        A store that serves is not opened, for it may be one that only the process that serves from it opens; another one is
        opened by whoever holds the lock of moves.

        Raises:
            LockedError: Another process moves the vectors, or holds the index, and the store is for one process.
        """
        with self._holding_locks():
            live = self._catalog.chunk_ids()
            held = live if self._store.name == self._former else self._ids()
            self._store.close()
        return MovePlan(self._former, self._store.name, len(live), len(live - held), len(held - live))

    def run(self, progress: Progress | None = None, *, keep_former: bool = False) -> MoveReport:
        """Move, then let the store serve. Does nothing when it serves already.

        Args:
            progress: Told of every vector that is put; None tells nobody.
            keep_former: Whether the store that served keeps its vectors; else whoever holds the index next empties it.

        Raises:
            LockedError: Another process moves the vectors, or holds the index, and the store is for one process.
            IndexUnavailableError: The store cannot be written, or does not give back what it was given; the former one serves.
        """
        started = time.monotonic()
        with self._holding_locks():
            try:
                if self._store.name == self._former:
                    return self._report(started, set(), 0)
                held = self._fill(progress)
                self._prove(held, progress)
            finally:
                self._store.close()
            pending = self._catalog.serve_from(self._store.name, held=held, former=self._former, keep_former=keep_former)
            return self._report(started, held, pending)

    @contextmanager
    def _holding_locks(self) -> Iterator[None]:
        with self._lock:
            self._former = self._serving.name  # another move may have ended meanwhile
            is_open_to_all = self._store.is_shared or self._store.name == self._former
            with nullcontext() if is_open_to_all else self._index_lock:
                yield

    def _report(self, started: float, held: set[str], pending: int) -> MoveReport:
        seconds = time.monotonic() - started
        return MoveReport(self._former, self._store.name, len(held), self._put, self._removed, pending, seconds)

    def _fill(self, progress: Progress | None) -> set[str]:
        """Bring the store to what the catalog holds. Returns its ids."""
        self._catalog.note_other_store(self._store.name, "begun")
        self._store.mend()
        held = self._ids()
        if progress is not None:
            progress.start(len(self._catalog.chunk_ids() - held))
        for _ in range(_ROUNDS):
            live = self._catalog.chunk_ids()
            if live == held:
                break
            self._remove(sorted(held - live), held)
            try:
                self._copy(sorted(live - held), held, progress)
            except DimensionMismatchError:  # an earlier move to it was begun with another embedder
                self._store.clear()
                held.clear()
        self._store.settle()
        return held

    def _ids(self) -> set[str]:
        try:
            return self._store.ids()
        except IndexUnavailableError:
            return set()  # it was never written, or is of no use; a write tells

    def _remove(self, ids: Sequence[str], held: set[str]) -> None:
        for batch in _batches(ids):
            self._store.delete(batch)
            held.difference_update(batch)
            self._removed += len(batch)

    def _copy(self, ids: Sequence[str], held: set[str], progress: Progress | None) -> None:
        import numpy as np

        for batch in _batches(ids):
            vectors = self._catalog.vectors(batch)  # a chunk that was removed meanwhile has none
            if vectors:
                self._store.upsert(list(vectors), np.stack(list(vectors.values())))
            held.update(vectors)
            self._put += len(vectors)
            if progress is not None:
                for chunk_id in batch:
                    progress.advance(chunk_id)

    def _prove(self, held: set[str], progress: Progress | None) -> None:
        """See that the store gives back what it was given; what it does not is put once more."""
        ids = sorted(held)
        if lost := list(lost_ids(self._catalog, self._store, ids)):
            self._copy(lost, held, progress)
            lost = list(lost_ids(self._catalog, self._store, lost))
        fault = f"{len(lost)} vectors do not come back" if lost else ""
        fault = fault or blindness(*overlooked_ids(self._catalog, self._store, ids))
        if fault:
            self._store.clear()
            raise IndexUnavailableError(
                f"{self._store.name} does not hold what was put: {fault}", hint=f"{self._former} serves on; run it again"
            )


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _BATCH_CHUNKS] for start in range(0, len(ids), _BATCH_CHUNKS))
