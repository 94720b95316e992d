"""Which scripts a text is written in, character by character."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter

ASCII = "ASCII"
OTHER = "other"
_STARTS: tuple[tuple[int, str], ...] = (
    (0x0, ASCII), (0x80, "Latin"), (0x300, OTHER), (0x370, "Greek"), (0x400, "Cyrillic"), (0x530, "Armenian"), (0x590, "Hebrew"),
    (0x600, "Arabic"), (0x700, OTHER), (0x900, "Devanagari"), (0x980, "Bengali"), (0xA00, OTHER), (0xB80, "Tamil"),
    (0xC00, "Telugu"), (0xC80, OTHER), (0xE00, "Thai"), (0xE80, OTHER), (0x10A0, "Georgian"), (0x1100, OTHER),
    (0x1780, "Khmer"), (0x1800, OTHER), (0x1E00, "Latin"), (0x1F00, OTHER), (0x2000, "signs"), (0x2C00, OTHER),
    (0x3000, "kana"), (0x3100, OTHER), (0x4E00, "Han"), (0xA000, OTHER), (0xAC00, "Hangul"), (0xD7B0, OTHER),
    (0xFF00, "kana"), (0xFFF0, OTHER), (0x1F300, "emoji"), (0x1FB00, OTHER),
)  # fmt: skip
"""Where the characters of a script begin, by Unicode's blocks."""
_FIRST, _NAMES = [start for start, _ in _STARTS], [name for _, name in _STARTS]


def characters(text: str) -> Counter[str]:
    """Characters of the text by script; those that no other name holds are `OTHER`."""
    found: Counter[str] = Counter()
    if text.isascii():
        found[ASCII] = len(text)
        return found
    for character, times in Counter(text).items():
        found[_NAMES[bisect_right(_FIRST, ord(character)) - 1]] += times
    return found
