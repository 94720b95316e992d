"""Which spans of which documents stand already, and what an item would add to them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from llmapp.prompting.allocation.parts import JOINT_CHARS, Item


class Passages(NamedTuple):
    """Spans of a document in order, apart from each other. Never altered: with another span they are others."""

    starts: list[int]
    ends: list[int]

    def near(self, start: int, end: int, chars: int) -> tuple[int, int]:
        """The passages from one position up to another that a span overlaps, or that are so many characters from it at most."""
        first = bisect_left(self.ends, start - chars)
        return first, max(first, bisect_right(self.starts, end + chars))


class Coverage:
    """Passages of documents."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._passages: dict[str, Passages] = {}

    def copy(self) -> Coverage:
        """Another one with the same passages."""
        other = Coverage()
        other._passages = self._passages.copy()
        return other

    def passages(self, item: Item) -> Passages | None:
        """Those of the document of an item; None where there are none, or it has no span."""
        return None if item.span is None else self._passages.get(item.span.document)

    def charge(self, item: Item) -> tuple[int, bool]:
        """What an item adds in tokens, and whether it joins a passage.

        All of it where it stands apart; where it joins a passage, the new part of its text, in proportion to characters and
        rounded up, without its frame. A token is for what stands between the two where they do not overlap. Between two
        passages it would save a frame more, which is not reckoned.
        """
        passages = self.passages(item)
        if item.span is None or passages is None:
            return item.tokens, False
        _, start, end = item.span
        first, last = passages.near(start, end, item.near_chars)
        if first == last:
            return item.tokens, False
        covered = sum(
            max(0, min(end, passages.ends[index]) - max(start, passages.starts[index])) for index in range(first, last)
        )
        length = max(1, end - start)
        new_tokens = -(-(item.tokens - item.frame_tokens) * (length - covered) // length)
        return min(item.tokens, new_tokens + (not covered)), True

    def add(self, item: Item) -> None:
        """Let an item stand."""
        if item.span is None:
            return
        document, start, end = item.span
        if document not in self._passages:
            self._passages[document] = Passages([start], [end])
            return
        starts, ends = passages = self._passages[document]
        first, last = passages.near(start, end, JOINT_CHARS)
        if first < last:
            start, end = min(start, starts[first]), max(end, ends[last - 1])
        self._passages[document] = Passages([*starts[:first], start, *starts[last:]], [*ends[:first], end, *ends[last:]])
