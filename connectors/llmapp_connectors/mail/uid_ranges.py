"""Sets of numbers as IMAP writes them, e.g. ``1:4,6``: thousands of mails in a few letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def write(numbers: Iterable[int]) -> str:
    """Numbers as ranges, ascending; empty for none."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number <= spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(low) if low == high else f"{low}:{high}" for low, high in spans)


def read(ranges: str) -> Iterator[int]:
    """The numbers of what `write` has written.

    Raises:
        ValueError: It was written by something else.
    """
    for span in filter(None, ranges.split(",")):
        low, _, high = span.partition(":")
        yield from range(int(low), int(high or low) + 1)
