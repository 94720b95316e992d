"""One spelling for all that reads alike: width, case, accents, digits of other scripts, marks that only help to pronounce.

Unicode's NFKC and case folding, and then letter by letter: Latin and Greek letters lose their accents, which a question often
lacks. Letters of other scripts keep what makes them another letter, such as й, or the vowels of Hindi.
"""

from __future__ import annotations

import functools
import re
import unicodedata

_MOST_MARKS = 30
"""Marks on one letter that are kept before normalising, as in Unicode's stream-safe format (UAX 15): ordering a run of marks
takes time with its square, 15 s for 100,000."""
_LAST_MARK = 0x1F000
_LATIN_AND_GREEK_END = 0x0400
_LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "ё": "е"}  # noqa: RUF001 - Cyrillic
"""Letters that Unicode does not take apart."""
_HYPHENS = dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-")
"""What typesetting makes of a hyphen: an identifier is the same with each. The longer dashes part words."""
_UNWRITTEN = "\u00ad\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u200c\u200d\u2060\ufe00-\ufe0f\ufeff"
"""Accents that stand alone, points of Hebrew and Arabic, and what only joins or breaks: left out."""

_ABOVE = re.compile("[\u0e48-\u0e4b\u0e4d]{2,}|[\u0ec8-\u0ecb\u0ecd]{2,}")
"""The tone mark and the circle that stand above a letter of Thai or Lao: they look alike in either order, and Unicode keeps it."""
_CIRCLES = "\u0e4d\u0ecd"


def fold(text: str) -> str:
    """The one spelling of a text; in time linear in its length."""
    if text.isascii():
        return text.lower()
    normal = unicodedata.normalize("NFKC", _too_many_marks().sub(r"\1", text))
    return _ABOVE.sub(_circle_last, normal.casefold().translate(_FOLDS))


def _circle_last(marks: re.Match[str]) -> str:
    return "".join(sorted(marks[0], key=_CIRCLES.__contains__))


class _Folds(dict[int, str]):
    """What each letter becomes, found out when it first comes."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _folded(chr(code))
        return folded


def _folded(letter: str) -> str:
    if re.match(f"[{_UNWRITTEN}]", letter):
        return ""
    if (digit := unicodedata.decimal(letter, None)) is not None:
        return str(digit)
    base = unicodedata.normalize("NFD", letter)[0]
    letter = base if ord(base) < _LATIN_AND_GREEK_END else letter
    return _LETTERS.get(letter) or _HYPHENS.get(letter, letter)


_FOLDS = _Folds()


@functools.cache
def _too_many_marks() -> re.Pattern[str]:
    marks = "".join(map(chr, filter(lambda code: unicodedata.combining(chr(code)), range(0x300, _LAST_MARK))))
    return re.compile(f"([{marks}]{{{_MOST_MARKS}}})[{marks}]+")
