"""From the marks in an answer to the words of the documents, while the answer is written.

A mark ``[2]`` says which source a statement rests on. The quote is the unit of that source which shares the most words
with the statement, so that a reader sees at once whether it holds. A mark that no source of the prompt bears is taken
out of the text: a citation never points to what the model has not seen.

Documents have square brackets of their own: footnotes, indices, years. What stands in a source just so, with the words
before it, was quoted by the model and not set by it; it stays as it is and cites nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from llmapp.sentences import unit_spans
from llmapp.types import Chunk, Citation, Source

_NUMBER = "[1-9][0-9]{0,2}"
"""Numbers of sources; longer ones are years."""
_MARK = re.compile(rf"\[({_NUMBER}(?:\s?[,;–-]\s?{_NUMBER}){{0,19}})\]")
_MOST_INSIDE_CHARS = 3 + 19 * 6
_OPEN_MARK = re.compile(rf"\[[0-9,;\s–-]{{0,{_MOST_INSIDE_CHARS}}}")
"""Whatever may still become a mark."""
_CONTEXT_CHARS = 24
"""Words before a mark by which a quotation is recognised: enough that they are no coincidence."""
_WORD = re.compile(r"\w+")


class Statement(NamedTuple):
    """What the model has said between two marks."""

    text: str
    """As the model wrote it."""
    citations: tuple[Citation, ...]
    """Of the marks right behind it; none where there is no mark, or where no source bears its number."""


def cite(text: str, sources: Sequence[Source]) -> tuple[str, tuple[Citation, ...]]:
    """Resolve the marks of a whole answer; see `Citer` for one that is still being written.

    Args:
        text: The answer as the model wrote it.
        sources: The numbered sources of the prompt.

    Returns:
        The text without marks that no source bears and without white space around it, and one citation for each quoted
        span, in order of appearance.
    """
    citer = Citer(sources)
    written = citer.read(text) + citer.end()
    return written, citer.citations


class Citer:
    """Resolves marks piece by piece; what comes out does not depend on where the answer is cut.

    It holds back white space, and what may still become a mark: at most some hundred characters of digits and signs.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        """Take the numbered sources of the prompt."""
        self._by_number: defaultdict[int, list[Source]] = defaultdict(list)
        for source in sources:
            self._by_number[source.number].append(source)
        self._documents = [_one_spaced(source.chunk.text) for source in sources]
        self._citations: dict[tuple[int, str, int], Citation] = {}
        self._statements: list[tuple[str, list[Citation]]] = []
        self._held = ""  # as it came: white space, then perhaps the beginning of a mark
        self._gap = ""  # white space to write before whatever comes next
        self._has_begun = False
        self._since_mark = ""  # as it came, since the model's last mark
        self._statement = ""  # what the model's last mark stands behind

    @property
    def citations(self) -> tuple[Citation, ...]:
        """One for each span quoted so far, in order of appearance."""
        return tuple(self._citations.values())

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What was said so far, each with what it rests on, in order."""
        said = [Statement(text, tuple(citations)) for text, citations in self._statements]
        return (*said, Statement(self._since_mark, ())) if _WORD.search(self._since_mark) else tuple(said)

    def read(self, piece: str) -> str:
        """Take the next piece of the answer, and give what is certain to be in the text; often less, sometimes nothing."""
        text = self._held + piece
        start = text.rfind("[")
        end = start if start >= 0 and _OPEN_MARK.fullmatch(text, start) else len(text)
        end = len(text[:end].rstrip())
        self._held = text[end:]
        return self._write(self._resolve(text[:end]))

    def end(self) -> str:
        """Give what was held back; nothing more may come."""
        held, self._held = self._held, ""
        return self._write(self._resolve(held))

    def _write(self, text: str) -> str:
        text = self._gap + text if self._has_begun else text.lstrip()
        written = text.rstrip()
        self._gap = text[len(written) :]
        self._has_begun = self._has_begun or bool(written)
        return written

    def _resolve(self, text: str) -> str:
        """Text without the marks that no source bears; it never ends within a mark or before one."""
        written: list[str] = []
        position = 0
        for mark in _MARK.finditer(text):
            before, position = text[position : mark.start()], mark.end()
            self._since_mark += before
            numbers = [number for number in _numbers(mark[1]) if number in self._by_number]
            if self._is_of_the_text(mark[0], is_known=bool(numbers)):
                self._since_mark += mark[0]
                written += before, mark[0]
            elif numbers:
                self._cite(numbers)
                written += before, f"[{', '.join(map(str, numbers))}]"
            else:
                self._cite(numbers)
                written += (before.rstrip(" \t"),)
        self._since_mark += text[position:]
        return "".join(written) + text[position:]

    def _is_of_the_text(self, mark: str, *, is_known: bool) -> bool:
        """Whether brackets are the document's, or an index such as ``ports[7]``."""
        before = _one_spaced(self._since_mark[-8 * _CONTEXT_CHARS :]).lstrip()[-_CONTEXT_CHARS:]
        if _WORD.search(before) and any(before + _one_spaced(mark) in document for document in self._documents):
            return True
        return not is_known and bool(_WORD.match(before[-1:]))

    def _cite(self, numbers: Sequence[int]) -> None:
        """Mark what was said since the last mark, or the same as that one where nothing was."""
        if _WORD.search(self._since_mark) or not self._statement:
            self._statement = self._since_mark
            self._statements.append((self._statement, []))
        self._since_mark = ""
        for number in numbers:
            for stretches in _by_document(self._by_number[number]):
                citation = _quote(self._statement, stretches)
                self._citations.setdefault((number, citation.chunk_id, citation.start_char), citation)
                self._statements[-1][1].append(citation)


def _numbers(inside: str) -> list[int]:
    """The numbers that a mark names, ``2-4`` being three, each once."""
    numbers: list[int] = []
    for part in re.split("[,;]", inside):
        ends = [int(number) for number in re.findall(_NUMBER, part)]
        numbers.extend(range(ends[0], ends[-1] + 1))
    return list(dict.fromkeys(numbers))


def _one_spaced(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _by_document(sources: Iterable[Source]) -> Iterable[list[Source]]:
    """The stretches of one number by their document: only notes on several documents are of more than one."""
    found: defaultdict[str, list[Source]] = defaultdict(list)
    for source in sources:
        found[source.chunk.key].append(source)
    return found.values()


def _quote(statement: str, stretches: Sequence[Source]) -> Citation:
    """The unit that shares the most words with a statement, among the stretches of a source."""
    wanted = set(_WORD.findall(statement.lower()))
    units = [
        (source, start, end)
        for source in stretches
        for start, end in unit_spans(source.chunk.text) or [(0, len(source.chunk.text))]
    ]
    source, start, end = max(units, key=lambda unit: _overlap(wanted, unit[0].chunk.text[unit[1] : unit[2]]))
    start_char = source.chunk.start_char + start
    part = _part_at(source, start_char)
    return Citation(
        number=source.number,
        uri=part.uri,
        title=part.title,
        page=part.page,
        start_char=start_char,
        end_char=source.chunk.start_char + end,
        quote=source.chunk.text[start:end],
        heading=part.heading,
        chunk_id=part.id,
    )


def _part_at(source: Source, start_char: int) -> Chunk:
    """The chunk in which a quote begins: of several the one that begins last."""
    begun = (part for part in reversed(source.parts) if part.start_char <= start_char < part.end_char)
    return next(begun, source.chunk)


def _overlap(wanted: set[str], unit: str) -> float:
    """Share of common words, Dice's coefficient: 0 for none, 1 for the same words."""
    words = set(_WORD.findall(unit.lower()))
    return 2 * len(wanted & words) / (len(wanted) + len(words)) if wanted and words else 0.0
