"""One holder among processes: the lock of the index, and the lock of ingestion.

On one machine it is a file: the kernel releases the lock when its holder dies, so there is no stale lock to clear. The
holder's process number stands beside it, for the message only. For the processes of several machines the database gives
one, see `llmapp.catalog.postgres`.
"""

from __future__ import annotations

import contextlib
import os
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock

from llmapp.errors import CatalogError, LockedError

_POLL_S = 0.1


class ProcessLock(ABC):
    """A lock that one process holds; re-entrant within this object."""

    def __init__(self, purpose: str, wait_s: float) -> None:
        """Name what it guards, e.g. ``the index``, and how long `acquire` waits for another holder. Seconds."""
        self._purpose = purpose
        self._wait_s = wait_s

    @property
    @abstractmethod
    def held(self) -> bool:
        """Whether this object holds it."""

    @abstractmethod
    def try_acquire(self) -> bool:
        """Take it if it is free; False when another process holds it.

        Raises:
            CatalogError: There can be no lock.
        """

    def acquire(self) -> None:
        """Take it.

        Raises:
            LockedError: Another process holds it; the message names that process.
        """
        deadline = time.monotonic() + self._wait_s
        while not self.try_acquire():
            if time.monotonic() < deadline:
                time.sleep(_POLL_S)
                continue
            raise LockedError(
                f"{self._purpose} is held by {self._holder()}", hint="wait for it to end, or stop it, and try again"
            )

    @abstractmethod
    def release(self) -> None:
        """Give it back; does nothing when it is not held."""

    @abstractmethod
    def _holder(self) -> str:
        """The process that holds it, for the message."""

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


class FileLock(ProcessLock):
    """A lock on a file."""

    def __init__(self, path: Path, *, purpose: str, wait_s: float = 0.0) -> None:
        """Name the file, what it guards, and how long `acquire` waits for another holder. Seconds."""
        super().__init__(purpose, wait_s)
        self._lock = filelock.FileLock(path, thread_local=False)
        self._pid = path.with_name(path.name + ".pid")

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._lock.is_locked

    def try_acquire(self) -> bool:
        """Take it if it is free; False when another process holds it.

        Raises:
            CatalogError: The lock file cannot be made.
        """
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            return False
        except OSError as error:
            raise CatalogError(f"cannot lock {self._purpose}: {error.strerror}", hint="check the folder .llmapp") from error
        with contextlib.suppress(OSError):  # it is for the message only
            self._pid.write_text(str(os.getpid()), encoding="ascii")
        return True

    def release(self) -> None:
        """Give it back; does nothing when it is not held."""
        self._lock.release()

    def _holder(self) -> str:
        try:
            return f"process {self._pid.read_text(encoding='ascii') or 'unknown'}"
        except OSError:
            return "process unknown"
