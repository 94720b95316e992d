"""The words of some chunks, turned round: for each term the chunks that hold it. Pure; tables are not known here.

Title and heading count for more than text. Weights are multiples of a half, so weighted counts are kept as whole halves and
add up without an error of rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Fields: TypeAlias = tuple[str, str, str]
"""Title, heading and text of a chunk."""

_HALVES = (4, 3, 2)
"""Weights of title, heading and text, in halves. On SciFact's training questions a title weight of 1 to 3 differs by less than
.004 nDCG@10."""
_MOST_FREQ = (1 << 16) - 1


@dataclass(frozen=True, slots=True)
class Segment:
    """Postings of some chunks: the n-th term's are those from ``starts[n]`` to ``starts[n + 1]``."""

    rows: NDArray[np.int64]
    """Row numbers of the chunks, ascending. Shape (chunks,)."""
    lengths: NDArray[np.uint32]
    """Weighted number of terms of each chunk, in halves. Shape (chunks,)."""
    terms: Sequence[str]
    """Ascending."""
    starts: NDArray[np.int64]
    """Shape (terms + 1,)."""
    positions: NDArray[np.uint32]
    """Places in `rows`, ascending within a term. Shape (postings,)."""
    freqs: NDArray[np.uint16]
    """Weighted occurrences of the term in the chunk, in halves. Shape (postings,)."""

    def postings(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Each term with its positions and frequencies as they are stored."""
        positions, freqs = self.positions.astype("<u4").tobytes(), self.freqs.astype("<u2").tobytes()
        bounds = self.starts.tolist()
        for term, start, end in zip(self.terms, bounds[:-1], bounds[1:], strict=True):
            yield term, positions[4 * start : 4 * end], freqs[2 * start : 2 * end]


def segment_of(chunks: Iterable[tuple[int, Fields]], terms_of: Callable[[str], list[str]]) -> Segment:
    """The postings of chunks.

    Args:
        chunks: Row numbers, ascending, with the fields.
        terms_of: The terms of a text, as often as they occur.
    """
    known: dict[str, int] = {}
    titles: dict[str, Counter[str]] = {}  # the chunks of a document share it
    rows, lengths, sizes, numbers, freqs = [], [], [], list[int](), list[int]()
    for row, (title, heading, text) in chunks:
        counts = (
            titles.get(title) or titles.setdefault(title, Counter(terms_of(title))),
            *(Counter(terms_of(part)) for part in (heading, text)),
        )
        weighted: Counter[str] = Counter()
        for weight, count in zip(_HALVES, counts, strict=True):
            for term, times in count.items():
                weighted[term] += weight * times
        rows.append(row)
        lengths.append(weighted.total())
        sizes.append(len(weighted))
        numbers.extend(known.setdefault(term, len(known)) for term in weighted)
        freqs.extend(weighted.values())
    positions = np.repeat(np.arange(len(rows), dtype=np.uint32), sizes)
    capped = np.minimum(np.array(freqs, dtype=np.int64), _MOST_FREQ)
    return _grouped(
        np.array(rows, dtype=np.int64),
        np.array(lengths, dtype=np.uint32),
        list(known),
        np.array(numbers, dtype=np.int64),
        positions,
        freqs=capped.astype(np.uint16),
    )


def merged(parts: Sequence[Segment], live: NDArray[np.int64]) -> Segment:
    """One segment of several, without the chunks that are gone.

    Args:
        parts: Their chunks are all different.
        live: Row numbers of all live chunks of the parts, perhaps others too. Shape (n,).
    """
    rows = np.concatenate([part.rows for part in parts])
    kept = np.flatnonzero(np.isin(rows, live))
    kept = kept[np.argsort(rows[kept])]
    places = np.full(len(rows), -1, dtype=np.int64)
    places[kept] = np.arange(len(kept))
    known: dict[str, int] = {}
    numbers = [
        np.repeat([known.setdefault(term, len(known)) for term in part.terms], np.diff(part.starts)) for part in parts
    ]
    offsets = np.cumsum([0, *(len(part.rows) for part in parts)])
    positions = np.concatenate([places[part.positions + offset] for part, offset in zip(parts, offsets[:-1], strict=True)])
    freqs = np.concatenate([part.freqs for part in parts])
    lengths = np.concatenate([part.lengths for part in parts])[kept]
    stays = positions >= 0
    number = np.concatenate(numbers).astype(np.int64)[stays]
    return _grouped(rows[kept], lengths, list(known), number, positions[stays].astype(np.uint32), freqs=freqs[stays])


def _grouped(
    rows: NDArray[np.int64],
    lengths: NDArray[np.uint32],
    names: Sequence[str],
    numbers: NDArray[np.int64],
    positions: NDArray[np.uint32],
    *,
    freqs: NDArray[np.uint16],
) -> Segment:
    """Put postings in order of their terms; names without a posting are left out."""
    present = sorted(np.unique(numbers).tolist(), key=lambda number: names[number])
    ranks = np.zeros(len(names), dtype=np.int64)
    ranks[present] = np.arange(len(present))
    order = np.lexsort((positions, ranks[numbers]))
    counts = np.bincount(ranks[numbers], minlength=len(present))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Segment(rows, lengths, [names[number] for number in present], starts, positions[order], freqs[order])
