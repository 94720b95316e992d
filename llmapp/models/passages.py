"""Cuts a source into the passages that an answer may quote: sentences, list items, table rows and records, each verbatim.

What says nothing by itself is context of what stands beside or below it and is not quoted: headings, the head of a
table, the line that introduces a list, the subject of a letter, the question of an answer, a lead-in such as "Hours.",
the furniture of a page. It reads plain text and Markdown; it does not judge what a passage says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmapp.frames import FramedSource
from llmapp.models.layout import furniture_of, has_head, rows_of
from llmapp.sentences import sentence_spans

_LONG_CHARS = 700
"""A "sentence" longer than this is text without punctuation and is cut at its lines."""
_LEAD_IN_WORDS = 3
_LEAST_WORDS = 3
"""A paragraph of fewer words that ends no sentence is a heading."""
_SHORT_CHARS = 40
"""Some scripts write no spaces, so that a word there may be a sentence."""

_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_TABLE_RULE = re.compile(r"\s*+\|?\s*+:?-{2,}+:?\s*+(?:\|\s*+:?-{2,}+:?\s*+)*+\|?\s*+")
_ITEM = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_FIELD = re.compile(r"\s*(?:\*\*|__)?[A-Z][\w /&()'-]{0,40}(?:\*\*|__)?:(?:\*\*|__)?\s+\S")
_RECORD = re.compile(r"[^\n]{0,80}:\n[ \t]")
_NUMBERED_HEADING = re.compile(r"\s*\d{1,3}(?:\.\d{1,3})*[.)]?\s+([^\W\d_][^.!?:;|]{2,70})")
_ASKED = re.compile(r"\s*(?:\*\*)?(?:Q|Question)[:.](?:\*\*)?\s+")
_ANSWERED = re.compile(r"\s*(?:\*\*)?(?:A|Answer):(?:\*\*)?\s+")
_SUBJECT = re.compile(r"\s*(?:Subject|Re|Betreff):\s")
_BOLD_LEAD_IN = re.compile(r"\*\*([^*\n]{1,60})[.:]\*\*|\*\*([^*\n]{1,60})\*\*[.:]")

_PAST = r"archived|superseded|obsolete|outdated|withdrawn|deprecated|no longer (?:valid|in force|current)"
_PAST_TITLE = re.compile(rf"\b(?:{_PAST}|archive)\b", re.IGNORECASE)
_PAST_TEXT = re.compile(
    rf"^\W{{0,3}}(?:status|state|note|notice)?\W{{0,4}}(?:{_PAST}|replaced by)\b"
    r"|\bthis (?:document|circular|policy|version|edition|page|form|guide|procedure|memo|letter)"
    rf" (?:is|was|has been|have been)(?: \w+)? (?:{_PAST}|replaced)\b",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a source that an answer may quote."""

    source: int
    """Position of the source in the prompt, from 0."""
    number: int
    """The number that the answer cites."""
    text: str
    """Verbatim part of the source's text."""
    context: str
    """Title, place, headings, head of the table or introduction above it."""
    is_past: bool = False
    """Whether its document says that it is archived, replaced or no longer valid."""


def passages_of(sources: Sequence[FramedSource]) -> list[Passage]:
    """The passages of a prompt's sources, in the order of their text.

    Args:
        sources: All of a prompt, as they were read from it: several may be parts of one document.
    """
    furniture = furniture_of(sources)
    past = {source.title for source in sources if _is_past(source)}
    return [
        Passage(position, source.number, text, " ".join(part for part in above if part), source.title in past)
        for position, source in enumerate(sources)
        for above, text in _passages(source, furniture)
    ]


def _is_past(source: FramedSource) -> bool:
    return bool(_PAST_TITLE.search(f"{source.title}\n{source.place}") or _PAST_TEXT.search(source.text))


def _passages(source: FramedSource, furniture: frozenset[str]) -> Iterator[tuple[list[str], str]]:
    lines = source.text.split("\n")
    about = [line.strip() for line in lines if line.strip() in furniture or _SUBJECT.match(line)]
    kept = ["" if line.strip() in about else line for line in lines]
    for above, text in _Reader(kept).blocks():
        yield [source.title, source.place, *about, *above], text


class _Reader:
    """Walks down the lines of a source and keeps what stands above."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._rows = rows_of(lines)
        self._headings: list[str] = []
        self._lead = ""  # head of a table, the line that introduces a list, or a question

    def blocks(self) -> Iterator[tuple[list[str], str]]:
        """Pairs of what stands above a passage and the passage."""
        at = 0
        while at < len(self._lines):
            end = self._read_above(at)
            if end == at:
                end = self._block_end(at)
                yield from self._quotable(at, end)
            at = end

    def _read_above(self, at: int) -> int:
        """Take in what is context only, and say where it ends: where it begins, when it is none."""
        line = self._lines[at]
        if heading := _HEADING.fullmatch(line.strip()):
            self._headings = [*self._headings[: len(heading[1]) - 1], heading[2]]
            self._lead = ""
        elif at in self._rows:
            return at
        elif self._is_short_paragraph(at):
            self._headings, self._lead = [*self._headings[:1], line.strip()], ""
        elif numbered := self._numbered_heading(at):
            self._headings, self._lead = [*self._headings[:1], numbered], ""
        elif self._is_table_head(at):
            self._lead = line
            return at + 2
        elif _ASKED.match(line):
            end = self._block_end(at)
            self._lead = "\n".join(self._lines[at:end])
            return end
        else:
            return at
        return at + 1

    def _quotable(self, at: int, end: int) -> Iterator[tuple[list[str], str]]:
        lines = self._lines[at:end]
        block, lead = "\n".join(lines), self._lead
        if at in self._rows:
            head = lines[0] if has_head(lines) else ""
            for row in lines[1:] if head else lines:
                yield [*self._headings, lead, head], row.strip()
            self._lead = ""
            return
        for text, lead_in in _cut(block):
            if not text.endswith(":"):  # an introduction says nothing by itself
                yield [*self._headings, lead, lead_in], text
        self._lead = self._next_lead(block, lines[0])

    def _next_lead(self, block: str, first: str) -> str:
        if not block.strip():
            return "" if _is_row(self._lead) else self._lead
        if _is_row(first) or _ITEM.match(first) or _ASKED.match(self._lead):
            return self._lead
        return block if block.rstrip().endswith(":") else ""

    def _is_short_paragraph(self, at: int) -> bool:
        """Whether a line stands alone, with hardly a word, no figure and no end of a sentence."""
        line = self._lines[at].strip()
        if not line or len(line) > _SHORT_CHARS or len(line.split()) >= _LEAST_WORDS or _ITEM.match(self._lines[at]):
            return False
        alone = not "".join(self._lines[at + 1 : at + 2]).strip() and not "".join(self._lines[max(0, at - 1) : at]).strip()
        return alone and not re.search(r"[\d@|]|[.!?:。！？]$", line)

    def _numbered_heading(self, at: int) -> str | None:
        """The title in "7. Duties after a loss", where the next line begins a sentence and is no item of the same list."""
        heading = _NUMBERED_HEADING.fullmatch(self._lines[at].rstrip())
        below = self._lines[at + 1].strip() if heading and at + 1 < len(self._lines) else ""
        return heading[1] if heading and below[:1].isupper() and not _ITEM.match(below) else None

    def _is_table_head(self, at: int) -> bool:
        below = "".join(self._lines[at + 1 : at + 2])
        return "|" in self._lines[at] and "-" in below and bool(_TABLE_RULE.fullmatch(below))

    def _block_end(self, at: int) -> int:
        """Where the paragraph, list item, row or record that starts at a line ends."""
        lines, end = self._lines, at + 1
        if at in self._rows:
            return self._rows[at]
        if not lines[at].strip() or _is_row(lines[at]):
            return end
        if _RECORD.match("\n".join(lines[at : at + 2])) and not _ITEM.match(lines[end]):
            while end < len(lines) and lines[end].startswith((" ", "\t")):  # a record: "Row 1:" and its indented fields
                end += 1
            return end
        while end < len(lines) and lines[end].strip() and not self._starts_block(end):
            end += 1
        return end

    def _starts_block(self, at: int) -> bool:
        line = self._lines[at]
        starts = _HEADING.fullmatch(line.strip()) or _ITEM.match(line) or _FIELD.match(line) or _is_row(line)
        return bool(starts) or at in self._rows or self._is_table_head(at)


def _is_row(line: str) -> bool:
    return line.lstrip().startswith("|")


def _cut(block: str) -> Iterator[tuple[str, str]]:
    """The passages of one block, each with the lead-in that the passages after it stand under."""
    text = block.strip()
    if not any(character.isalnum() for character in text):
        return
    if _is_row(text) or _RECORD.match(text):
        yield text, ""
        return
    answered = _ANSWERED.match(text)
    marker = answered or _ITEM.match(text)
    sentences = [text[start:end] for start, end in sentence_spans(text, marker.end() if marker else 0)]
    lead_in = ""
    if len(sentences) > 1 and not answered and _is_lead_in(sentences[0]):  # "A: No. It is" begins with the answer
        lead_in = sentences.pop(0)
    elif sentences and (bold := _BOLD_LEAD_IN.match(sentences[0])):
        lead_in = bold[1] or bold[2]
    for sentence in sentences:
        for line in sentence.split("\n") if len(sentence) > _LONG_CHARS else [sentence]:
            if line.strip():
                yield line.strip(), lead_in


def _is_lead_in(sentence: str) -> bool:
    """Whether a first sentence only names what the others are about, as in "Hours. The line is staffed from 8:00"."""
    named = sentence.endswith(".") and not any(sign.isdigit() for sign in sentence)
    return named and len(sentence) <= _SHORT_CHARS and len(sentence.split()) < _LEAD_IN_WORDS
