"""Whether a search by meaning compares vectors one by one or asks the vector index, by what each would take.

Comparing is exact, and takes longer with every vector. The index hardly notices how many there are, but knows no access
list and no filter: the fewer chunks may be found, the more must be fetched for as many to be left.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

_OVERFETCH = 2.0
"""More than would be just enough if what may be found lay evenly among the rest; an approximate index errs most at the end
of what it brings."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What the steps of a search take, in seconds.

    The defaults are processor times measured with Chroma 1.5.9 and 100,000 vectors of 384 on an AVX2 machine (2026-11-24): only their
    ratios decide.
    """

    number_s: float = 4.0e-10
    """Comparing one number of a vector, one row after the other: 15 ms for all."""
    picked: float = 2.2
    """So many times as long where rows are picked out: 4.8 ms for every seventh, 12.5 ms for every third."""
    query_s: float = 3.0e-3
    """Asking the index for anything at all."""
    hit_s: float = 1.6e-5
    """One more hit of the index, with all that a search then does with it: 3.2 ms for 20, 5.3 ms for 140."""

    def exact_s(self, chunks: int, live: int, dim: int) -> float:
        """Comparing so many vectors of all that there are, of this length: picked out, or all of them where that is faster."""
        return self.number_s * dim * min(live, self.picked * chunks)

    def index_s(self, fetch: int) -> float:
        """Asking the index for so many hits."""
        return self.query_s + self.hit_s * fetch


MEASURED = Costs()


@dataclass(frozen=True, slots=True)
class Plan:
    """How one search is made."""

    fetch: int | None
    """Hits to ask of the index first; None compares all that may be found."""
    readable: int
    """Chunks that may be found."""
    live: int
    """Chunks that there are."""

    def __str__(self) -> str:
        way = "exact" if self.fetch is None else f"index, fetching {self.fetch}"
        return f"{way}: {self.readable} of {self.live} chunks may be found"


def plan(costs: Costs, *, readable: int, live: int, dim: int, top_k: int) -> Plan:
    """Choose the faster way.

    Args:
        costs: What the steps take.
        readable: Chunks that may be found, from 1.
        live: Chunks that there are, found or not.
        dim: Length of a vector.
        top_k: Hits that are wanted.
    """
    fetch = ceil(_OVERFETCH * top_k * live / readable)
    worth_it = costs.index_s(fetch) < costs.exact_s(readable, live, dim)
    return Plan(fetch if worth_it else None, readable, live)


def widened(fetch: int, *, found: int, top_k: int) -> int:
    """How many hits to ask for after `fetch` of them have brought only `found` that may be found. At least twice as many."""
    return ceil(max(2.0, _OVERFETCH * top_k / max(1, found)) * fetch)
