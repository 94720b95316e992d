"""Chroma in the process: a folder of files, for one process at a time; the caller holds the index lock.

Chroma is not trusted. Tried with 1.5.9: a store whose database or segment was cut short mostly opens without an error, then
answers with too few hits, refuses, or ends the whole process with a segmentation fault; `count()` goes on to claim that
all is there. So this index never opens files that it has not closed the books on itself: each write first breaks the
seal (`llmapp.retrieval.indexes.chroma.seal`) and makes a new one when it is done. Every call has a deadline, and every
failure is an `IndexUnavailableError`: exact search serves, and a rebuild from the catalog costs no embedding.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.errors import IndexUnavailableError
from llmapp.retrieval.indexes.chroma.collection import ChromaCollection
from llmapp.retrieval.indexes.chroma.seal import Seal
from llmapp.retrieval.indexes.chroma.watchdog import REBUILD, Watchdog

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray

_COLLECTION = "chunks"
_READ_DEADLINE_S = 15.0
_WRITE_DEADLINE_S = 180.0
"""A full batch of 5,461 vectors takes 2 to 3 s here; a slow disk is no failure."""
_SPARE_DISK_BYTES = 64 * 2**20
"""Kept free beside what a write needs: a full disk has left an unreadable or hanging store in 4 of 4 trials."""
_DISK_BYTES_PER_VECTOR_BYTE = 4
"""A vector stands in the log and in the segment, and a segment is rewritten whole. Measured: 2.6 times, ids included."""


class ChromaIndex:
    """A persistent Chroma collection. Implements `llmapp.protocols.VectorIndex`; safe to use from several threads."""

    name = "chroma"
    """Name of the store."""
    is_shared = False
    """Two processes that write lose vectors without an error, and one that reads sees what is old."""

    def __init__(
        self, path: Path, *, read_deadline_s: float = _READ_DEADLINE_S, write_deadline_s: float = _WRITE_DEADLINE_S
    ) -> None:
        """Name the folder; nothing is imported or opened before the first use.

        Args:
            path: Folder of the store; made by the first `upsert`.
            read_deadline_s: Seconds that opening or a search may take.
            write_deadline_s: Seconds that one batch of a write may take.
        """
        self._path = path
        self._seal = Seal(path)
        self._read_deadline_s = read_deadline_s
        self._write_deadline_s = write_deadline_s
        self._opening = threading.RLock()
        self._writing = threading.RLock()
        self._watchdog = Watchdog()
        self._collection: ChromaCollection | None = None

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        """Put vectors; applying the same twice changes nothing. `vectors` has shape (len(ids), dim).

        Raises:
            DimensionMismatchError: The store holds vectors of another length; it is as it was.
            IndexUnavailableError: The store cannot be written, is damaged, or the disk is nearly full.
        """
        if not ids:
            return
        self._check_disk(vectors.nbytes)
        with self._writing:
            self._open(may_create=True).check_dim(vectors)
            self._write(lambda store: store.upsert(ids, vectors))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove ids; unknown ones are ignored.

        Raises:
            IndexUnavailableError: The store cannot be written, is damaged, or the disk is nearly full.
        """
        if not ids:
            return
        self._check_disk(0)
        with self._writing:
            self._write(lambda store: store.delete(ids))

    def query(self, vector: FloatArray, *, top_k: int) -> list[tuple[str, float]]:
        """The `top_k` nearest ids with their cosine similarity, best first. `vector` has shape (dim,) and length 1.

        Raises:
            DimensionMismatchError: The store holds vectors of another length.
            IndexUnavailableError: The store is missing, damaged, or does not answer.
        """
        return self._open(may_create=False).query(vector, top_k=top_k)

    def ids(self) -> set[str]:
        """All ids in the store; their vectors may still be gone, so a check reads them too.

        Raises:
            IndexUnavailableError: The store is missing, damaged, or does not answer.
        """
        return self._open(may_create=False).ids()

    def vectors(self, ids: Sequence[str]) -> dict[str, FloatArray]:
        """The stored vectors of those `ids` that are there, each of shape (dim,).

        Raises:
            IndexUnavailableError: The store is missing, damaged, or does not answer.
        """
        return self._open(may_create=False).vectors(ids) if ids else {}

    def mend(self) -> None:
        """Open files that were not written to the end; of 118 stores whose writer was killed, all were readable.

        Files that cannot be read, or have ended the process that tried, are thrown away.

        Raises:
            IndexUnavailableError: The folder cannot be removed.
        """
        trying = self._path.with_name(self._path.name + ".mending")
        with self._writing:
            if self._path.exists() and self._seal.broken():
                try:
                    if trying.exists():
                        raise IndexUnavailableError("the files have ended a process")  # noqa: TRY301 - as any that cannot be read
                    trying.touch()
                    self._open_as_it_is()
                    self._seal.make()
                except IndexUnavailableError:
                    self.clear()
            trying.unlink(missing_ok=True)

    def _open_as_it_is(self) -> None:
        self.close()
        with self._opening:
            self._collection = self._watchdog.run(self._read_deadline_s, self._connect)
            self._collection.vectors(sorted(self._collection.ids()))

    def settle(self) -> None:
        """Do nothing: Chroma indexes what it is given."""

    def fault(self) -> str | None:
        """Why the files cannot be trusted; None when they are as they were last written."""
        reason = self._seal.broken()
        return f"the vector index {reason}" if reason else None

    def clear(self) -> None:
        """Throw everything away, a broken, hanging or half-deleted store included.

        Raises:
            IndexUnavailableError: The folder cannot be removed.
        """
        with self._writing:
            self.close()
            self._seal.break_()
            try:
                if self._path.exists():
                    shutil.rmtree(self._path)
            except OSError as error:
                raise IndexUnavailableError(f"cannot remove {self._path}: {error}", hint="check its permissions") from error

    def close(self) -> None:
        """Release the files; the next use opens them again. A call that hangs is left behind."""
        with self._opening:
            collection, self._collection = self._collection, None
            watchdog, self._watchdog = self._watchdog, Watchdog()
        if collection is not None and not watchdog.hung:
            with suppress(IndexUnavailableError):
                watchdog.run(self._read_deadline_s, collection.client.close)
        if watchdog.has_hung:
            _forget_clients()

    def _open(self, *, may_create: bool) -> ChromaCollection:
        with self._opening:
            if self._watchdog.hung:
                raise IndexUnavailableError(self._watchdog.hung, hint=REBUILD)
            if self._collection is None:
                self._check_files(may_create=may_create)
                self._collection = self._watchdog.run(self._read_deadline_s, self._connect)
            return self._collection

    def _connect(self) -> ChromaCollection:
        from chromadb.api.client import Client
        from chromadb.config import Settings

        # What `chromadb.PersistentClient` makes, with its own type: that function hides `close`.
        client = Client(settings=Settings(persist_directory=str(self._path), is_persistent=True, anonymized_telemetry=False))
        try:
            collection = client.get_or_create_collection(
                _COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "ip"}}
            )
        except BaseException:
            # Else Chroma keeps the half-open store for the whole process and hands it out again after a rebuild.
            client.close()
            raise
        return ChromaCollection(
            client,
            collection,
            self._watchdog,
            read_deadline_s=self._read_deadline_s,
            write_deadline_s=self._write_deadline_s,
        )

    def _check_files(self, *, may_create: bool) -> None:
        if may_create and not self._path.exists():
            return
        if reason := self._seal.broken():
            raise IndexUnavailableError(f"the vector index {reason}", hint=REBUILD)

    def _write(self, write: Callable[[ChromaCollection], object]) -> None:
        """Write between breaking the seal and making it anew."""
        store = self._open(may_create=True)
        try:
            self._seal.break_()
            write(store)
            self._seal.make()
        except IndexUnavailableError:
            # What is half written is not sealed by a later write: the next use finds the broken seal.
            self.close()
            raise

    def _check_disk(self, new_bytes: int) -> None:
        needed_bytes = _SPARE_DISK_BYTES + _DISK_BYTES_PER_VECTOR_BYTE * new_bytes
        folder = next(folder for folder in (self._path, *self._path.parents) if folder.exists())
        free_bytes = shutil.disk_usage(folder).free
        if free_bytes < needed_bytes:
            raise IndexUnavailableError(
                f"the vector index needs {needed_bytes / 2**20:.0f} MB of free disk, there are {free_bytes / 2**20:.0f}",
                hint="free some space; exact search serves meanwhile",
            )


def _forget_clients() -> None:
    from chromadb.api.shared_system_client import SharedSystemClient

    # Chroma keeps one store a folder for the whole process; a hung one would be handed out again.
    SharedSystemClient.clear_system_cache()
