"""Counts that are remembered: a text is tokenised once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from llmapp.prompting.counting.text import well_formed


class CountCache:
    """Remembers the counts of texts by digest, the least recently used forgotten first; safe among threads."""

    def __init__(self, count: Callable[[str], int], *, max_entries: int = 8192) -> None:
        """Wrap a function that counts.

        Args:
            count: Tokens of a well-formed text.
            max_entries: Texts whose count is kept, 32 bytes of digest each.
        """
        self._count = count
        self._max_entries = max_entries
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._lock = Lock()

    def __call__(self, text: str) -> int:
        """Tokens of the text, its lone surrogates replaced."""
        text = well_formed(text)
        key = hashlib.sha256(text.encode()).digest()
        with self._lock:
            if key in self._counts:
                self._counts.move_to_end(key)
                return self._counts[key]
        tokens = self._count(text)
        with self._lock:
            self._counts[key] = tokens
            if len(self._counts) > self._max_entries:
                self._counts.popitem(last=False)
        return tokens
