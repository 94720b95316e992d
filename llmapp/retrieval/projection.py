"""Carries what the catalog has committed into the vector index, checks the one against the other, and rebuilds it.

Applying is idempotent, and work is forgotten only when the index has taken it, so a process may die at any moment. An index
that is missing, damaged or incomplete is thrown away and written anew from the stored vectors: not one is embedded again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmapp.errors import DimensionMismatchError, IndexUnavailableError, LockedError
from llmapp.retrieval.index_check import IndexCheck, compare

if TYPE_CHECKING:
    from llmapp.catalog.catalog import Catalog
    from llmapp.catalog.lock import ProcessLock
    from llmapp.protocols import FloatArray, VectorIndex
    from llmapp.retrieval.serving import ServingIndex

_log = logging.getLogger(__name__)

_BATCH_CHUNKS = 5_000


class IndexProjection:
    """The only writer of the vector index. Safe to use from several threads."""

    def __init__(self, catalog: Catalog, serving: ServingIndex, lock: ProcessLock) -> None:
        """Project `catalog` into the store that serves, which is touched only under `lock`."""
        self._catalog = catalog
        self._serving = serving
        self._lock = lock
        self._turn = threading.RLock()
        self._known_whole: VectorIndex | None = None
        self._failure: str | None = None

    @property
    def failure(self) -> str | None:
        """Why the last `apply_pending` could not write the index; None while all is well."""
        return self._failure

    def apply_pending(self) -> int:
        """Apply all pending work; an index that is not whole is written anew. A store that served before is emptied.

        An index that cannot be written is no error here: the catalog holds everything, exact search serves, and
        `failure` says why.

        Returns:
            Number of chunks written or removed; 0 also when another process holds the index.
        """
        if not self._catalog.pending(limit=1) and "retired" not in self._catalog.other_stores().values():
            return 0
        try:
            with self._turn, self._holding_lock() as index:
                applied = self._apply_or_start_anew(index)
                self._serving.drop_retired()
        except LockedError:
            return 0
        except IndexUnavailableError as error:
            self._failure = error.message
            _log.warning("%s", error.message)
            return 0
        self._failure = None
        return applied

    def rebuild(self) -> int:
        """Throw the index away and write it anew from the stored vectors, without one embedding.

        Returns:
            Number of chunks written.

        Raises:
            LockedError: Another process holds the index.
            IndexUnavailableError: The index cannot be written.
        """
        with self._turn, self._holding_lock() as index:
            self._start_anew(index)
            written = self._apply_all(index)
        self._failure = None
        return written

    def empty(self) -> None:
        """Throw the index away and leave all chunks pending: exact search serves until the next `apply_pending`.

        Raises:
            LockedError: Another process holds the index.
        """
        with self._turn, self._holding_lock() as index:
            self._start_anew(index)
            index.close()

    def verify(self) -> IndexCheck:
        """Compare the index with the catalog: ids both ways, every vector, and some searched for by their own vector.

        Raises:
            LockedError: Another process holds the index.
        """
        with self._turn, self._holding_lock() as index:
            return compare(self._catalog, index)

    def _apply_or_start_anew(self, index: VectorIndex) -> int:
        if index is not self._known_whole and not self._is_whole(index):
            self._start_anew(index)
        try:
            return self._apply_all(index)
        except IndexUnavailableError as error:
            if self._serving.name != index.name:
                return 0  # the vectors have moved, and whoever saw it first has closed this store: it is needed no more
            if not isinstance(error, DimensionMismatchError) and self._is_whole(index):
                raise  # it cannot be written now, a full disk say; what it holds is good
            _log.warning("%s; it is written anew", error.message)
            self._start_anew(index)
            return self._apply_all(index)

    def _is_whole(self, index: VectorIndex) -> bool:
        """Whether the index holds all but the pending chunks. One that is only missing pending work stays as it is.

        One that does not answer is opened anew first: a call that hangs says nothing about what is stored.
        """
        for _ in range(2):
            try:
                return self._expected_ids() <= index.ids()
            except IndexUnavailableError:
                index.close()
        return False

    def _expected_ids(self) -> set[str]:
        return self._catalog.chunk_ids() - {work.chunk_id for work in self._catalog.pending()}

    def _start_anew(self, index: VectorIndex) -> None:
        self._known_whole = None
        index.clear()
        self._catalog.mark_all_pending(store=index.name)

    def _apply_all(self, index: VectorIndex) -> int:
        """Apply what is pending for this store; when the vectors have moved meanwhile, there is no more for it."""
        applied = 0
        self._catalog.bind_store(index.name)
        while work := self._catalog.pending(limit=_BATCH_CHUNKS, store=index.name):
            vectors = self._catalog.vectors([item.chunk_id for item in work if item.action == "upsert"])
            index.delete([item.chunk_id for item in work if item.action == "delete"])
            _upsert(index, vectors)
            self._catalog.mark_applied(work)
            applied += len(work)
        if applied:
            index.settle()
        self._known_whole = index
        return applied

    @contextmanager
    def _holding_lock(self) -> Iterator[VectorIndex]:
        """Hold the lock and give the store.

        One for one process is closed at the end where nobody else in this process holds the lock, or it does not serve any more.
        """
        alone = not self._lock.held
        self._lock.acquire()
        try:
            index = self._serving.current()
            try:
                yield index
            finally:
                if alone:
                    self._known_whole = None
                if not index.is_shared and (alone or self._serving.name != index.name):
                    index.close()
        finally:
            self._lock.release()


def _upsert(index: VectorIndex, vectors: dict[str, FloatArray]) -> None:
    import numpy as np

    if vectors:
        index.upsert(list(vectors), np.stack(list(vectors.values())))
