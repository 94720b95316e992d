"""Cuts a source into the passages that an answer may quote: sentences, list items, table rows and records, each verbatim.

Headings, the head of a table and the line that introduces a list are context of what stands below them and are not quoted
themselves. It reads plain text and Markdown; it does not judge what a passage says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from llmapp.frames import FramedSource
from llmapp.sentences import sentence_spans

_LONG_CHARS = 700
"""A "sentence" longer than this is text without punctuation, such as a table in a PDF, and is cut at its lines."""

_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*")
_ITEM = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_FIELD = re.compile(r"\s*(?:\*\*|__)?[A-Z][\w /&()'-]{0,40}(?:\*\*|__)?:(?:\*\*|__)?\s+\S")
_NUMBERED_HEADING = re.compile(r"\s*\d{1,3}(?:\.\d{1,3})*[.)]?\s+([^\W\d_][^.!?:;|]{2,70})")


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


def passages_of(source: FramedSource, *, position: int) -> list[Passage]:
    """The passages of a source in the order of its text.

    Args:
        source: As it was read from the prompt.
        position: Its position in the prompt, from 0.
    """
    named = [source.title, source.place]
    return [
        Passage(position, source.number, text, " ".join(part for part in [*named, *above] if part))
        for above, text in _blocks(source.text.split("\n"))
    ]


def _blocks(lines: list[str]) -> Iterator[tuple[list[str], str]]:
    """Pairs of what stands above a passage and the passage."""
    headings: list[str] = []
    lead = ""  # head of a table, or the line that introduces a list
    at = 0
    while at < len(lines):
        line = lines[at]
        if heading := _HEADING.fullmatch(line.strip()):
            level = len(heading[1])
            headings = [*headings[: level - 1], heading[2]]
            lead = ""
            at += 1
        elif numbered := _numbered_heading(lines, at):
            headings, lead = [*headings[:1], numbered], ""
            at += 1
        elif _is_table_head(lines, at):
            lead = line
            at += 2
        else:
            end = _block_end(lines, at)
            block = "\n".join(lines[at:end])
            for text in _cut(block):
                if not text.endswith(":"):  # an introduction says nothing by itself
                    yield [*headings, lead], text
            lead = _next_lead(lead, block, lines[at])
            at = end


def _numbered_heading(lines: list[str], at: int) -> str | None:
    """The title in "7. Duties after a loss", where the next line begins a sentence and is no item of the same list."""
    heading = _NUMBERED_HEADING.fullmatch(lines[at].rstrip())
    below = lines[at + 1].strip() if heading and at + 1 < len(lines) else ""
    return heading[1] if heading and below[:1].isupper() and not _ITEM.match(below) else None


def _is_table_head(lines: list[str], at: int) -> bool:
    return "|" in lines[at] and at + 1 < len(lines) and "-" in lines[at + 1] and bool(_TABLE_RULE.fullmatch(lines[at + 1]))


def _block_end(lines: list[str], at: int) -> int:
    """Where the paragraph, list item, row or record that starts at a line ends."""
    end = at + 1
    if not lines[at].strip() or _is_row(lines[at]):
        return end
    if (
        lines[at].rstrip().endswith(":")
        and end < len(lines)
        and lines[end].startswith((" ", "\t"))
        and not _ITEM.match(lines[end])
    ):
        while end < len(lines) and lines[end].startswith((" ", "\t")):  # a record: "Row 1:" and its indented fields
            end += 1
        return end
    while end < len(lines) and lines[end].strip() and not _starts_block(lines, end):
        end += 1
    return end


def _starts_block(lines: list[str], at: int) -> bool:
    line = lines[at]
    return bool(
        _HEADING.fullmatch(line.strip()) or _ITEM.match(line) or _FIELD.match(line) or _is_row(line)
    ) or _is_table_head(lines, at)


def _is_row(line: str) -> bool:
    return line.lstrip().startswith("|")


def _next_lead(lead: str, block: str, first: str) -> str:
    if not block.strip():
        return "" if _is_row(lead) else lead
    if _is_row(first) or _ITEM.match(first):
        return lead
    return block if block.rstrip().endswith(":") else ""


def _cut(block: str) -> Iterator[str]:
    """The passages of one block."""
    text = block.strip()
    if not any(character.isalnum() for character in text):
        return
    if _is_row(text) or re.match(r"[^\n]{0,80}:\n[ \t]", text):
        yield text
        return
    marker = _ITEM.match(text)
    for start, end in sentence_spans(text, marker.end() if marker else 0):
        sentence = text[start:end]
        if len(sentence) > _LONG_CHARS and "\n" in sentence:
            yield from (line.strip() for line in sentence.split("\n") if line.strip())
        else:
            yield sentence
