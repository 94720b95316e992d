"""Documents on their way, in order and within bounds: prepared in several threads, landed in batches by one.

Knows jobs, batches and threads; not what landing means. What is handed in first lands first, and an action handed in
between two documents runs when the first has landed. As much is under way as the bounds allow; then handing in waits, so
memory stays bounded however large and however fast the source.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from llmapp.ingestion.preparing import DocumentFailedError, Job, Prepared

_IDLE_S = 0.5
"""Time without news after which a batch is landed though it is not full: its source may be slow. Seconds."""
_CROWDED_S = 0.01
"""The same while somebody waits for room, which may be what the batch takes. Seconds."""
_TEXT_COPIES = 3
"""What a prepared document takes, in lengths of its text: the text, its chunks, what is embedded for them."""


class Crew(Protocol):
    """What is done with a document; all but `prepare` in one thread, in order."""

    def prepare(self, job: Job) -> Prepared:
        """Parse and cut it; called in several threads.

        Raises:
            DocumentFailedError: It cannot be.
        """

    def land(self, documents: Sequence[Prepared]) -> None:
        """Embed and commit."""

    def fail(self, job: Job, error: DocumentFailedError) -> None:
        """Set aside what could not be prepared."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be under way."""

    workers: int = 2
    """Documents that are prepared at the same time. Count."""
    batch_chunks: int = 256
    """Chunks from which on a batch is landed. Count."""
    documents: int = 1024
    """Documents under way. Count."""
    content_bytes: int = 64 << 20
    """Content under way, or the texts that it has become; a larger document goes alone. Bytes."""


@dataclass(frozen=True, slots=True)
class _Action:
    run: Callable[[], None]
    always: bool = False
    """Whether it runs also when an earlier document could not be landed."""


_Task: TypeAlias = tuple[Job, "Future[Prepared]"]


class Pipeline:
    """One run's documents. Use it as a context manager: its end lands everything, an exception drops what is under way."""

    def __init__(self, crew: Crew, bounds: Bounds) -> None:
        """Start the threads."""
        self._crew = crew
        self._bounds = bounds
        self._pool = ThreadPoolExecutor(bounds.workers, thread_name_prefix="prepare")
        self._line: queue.SimpleQueue[_Task | _Action | None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._under_way: dict[str, int] = {}  # bytes of content or text by document id
        self._is_waited_for = False
        self._error: BaseException | None = None
        self._batch: list[Prepared] = []
        # The context of the caller counts what embedding costs.
        context = contextvars.copy_context()
        self._lander = threading.Thread(target=context.run, args=(self._work,), name="land", daemon=True)
        self._lander.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._abandon(error)
        self._line.put(None)
        self._lander.join()
        # After an error nobody waits for a parser that may take a minute.
        self._pool.shutdown(wait=self._error is None, cancel_futures=True)
        if error is None:
            self._check()

    def __contains__(self, document_id: str) -> bool:
        """Whether a document is under way."""
        with self._room:
            return document_id in self._under_way

    def submit(self, job: Job) -> None:
        """Hand in a document; waits while too much is under way.

        Raises:
            Exception: Whatever stopped the landing of an earlier one.
        """
        size_bytes = len(job.content)
        with self._room:
            while self._error is None and not self._has_room_for(size_bytes):
                self._is_waited_for = True
                self._room.wait()
            self._is_waited_for = False
            self._check()
            self._under_way[job.document.id] = size_bytes
        self._line.put((job, self._pool.submit(self._prepare, job)))

    def then(self, action: Callable[[], None]) -> None:
        """Run `action` when everything handed in before has landed, in the thread that lands.

        Raises:
            Exception: Whatever stopped the landing of an earlier document.
        """
        self._check()
        self._line.put(_Action(action))

    def drain(self) -> None:
        """Wait until everything handed in has landed.

        Raises:
            Exception: Whatever stopped the landing.
        """
        done = threading.Event()
        self._line.put(_Action(done.set, always=True))
        done.wait()
        self._check()

    def _prepare(self, job: Job) -> Prepared:
        """Prepare a document when there is room for its text: a small content may expand to a large one."""
        name = job.document.id
        with self._room:
            # The oldest always goes on: what is younger waits to land behind it.
            while self._error is None and self._is_full() and next(iter(self._under_way), name) != name:
                self._is_waited_for = True
                self._room.wait(_IDLE_S)
            self._is_waited_for = False
        prepared = self._crew.prepare(job)
        with self._room:
            if name in self._under_way:
                self._under_way[name] = max(self._under_way[name], _TEXT_COPIES * len(prepared.record.text))
        return prepared

    def _is_full(self) -> bool:
        return sum(self._under_way.values()) > self._bounds.content_bytes

    def _has_room_for(self, size_bytes: int) -> bool:
        if not self._under_way:
            return True
        held_bytes = sum(self._under_way.values())
        return len(self._under_way) < self._bounds.documents and held_bytes + size_bytes <= self._bounds.content_bytes

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _abandon(self, error: BaseException) -> None:
        with self._room:
            self._error = self._error or error
            self._room.notify_all()

    def _work(self) -> None:
        while (entry := self._next()) is not None:
            if isinstance(entry, _Action):
                self._guarded(self._land)
                if self._error is None or entry.always:
                    self._guarded(entry.run)
            elif self._error is None:
                self._guarded(partial(self._take, *entry))
        self._guarded(self._land)

    def _next(self) -> _Task | _Action | None:
        while True:
            timeout_s = None if not self._batch else _CROWDED_S if self._is_waited_for else _IDLE_S
            try:
                return self._line.get(timeout=timeout_s)
            except queue.Empty:
                self._guarded(self._land)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that hands in
            self._abandon(error)

    def _take(self, job: Job, future: Future[Prepared]) -> None:
        try:
            prepared = self._result(future)
        except DocumentFailedError as error:
            self._crew.fail(job, error)
            self._leave([job.document.id])
            return
        if prepared is None:
            return
        self._batch.append(prepared)
        if prepared.pieces is not None or sum(len(one.texts) for one in self._batch) >= self._bounds.batch_chunks:
            self._land()

    def _result(self, future: Future[Prepared]) -> Prepared | None:
        """What a thread has prepared; None when the run has been given up meanwhile."""
        while self._error is None:
            if wait([future], timeout=_CROWDED_S if self._is_waited_for else _IDLE_S).done:
                return future.result()
            self._land()  # it may wait for the room that the batch takes
        return None

    def _land(self) -> None:
        batch, self._batch = self._batch, []
        if batch and self._error is None:
            self._crew.land(batch)
        self._leave([prepared.record.document_id for prepared in batch])

    def _leave(self, document_ids: Sequence[str]) -> None:
        with self._room:
            for document_id in document_ids:
                self._under_way.pop(document_id, None)
            self._room.notify_all()
