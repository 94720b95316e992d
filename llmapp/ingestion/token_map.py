"""Which tokens lie where in one document, found by reading it once from start to end.

Knows a `Tokenizer` and offsets. A text is read in slabs and only those around the place at hand are kept, so a text of any
length takes little memory. A count over the border of two slabs may be off by a token, so a limit is proved by counting
the piece itself.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmapp.protocols import Tokenizer

_SLAB_CHARS = 1 << 17


class TokenMap:
    """Offsets of the tokens of one text; cheap while the places that are asked for move forward."""

    def __init__(self, text: str, tokenizer: Tokenizer) -> None:
        """Begin to read a text.

        Args:
            text: Text of the document.
            tokenizer: The embedder's.
        """
        self._text = text
        self._tokenizer = tokenizer
        self._borders = [0]  # of the slabs that were read so far
        self._first = self._end = 0  # numbers of the slabs that are kept: from the first up to the end
        self._starts, self._ends = array("Q"), array("Q")
        self._lengths: list[int] = []  # tokens of each slab that is kept

    def count(self, start: int, end: int) -> int:
        """Tokens that lie at least in part in ``[start, end)``."""
        self._cover(start, end)
        return max(0, bisect_left(self._starts, end) - bisect_right(self._ends, start))

    def reach(self, start: int, tokens: int, *, end: int) -> int:
        """The largest offset up to `end` such that ``[start, offset)`` holds at most `tokens` tokens."""
        self._cover(start, end)
        index = bisect_right(self._ends, start) + tokens
        return min(end, self._starts[index]) if index < len(self._starts) else end

    def _cover(self, start: int, end: int) -> None:
        """Keep the slabs from the one before `start` up to the one that holds `end`."""
        if start < self._borders[self._first]:
            self._forget_all(before=start)
        while self._borders[self._end] < min(end, len(self._text)):
            self._read_next()
        while self._end - self._first > 1 and self._borders[self._first + 1] < start:
            self._forget_first()

    def _read_next(self) -> None:
        if self._end + 1 == len(self._borders):
            self._borders.append(self._next_border(self._borders[-1]))
        start, end = self._borders[self._end], self._borders[self._end + 1]
        spans = self._tokenizer.offsets(self._text[start:end])
        self._starts.extend(start + left for left, _ in spans)
        self._ends.extend(start + right for _, right in spans)
        self._lengths.append(len(spans))
        self._end += 1

    def _forget_first(self) -> None:
        tokens = self._lengths.pop(0)
        del self._starts[:tokens], self._ends[:tokens]
        self._first += 1

    def _forget_all(self, *, before: int) -> None:
        self._first = self._end = max(0, bisect_right(self._borders, before) - 2)
        self._starts, self._ends, self._lengths = array("Q"), array("Q"), []

    def _next_border(self, start: int) -> int:
        """After a line where there is one, else after a space, else wherever the slab is full."""
        end = start + _SLAB_CHARS
        if end >= len(self._text):
            return len(self._text)
        cut = max(self._text.rfind("\n", start, end), start) or self._text.rfind(" ", start, end)
        return cut + 1 if cut > start else end
