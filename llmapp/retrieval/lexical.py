"""Full-text search: turns a question into an FTS5 expression that is never a syntax error, and lets the catalog match it.

Words are what letters and digits make up; all other characters only separate. It knows no stemming and no weights, these
are the catalog's. A text without spaces between words (Chinese, Japanese, Thai) is one word to FTS5; dense search finds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from llmapp.types import Hit, Principal

if TYPE_CHECKING:
    from llmapp.catalog.catalog import Catalog

_MOST_TERMS = 64
"""More terms cost time and find no better; a question has a dozen."""
_WORD = re.compile(r"[^\W_]+")
_IDENTIFIER = re.compile(r"(?<![^\W_])[^\W_]++(?:[-/.:_#][^\W_]++)+")
"""Words that punctuation ties together, such as ``INV-2031/7``; kept as a phrase where they hold a digit.

It starts at the start of a word and gives nothing back, else a word of 100,000 letters would take minutes."""

_FUNCTION_WORDS = """
    a an and are as at be by do does for from has have how in is it of on or that the this to was were what when where which
    who why will with
"""
_STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Dropped where other words remain: on SciFact's 809 training questions nDCG@10 goes from .693 to .697, and a search takes
less than half the time."""


class LexicalRetriever:
    """BM25 over title, heading and text. Implements `llmapp.protocols.Retriever`."""

    def __init__(self, catalog: Catalog) -> None:
        """Search this catalog."""
        self._catalog = catalog

    def retrieve(self, query: str, *, principal: Principal, top_k: int) -> list[Hit]:
        """At most `top_k` hits that `principal` may read, best first, ranks from 1; none for a question without words."""
        expression = fts_expression(query)
        if not expression or top_k < 1:
            return []
        scores = self._catalog.match(expression, principal=principal, top_k=top_k)
        chunks = self._catalog.chunks([chunk_id for chunk_id, _ in scores], principal=principal)
        found = [(chunks[chunk_id], score) for chunk_id, score in scores if chunk_id in chunks]
        return [Hit(chunk, score, rank, "lexical") for rank, (chunk, score) in enumerate(found, start=1)]


def fts_expression(query: str) -> str:
    """Any of the words of a question, as an FTS5 expression; empty when it has none.

    Of a very long question the longest words count, being the rarest; the order of the question breaks ties.
    """
    every_word = _unique(_WORD.findall(query))
    words = [word for word in every_word if word not in _STOP_WORDS] or every_word
    identifiers = _unique(match for match in _IDENTIFIER.findall(query) if any(char.isdigit() for char in match))
    terms = sorted([*identifiers, *words], key=len, reverse=True)[:_MOST_TERMS]
    return " OR ".join(f'"{term}"' for term in terms)


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(word.lower() for word in words))
