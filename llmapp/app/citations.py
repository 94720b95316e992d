"""From the marks in an answer to the words of the documents.

A mark ``[2]`` says which source a statement rests on. The quote is the unit of that source which shares the most words
with the statement, so that a reader sees at once whether it holds. A mark that no source of the prompt bears is taken
out of the text: a citation never points to what the model has not seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llmapp.sentences import unit_spans
from llmapp.types import Citation, Source

_MARK = re.compile(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")
_MARK_AND_SPACE = re.compile(rf"(?P<space>[ \t]*){_MARK.pattern}")
_WORD = re.compile(r"\w+")


def cite(text: str, sources: Sequence[Source]) -> tuple[str, tuple[Citation, ...]]:
    """Resolve the marks of an answer.

    Args:
        text: The answer as the model wrote it.
        sources: The numbered sources of the prompt.

    Returns:
        The text without marks that no source bears, and one citation for each quoted span, in order of appearance.
    """
    by_number = {source.number: source for source in sources}
    citations: dict[tuple[str, int], Citation] = {}
    for statement, numbers in _statements(text):
        for number in numbers:
            if number in by_number:
                citation = _quote(statement, by_number[number])
                citations.setdefault((citation.chunk_id, citation.start_char), citation)
    return _MARK_AND_SPACE.sub(lambda mark: _known_marks(mark, by_number), text), tuple(citations.values())


def _statements(text: str) -> list[tuple[str, list[int]]]:
    """Every run of marks with the words before it, back to the last run of marks."""
    statements: list[tuple[str, list[int]]] = []
    start = 0
    for mark in _MARK.finditer(text):
        words = text[start : mark.start()]
        numbers = [int(number) for number in mark[1].split(",")]
        if not _WORD.search(words) and statements:
            statements[-1][1].extend(numbers)
        else:
            statements.append((words, numbers))
        start = mark.end()
    return statements


def _quote(statement: str, source: Source) -> Citation:
    chunk = source.chunk
    wanted = set(_WORD.findall(statement.lower()))
    spans = unit_spans(chunk.text) or [(0, len(chunk.text))]
    start, end = max(spans, key=lambda span: _overlap(wanted, chunk.text[slice(*span)]))
    return Citation(
        number=source.number,
        uri=chunk.uri,
        title=chunk.title,
        page=chunk.page,
        start_char=chunk.start_char + start,
        end_char=chunk.start_char + end,
        quote=chunk.text[start:end],
        heading=chunk.heading,
        chunk_id=chunk.id,
    )


def _overlap(wanted: set[str], unit: str) -> float:
    """Share of common words, Dice's coefficient: 0 for none, 1 for the same words."""
    words = set(_WORD.findall(unit.lower()))
    return 2 * len(wanted & words) / (len(wanted) + len(words)) if wanted and words else 0.0


def _known_marks(mark: re.Match[str], by_number: dict[int, Source]) -> str:
    known = [number.strip() for number in mark[2].split(",") if int(number) in by_number]
    return f"{mark['space']}[{', '.join(known)}]" if known else ""
