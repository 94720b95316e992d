"""Carries what the catalog has committed into the vector index, checks the one against the other, and rebuilds it.

Applying is idempotent, and work is forgotten only when the index has taken it, so a process may die at any moment. An index
that is missing, damaged or incomplete is thrown away and written anew from the stored vectors: not one is embedded again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmapp.errors import DimensionMismatchError, IndexUnavailableError, LockedError

if TYPE_CHECKING:
    from llmapp.catalog.catalog import Catalog
    from llmapp.catalog.lock import ProcessLock
    from llmapp.protocols import FloatArray, VectorIndex

_log = logging.getLogger(__name__)

_BATCH_CHUNKS = 5_000
_MOST_SEARCHED = 200
_NEIGHBOURS = 10
_MOST_OVERLOOKED = 0.05
"""An approximate index overlooks some vectors however good it is: 1 of 600 was seen. More than this share is a fault."""
_SAME = 0.9999
"""Cosine similarity from which two vectors count as equal."""


@dataclass(frozen=True, slots=True)
class IndexCheck:
    """What a comparison of the vector index with the catalog has found."""

    ok: bool
    chunks: int
    """Live chunks in the catalog."""
    pending: int
    """Work that the index has not applied yet; no fault, since it is searched exactly."""
    missing: int | None
    """Chunks that should be in the index and are not; None when it cannot be read."""
    unknown: int | None
    """Ids in the index that no live chunk has; None when it cannot be read."""
    lost: int | None
    """Chunks of which the index holds no vector or another one; None when it cannot be read."""
    searched: int
    """Chunks that were searched for by their own vector, a sample."""
    overlooked: int
    """Of these, the ones that were not found: a few are no fault of an approximate index."""
    reason: str
    """What is wrong, one line; empty when `ok`."""


class IndexProjection:
    """The only writer of the vector index. Safe to use from several threads."""

    def __init__(self, catalog: Catalog, index: VectorIndex, lock: ProcessLock) -> None:
        """Project `catalog` into `index`, which is touched only under `lock`."""
        self._catalog = catalog
        self._index = index
        self._lock = lock
        self._turn = threading.RLock()
        self._known_whole = False
        self._failure: str | None = None

    @property
    def failure(self) -> str | None:
        """Why the last `apply_pending` could not write the index; None while all is well."""
        return self._failure

    def apply_pending(self) -> int:
        """Apply all pending work; an index that is not whole is written anew.

        An index that cannot be written is no error here: the catalog holds everything, exact search serves, and
        `failure` says why.

        Returns:
            Number of chunks written or removed; 0 also when another process holds the index.
        """
        if not self._catalog.pending(limit=1):
            return 0
        try:
            with self._turn, self._holding_lock():
                applied = self._apply_or_start_anew()
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
        with self._turn, self._holding_lock():
            self._start_anew()
            written = self._apply_all()
        self._failure = None
        return written

    def empty(self) -> None:
        """Throw the index away and leave all chunks pending: exact search serves until the next `apply_pending`.

        Raises:
            LockedError: Another process holds the index.
        """
        with self._turn, self._holding_lock():
            self._start_anew()
            self._index.close()

    def verify(self) -> IndexCheck:
        """Compare the index with the catalog: ids both ways, every vector, and some searched for by their own vector.

        Counts are not believed: Chroma has been seen to count 6,000 vectors with 5,999 of them gone.

        Raises:
            LockedError: Another process holds the index.
        """
        with self._turn, self._holding_lock():
            return self._compare()

    def _apply_or_start_anew(self) -> int:
        if not self._known_whole and not self._is_whole():
            self._start_anew()
        try:
            return self._apply_all()
        except IndexUnavailableError as error:
            if not isinstance(error, DimensionMismatchError) and self._is_whole():
                raise  # it cannot be written now, a full disk say; what it holds is good
            _log.warning("%s; it is written anew", error.message)
            self._start_anew()
            return self._apply_all()

    def _is_whole(self) -> bool:
        """Whether the index holds all but the pending chunks. One that is only missing pending work stays as it is."""
        try:
            return self._expected_ids() <= self._index.ids()
        except IndexUnavailableError:
            return False

    def _expected_ids(self) -> set[str]:
        return self._catalog.chunk_ids() - {work.chunk_id for work in self._catalog.pending()}

    def _start_anew(self) -> None:
        self._known_whole = False
        self._index.clear()
        self._catalog.mark_all_pending()

    def _apply_all(self) -> int:
        applied = 0
        while work := self._catalog.pending(limit=_BATCH_CHUNKS):
            vectors = self._catalog.vectors([item.chunk_id for item in work if item.action == "upsert"])
            self._index.delete([item.chunk_id for item in work if item.action == "delete"])
            self._upsert(vectors)
            self._catalog.mark_applied(work)
            applied += len(work)
        self._index.settle()
        self._known_whole = True
        return applied

    def _upsert(self, vectors: dict[str, FloatArray]) -> None:
        import numpy as np

        if vectors:
            self._index.upsert(list(vectors), np.stack(list(vectors.values())))

    def _compare(self) -> IndexCheck:
        live = self._catalog.chunk_ids()
        pending = {work.chunk_id for work in self._catalog.pending()}
        expected = live - pending
        if not expected:
            return IndexCheck(True, len(live), len(pending), 0, 0, 0, 0, 0, "")
        try:
            found = self._index.ids()
            there = sorted(expected & found)
            lost = sum(self._lost(there[start : start + _BATCH_CHUNKS]) for start in range(0, len(there), _BATCH_CHUNKS))
            sample = there[:: -(-len(there) // _MOST_SEARCHED) or 1]
            overlooked = sum(not self._finds(*pair) for pair in self._catalog.vectors(sample).items())
        except IndexUnavailableError as error:
            return IndexCheck(False, len(live), len(pending), None, None, None, 0, 0, error.message)
        missing, unknown = len(expected - found), len(found - live - pending)
        reason = _reason(missing=missing, unknown=unknown, lost=lost, searched=len(sample), overlooked=overlooked)
        return IndexCheck(not reason, len(live), len(pending), missing, unknown, lost, len(sample), overlooked, reason)

    def _lost(self, ids: Sequence[str]) -> int:
        """How many of `ids` have no vector in the index, or another than in the catalog."""
        stored = self._index.vectors(ids)
        return sum(
            chunk_id not in stored or float(stored[chunk_id] @ vector) < _SAME
            for chunk_id, vector in self._catalog.vectors(ids).items()
        )

    def _finds(self, chunk_id: str, vector: FloatArray) -> bool:
        hits = dict(self._index.query(vector, top_k=_NEIGHBOURS))
        # Of many chunks with one and the same vector, any will do.
        return chunk_id in hits or max(hits.values(), default=0.0) >= _SAME

    @contextmanager
    def _holding_lock(self) -> Iterator[None]:
        """Hold the lock; where nobody else in this process does, an index for one process is closed before it is given back."""
        alone = not self._lock.held
        self._lock.acquire()
        try:
            yield
        finally:
            if alone:
                self._known_whole = False
                if not self._index.is_shared:
                    self._index.close()
            self._lock.release()


def _reason(*, missing: int, unknown: int, lost: int, searched: int, overlooked: int) -> str:
    parts = [
        f"{missing} chunks are missing" if missing else "",
        f"{unknown} ids belong to no chunk" if unknown else "",
        f"{lost} chunks have another vector, or none" if lost else "",
        f"{overlooked} of {searched} chunks are not found by their own vector"
        if overlooked > max(1, _MOST_OVERLOOKED * searched)
        else "",
    ]
    return ", ".join(part for part in parts if part)
