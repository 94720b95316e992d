"""Clients for one server that is asked from several threads: each request has one to itself, and finds its connection open."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from llmapp.fetching.fetcher import Fetcher


class FetcherPool:
    """As many clients as there are requests at the same time; safe among threads."""

    def __init__(self, make: Callable[[], Fetcher]) -> None:
        """Make none yet."""
        self._make = make
        self._idle: queue.LifoQueue[Fetcher] = queue.LifoQueue()

    @contextmanager
    def borrowed(self) -> Iterator[Fetcher]:
        """A client that nobody else uses meanwhile."""
        try:
            client = self._idle.get_nowait()
        except queue.Empty:
            client = self._make()
        try:
            yield client
        finally:
            self._idle.put(client)

    def close(self) -> None:
        """Close the connections that no request uses."""
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()
