"""The vector index on Chroma: ids and vectors, nothing else. The only module that imports chromadb.

Chroma is not trusted. Tried with 1.5.9: a store whose database or segment was cut short mostly opens without an error, then
answers with too few hits, refuses, or ends the whole process with a segmentation fault; `count()` goes on to claim that
all is there. So this index never opens files that it has not closed the books on itself: each write first breaks the
seal (`llmapp.retrieval.seal`) and makes a new one when it is done. Every call has a deadline, and every failure is an
`IndexUnavailableError`: exact search serves, and a rebuild from the catalog costs no embedding.

One process at a time: the caller holds the index lock.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from llmapp.errors import IndexUnavailableError
from llmapp.retrieval.seal import Seal

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api.client import Client

    from llmapp.protocols import FloatArray

_T = TypeVar("_T")

_COLLECTION = "chunks"
_READ_DEADLINE_S = 15.0
_WRITE_DEADLINE_S = 180.0
"""A full batch of 5,461 vectors takes 2 to 3 s here; a slow disk is no failure."""
_SPARE_DISK_BYTES = 64 * 2**20
"""Kept free beside what a write needs: a full disk has left an unreadable or hanging store in 4 of 4 trials."""
_DISK_BYTES_PER_VECTOR_BYTE = 4
"""A vector stands in the log and in the segment, and a segment is rewritten whole. Measured: 2.6 times, ids included."""
_REBUILD = "run llmapp index rebuild; it needs no embedding, and exact search serves meanwhile"


class ChromaIndex:
    """A persistent Chroma collection. Implements `llmapp.protocols.VectorIndex`; safe to use from several threads."""

    name = "chroma"
    """Name of the store."""

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
        self._client: Client | None = None
        self._collection: Collection | None = None
        self._hung: str | None = None

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        """Put vectors; applying the same twice changes nothing. `vectors` has shape (len(ids), dim).

        Raises:
            IndexUnavailableError: The store cannot be written, is damaged, or the disk is nearly full.
        """
        if not ids:
            return
        self._check_disk(vectors.nbytes)
        self._write(ids, lambda store, part: store.upsert(ids=list(ids[part]), embeddings=vectors[part]))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove ids; unknown ones are ignored.

        Raises:
            IndexUnavailableError: The store cannot be written, is damaged, or the disk is nearly full.
        """
        if not ids:
            return
        self._check_disk(0)
        self._write(ids, lambda store, part: store.delete(ids=list(ids[part])))

    def query(self, vector: FloatArray, *, top_k: int) -> list[tuple[str, float]]:
        """The `top_k` nearest ids with their cosine similarity, best first. `vector` has shape (dim,) and length 1.

        Raises:
            IndexUnavailableError: The store is missing, damaged, or does not answer.
        """
        store = self._open(may_create=False)
        found = self._within(
            self._read_deadline_s,
            lambda: store.query(query_embeddings=vector[None, :], n_results=top_k, include=["distances"]),
        )
        ids, distances = found["ids"][0], (found["distances"] or [[]])[0]
        # The distance of the inner-product space is 1 - cosine for unit vectors.
        return [(chunk_id, 1.0 - float(distance)) for chunk_id, distance in zip(ids, distances, strict=True)]

    def ids(self) -> set[str]:
        """All ids in the store; their vectors may still be gone, so a check queries them too.

        Raises:
            IndexUnavailableError: The store is missing, damaged, or does not answer.
        """
        store = self._open(may_create=False)
        return set(self._within(self._write_deadline_s, lambda: store.get(include=[]))["ids"])

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
            self._hung = None
            self._seal.break_()
            try:
                if self._path.exists():
                    shutil.rmtree(self._path)
            except OSError as error:
                raise IndexUnavailableError(f"cannot remove {self._path}: {error}", hint="check its permissions") from error

    def close(self) -> None:
        """Release the files; the next use opens them again. A call that hangs is left behind."""
        with self._opening:
            client, self._client, self._collection = self._client, None, None
        if self._hung:
            _forget_clients()
        elif client is not None:
            with suppress(IndexUnavailableError):
                self._within(self._read_deadline_s, client.close)

    def _open(self, *, may_create: bool) -> Collection:
        with self._opening:
            if self._hung:
                raise IndexUnavailableError(self._hung, hint=_REBUILD)
            if self._collection is None:
                self._check_files(may_create=may_create)
                self._client, self._collection = self._within(self._read_deadline_s, self._connect)
            return self._collection

    def _connect(self) -> tuple[Client, Collection]:
        from chromadb.api.client import Client
        from chromadb.config import Settings

        # What `chromadb.PersistentClient` makes, with its own type: that function hides `close`.
        client = Client(settings=Settings(persist_directory=str(self._path), is_persistent=True, anonymized_telemetry=False))
        try:
            return client, client.get_or_create_collection(
                _COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "ip"}}
            )
        except BaseException:
            # Else Chroma keeps the half-open store for the whole process and hands it out again after a rebuild.
            client.close()
            raise

    def _check_files(self, *, may_create: bool) -> None:
        if may_create and not self._path.exists():
            return
        if reason := self._seal.broken():
            raise IndexUnavailableError(f"the vector index {reason}", hint=_REBUILD)

    def _write(self, ids: Sequence[str], write: Callable[[Collection, slice], object]) -> None:
        """Run `write` on slices of `ids` that Chroma takes, between breaking the seal and making it anew."""
        with self._writing:
            store = self._open(may_create=True)
            try:
                self._seal.break_()
                for part in self._parts(len(ids)):
                    self._within(self._write_deadline_s, partial(write, store, part))
                self._seal.make()
            except IndexUnavailableError:
                # What is half written is not sealed by a later write: the next use finds the broken seal.
                self.close()
                raise

    def _parts(self, count: int) -> list[slice]:
        client = self._client
        if client is None:
            raise IndexUnavailableError("the vector index was closed during a write", hint="try again")
        size = self._within(self._read_deadline_s, client.get_max_batch_size)
        return [slice(start, start + size) for start in range(0, count, size)]

    def _check_disk(self, new_bytes: int) -> None:
        needed_bytes = _SPARE_DISK_BYTES + _DISK_BYTES_PER_VECTOR_BYTE * new_bytes
        folder = next(folder for folder in (self._path, *self._path.parents) if folder.exists())
        free_bytes = shutil.disk_usage(folder).free
        if free_bytes < needed_bytes:
            raise IndexUnavailableError(
                f"the vector index needs {needed_bytes / 2**20:.0f} MB of free disk, there are {free_bytes / 2**20:.0f}",
                hint="free some space; exact search serves meanwhile",
            )

    def _within(self, deadline_s: float, call: Callable[[], _T]) -> _T:
        """Run a call of Chroma in a thread of its own, which may hang without holding anyone, not even the exit."""
        future: Future[_T] = Future()
        threading.Thread(target=_settle, args=(future, call), daemon=True, name="chroma").start()
        try:
            return future.result(deadline_s)
        except TimeoutError as error:
            self._hung = f"the vector index has not answered for {deadline_s:g} s"
            raise IndexUnavailableError(self._hung, hint=_REBUILD) from error
        except BaseException as error:
            # Chroma's own errors, SQLite's, and Rust panics, which are no `Exception`; an interrupt by the user is none.
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise IndexUnavailableError(f"the vector index failed: {_one_line(error)}", hint=_REBUILD) from error


def _forget_clients() -> None:
    from chromadb.api.shared_system_client import SharedSystemClient

    # Chroma keeps one store a folder for the whole process; a hung one would be handed out again.
    SharedSystemClient.clear_system_cache()


def _settle(future: Future[_T], call: Callable[[], _T]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 - handed on to the caller's thread
        future.set_exception(error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
