"""Which spans of which documents stand already, and what an item would add to them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TypeAlias

from llmapp.prompting.allocation.parts import Item

JOINT_CHARS = 2
"""Passages so near to each other are one: a chunk leaves out the white space around it, a blank line at most."""

_Passages: TypeAlias = list[tuple[int, int]]


class Coverage:
    """Passages of documents: spans in order, apart from each other."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._passages: dict[str, _Passages] = {}

    def copy(self) -> Coverage:
        """Another one with the same passages."""
        other = Coverage()
        other._passages = self._passages.copy()  # a list is replaced, never altered
        return other

    def charge(self, item: Item) -> tuple[int, bool]:
        """What an item adds in tokens, and whether it joins a passage.

        All of it where it stands apart; where it overlaps or adjoins a passage, the new part of its text, in proportion to
        characters and rounded up, without its frame. Between two passages it would save a frame more, which is not reckoned.
        """
        if item.span is None or not (passages := self._passages.get(item.span.document)):
            return item.tokens, False
        _, start, end = item.span
        first, last = _touched(passages, start, end)
        if first == last:
            return item.tokens, False
        covered = sum(max(0, min(end, stop) - max(start, begin)) for begin, stop in passages[first:last])
        length = max(1, end - start)
        return -(-(item.tokens - item.frame_tokens) * (length - covered) // length), True

    def add(self, item: Item) -> None:
        """Let an item stand."""
        if item.span is None:
            return
        document, start, end = item.span
        passages = self._passages.get(document, [])
        first, last = _touched(passages, start, end)
        if first < last:
            start, end = min(start, passages[first][0]), max(end, passages[last - 1][1])
        self._passages[document] = [*passages[:first], (start, end), *passages[last:]]


def _touched(passages: _Passages, start: int, end: int) -> tuple[int, int]:
    """The passages from one position up to another that a span overlaps or adjoins."""
    first = bisect_left(passages, start - JOINT_CHARS, key=lambda passage: passage[1])
    last = bisect_right(passages, end + JOINT_CHARS, key=lambda passage: passage[0])
    return first, max(first, last)
