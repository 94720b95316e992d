"""Where a text may be cut: at the end of a sentence, a list item, a table row or a record, and never inside of what breaks.

A code fence, a row of a table with the head above it, and JSON stand whole or not at all; half of them says something
else. A text without such a place, such as one line of base64, is not cut.
"""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator

from llmapp.sentences import unit_spans

_WHOLE = re.compile(
    r"""
    ^[ ]{0,3}(?P<fence>`{3,}+|~{3,}+)
    | ^[ \t]*+\|[^\n]*+ (?:\n[ \t]*+\|[ \t:|-]*+(?=\n|\Z))?     # a row of a table; a head with the line below it
    | (?P<json>\{\s*+["}] | \[\s*+[{\["] | ^[ \t]*+\{)
    """,
    re.MULTILINE | re.VERBOSE,
)
"""What stands whole begins so. Possessive, so that no text takes quadratic time."""
_BLANK_LINE = re.compile(r"\n[ \t]*+\n")
_JOINER = "\N{ZERO WIDTH JOINER}"
_decode = json.JSONDecoder().raw_decode


def shortened(text: str, *, fits: Callable[[str], bool]) -> str | None:
    """A beginning of a text that fits, as long as halving finds one.

    Args:
        text: The text; what is given back is shorter.
        fits: Whether a beginning is short enough.

    Returns:
        A beginning for which `fits` has said yes; None where there is none that ends at a place for a cut.
    """
    places = [place for place in cut_places(text) if place < len(text.rstrip())]
    low, high = 0, len(places)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(text[: places[middle - 1]]):
            low = middle
        else:
            high = middle - 1
    return text[: places[low - 1]] if low else None


def cut_places(text: str) -> list[int]:
    """Offsets behind which a text may be cut, ascending, its end among them where that is one."""
    whole = list(_whole_spans(text))
    ends = {end for _, end in unit_spans(text)} | {start + len(text[start:end].rstrip()) for start, end in whole}
    return [end for end in sorted(ends) if end and not _is_inside(end, whole) and not _continues(text, end)]


def _is_inside(place: int, spans: list[tuple[int, int]]) -> bool:
    """Whether a place lies within one of the spans, which are in order; behind the last sign of one it does not."""
    index = bisect_left(spans, place, key=lambda span: span[1])
    return index < len(spans) and spans[index][0] < place < spans[index][1]


def _continues(text: str, place: int) -> bool:
    """Whether what follows belongs to the sign before it, as a combining mark does."""
    sign = text[place : place + 1]
    return sign == _JOINER or unicodedata.category(sign or " ")[0] == "M"


def _whole_spans(text: str) -> Iterator[tuple[int, int]]:
    """Spans that are not cut, in order, apart from each other; the white space at their ends is left out."""
    position = 0
    while found := _WHOLE.search(text, position):
        start, end = found.span()
        if found["fence"]:
            end = _fence_end(text, found["fence"], end)
        elif found["json"]:
            start = text.index(found["json"].lstrip()[0], start)
            end = _json_end(text, start)
        yield start, start + len(text[start:end].rstrip())
        position = max(end, start + 1)


def _fence_end(text: str, opening: str, after: int) -> int:
    closing = re.compile(rf"^[ ]{{0,3}}{re.escape(opening)}{re.escape(opening[0])}*+[ \t]*+$", re.MULTILINE).search(
        text, after
    )
    return closing.end() if closing else len(text)


def _json_end(text: str, start: int) -> int:
    """Where a value ends; what begins like an object and is none is taken to end with its block, for it may be cut already."""
    try:
        return _decode(text, start)[1]
    except ValueError:
        if text[start] == "[" and "{" not in text[start : start + 3]:  # a link
            return start + 1
    except RecursionError:
        pass
    blank = _BLANK_LINE.search(text, start)
    return blank.start() if blank else len(text)
