"""Quotes that no search can find, because the documents do not say them: a mistake in the questions, not in the search."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmapp.evaluation.documents import plain
from llmapp.evaluation.questions import Question
from llmapp.filters.reading import parse_filter

if TYPE_CHECKING:
    from llmapp.catalog.catalog import Catalog
    from llmapp.types import Chunk, Principal

_BATCH_CHUNKS = 1_000
_LISTED = 3
_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A quote of a question."""

    quote: str
    words: str
    """The quote as quotes are compared."""
    question: str
    documents: Mapping[str, int]
    """Where it may stand, by ``source:id``; empty is everywhere."""

    def stands_in(self, chunk: Chunk, text: str) -> bool:
        return (not self.documents or chunk.key in self.documents) and self.words in text

    def __str__(self) -> str:
        return f"“{_shortened(self.quote)}” of “{_shortened(self.question)}”"


def quotes_nowhere(catalog: Catalog, asked: Iterable[tuple[Question, Mapping[str, int]]]) -> tuple[str, ...]:
    """Look for the quotes of questions in all that is searched for them.

    Args:
        catalog: Holds the documents.
        asked: Questions, each with the documents, ``source:id``, that its quotes may stand in; none is all.

    Returns:
        A line on the quotes that stand in no chunk which who asks may read and the filter lets through; nothing where all do.
    """
    wanted: dict[tuple[Principal, str | None], list[_Wanted]] = defaultdict(list)
    for question, documents in asked:
        wanted[question.principal, question.where] += [
            _Wanted(quote, plain(quote), question.text, documents) for quote in question.quotes
        ]
    missing = [each for (asker, where), quotes in wanted.items() for each in _missing(catalog, asker, where, quotes)]
    if not missing:
        return ()
    listed = ", ".join(map(str, missing[:_LISTED])) + (", …" if len(missing) > _LISTED else "")
    return (f"{len(missing):,} expected quotes stand in no chunk that is searched for their question: {listed}",)


def _missing(catalog: Catalog, asker: Principal, where: str | None, quotes: Sequence[_Wanted]) -> Sequence[_Wanted]:
    rows = catalog.readable_rows(asker).tolist()
    for start in range(0, len(rows), _BATCH_CHUNKS):
        if not quotes:
            break
        ids = list(catalog.ids_of_rows(rows[start : start + _BATCH_CHUNKS]).values())
        chunks = catalog.chunks(ids, principal=asker, where=None if where is None else parse_filter(where))
        for chunk in chunks.values():
            text = plain(chunk.text)
            quotes = [each for each in quotes if not each.stands_in(chunk, text)]
    return quotes


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1].rstrip() + "…"
