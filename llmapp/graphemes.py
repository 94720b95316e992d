"""Where a text may be cut without tearing a letter from its marks.

What Unicode calls grapheme clusters, and somewhat more: nothing is cut behind a vowel sign that is written before its
consonant (Thai, Lao), nor behind a virama. Source: Unicode Standard Annex 29, rules GB3, GB6 to GB9c, GB11, GB12.
"""

from __future__ import annotations

import re
import unicodedata

_JOINER = "\u200d"
_VIRAMA = 9
"""The combining class of the signs that bind a consonant to the next."""
_LEADS = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\u0e40-\u0e44\u0ec0-\u0ec4\U000110bd\U000110cd]")
"""What stands before the sign that it belongs to."""
_FOLLOWS = re.compile("[\u0e33\u0eb3\u200c\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
"""What belongs to the sign before it and is no mark by its category."""
_SYLLABLE = re.compile(
    "[\u1100-\u115f\ua960-\ua97c][\u1100-\u11a7\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7c6]"
    "|[\u1160-\u11ff\uac00-\ud7a3\ud7b0-\ud7fb][\u1160-\u11ff\ud7b0-\ud7fb]"
)
"""Two parts of one Korean syllable."""
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
    return next((cut for cut in range(position, lowest - 1, -1) if not tears(text, cut)), position)


def tears(text: str, cut: int) -> bool:
    """Whether what follows an offset belongs to the sign before it. At both ends of a text nothing is torn."""
    if cut <= 0 or cut >= len(text):
        return False
    left, right = text[cut - 1], text[cut]
    if max(left, right) < "\u0300":
        return left == "\r" and right == "\n"
    if _JOINER in (left, right) or _LEADS.match(left) or _FOLLOWS.match(right) or _SYLLABLE.match(left + right):
        return True
    if _is_regional(left) and _is_regional(right):
        return _run_of_regionals(text, cut) % 2 == 1
    is_bound = unicodedata.combining(left) == _VIRAMA and right.isalpha()
    return is_bound or unicodedata.category(right) in ("Mn", "Mc", "Me")


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _run_of_regionals(text: str, cut: int) -> int:
    start = cut
    while start > 0 and cut - start < _MAX_STEPS and _is_regional(text[start - 1]):
        start -= 1
    return cut - start
