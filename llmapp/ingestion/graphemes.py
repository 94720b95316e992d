"""Where a text may be cut without tearing a letter from its marks.

A small part of Unicode's grapheme clusters: combining marks, variation selectors, joiners, emoji modifiers, pairs of
regional indicators, and line ends of two characters. Source: Unicode Standard Annex 29, rules GB3, GB9, GB9a, GB11, GB12.
"""

from __future__ import annotations

import unicodedata

_JOINER = "\u200d"
_MAX_STEPS = 32  # a letter under more marks than this is cut: nobody reads it


def safe_cut(text: str, position: int, *, floor: int) -> int:
    """Move a cut to the left until it tears nothing.

    Args:
        text: The text.
        position: Offset at which the right part would begin.
        floor: The cut stays right of this offset.

    Returns:
        The nearest good offset; `position` itself when there is none close by.
    """
    lowest = max(floor + 1, position - _MAX_STEPS)
    return next((cut for cut in range(position, lowest - 1, -1) if not _tears(text, cut)), position)


def _tears(text: str, cut: int) -> bool:
    if cut <= 0 or cut >= len(text):
        return False
    left, right = text[cut - 1], text[cut]
    if right < "\u0300":
        return left == "\r" and right == "\n"
    if _JOINER in (left, right) or "\U0001f3fb" <= right <= "\U0001f3ff":
        return True
    if _is_regional(left) and _is_regional(right):
        return _run_of_regionals(text, cut) % 2 == 1
    return unicodedata.category(right) in ("Mn", "Mc", "Me")


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _run_of_regionals(text: str, cut: int) -> int:
    start = cut
    while start > 0 and cut - start < _MAX_STEPS and _is_regional(text[start - 1]):
        start -= 1
    return cut - start
