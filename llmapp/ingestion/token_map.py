"""Which tokens lie where in one document, found by reading it once.

Knows a `Tokenizer` and offsets. A long text is read in slabs, which bounds the memory that a tokenizer takes; a count over
the border of two slabs may be off by a token, so a limit is proved by counting the piece itself.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmapp.protocols import Tokenizer

_SLAB_CHARS = 1 << 17


class TokenMap:
    """Offsets of the tokens of one text."""

    def __init__(self, text: str, tokenizer: Tokenizer) -> None:
        """Read the text.

        Args:
            text: Text of the document.
            tokenizer: The embedder's.
        """
        self._starts, self._ends = array("L"), array("L")
        for start, end in _slabs(text):
            for left, right in tokenizer.offsets(text[start:end]):
                self._starts.append(start + left)
                self._ends.append(start + right)

    def count(self, start: int, end: int) -> int:
        """Tokens that lie at least in part in ``[start, end)``."""
        return max(0, bisect_left(self._starts, end) - bisect_right(self._ends, start))

    def reach(self, start: int, tokens: int, *, end: int) -> int:
        """The largest offset up to `end` such that ``[start, offset)`` holds at most `tokens` tokens."""
        index = bisect_right(self._ends, start) + tokens
        return min(end, self._starts[index]) if index < len(self._starts) else end


def _slabs(text: str) -> Iterator[tuple[int, int]]:
    """Consecutive spans that end after a line where there is one, else after a space."""
    start = 0
    while start < len(text):
        end = start + _SLAB_CHARS
        if end < len(text):
            cut = max(text.rfind("\n", start, end), start) or text.rfind(" ", start, end)
            end = cut + 1 if cut > start else end
        yield start, min(end, len(text))
        start = end
