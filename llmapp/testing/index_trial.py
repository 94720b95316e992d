"""A vector index on trial: opened, filled, closed and opened again. Knows nothing of pytest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from llmapp.errors import IndexUnavailableError
from llmapp.testing.vectors import clustered
from llmapp.testing.verdicts import told

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray, VectorIndex

OpenIndex: TypeAlias = "Callable[[], VectorIndex]"
"""Opens a store as a process would that has just started: the first call finds it empty, a later one as it was left."""


class IndexTrial:
    """A store that is empty at first. Use `close` at the end."""

    def __init__(self, open_index: OpenIndex) -> None:
        """Take what opens the store; nothing is opened yet."""
        self._open = open_index
        self._opened: list[VectorIndex] = []

    @cached_property
    def index(self) -> VectorIndex:
        """The store, opened."""
        return self.another()

    def another(self) -> VectorIndex:
        """The same store, opened once more beside what is open."""
        self._opened.append(self._open())
        return self._opened[-1]

    def reopened(self) -> VectorIndex:
        """The same store, closed and opened anew."""
        self.close()
        return self.index

    def filled(self, count: int = 60, dim: int = 16, clusters: int = 5) -> dict[str, FloatArray]:
        """Put so many vectors, and give them by id."""
        vectors = dict(zip(names(count), clustered(count, dim, clusters=clusters), strict=True))
        self.put(vectors)
        return vectors

    def put(self, vectors: Mapping[str, FloatArray]) -> None:
        """Put vectors by id."""
        self.index.upsert(list(vectors), np.stack(list(vectors.values())))

    def close(self) -> None:
        """Close whatever is open."""
        while self._opened:
            self._opened.pop().close()
        self.__dict__.pop("index", None)


def names(count: int) -> list[str]:
    """So many ids."""
    return [f"c{number:05}" for number in range(count)]


def ids_or_none(index: VectorIndex) -> set[str]:
    """The ids of a store that may never have been written: such a one is empty, or says that it is unavailable.

    Raises:
        AssertionError: It says so in another way.
    """
    try:
        return set(index.ids())
    except IndexUnavailableError:
        return set()
    except Exception as error:
        raise AssertionError(
            f"an empty store raises {told(error)}; return an empty set, or raise IndexUnavailableError"
        ) from error
