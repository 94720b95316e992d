"""Where the units of a text begin and end: sentences, list items, table rows, records.

A unit is what a person would quote. Spans are exact and the text is never changed. Knows nothing of tokens.
"""

from __future__ import annotations

import re

_BLOCK = re.compile(r"\S.*?(?=\n[ \t]*\n|\Z)", re.DOTALL)
_LINE_UNIT = re.compile(r"[ \t]*(?:[-*+•] |\d+[.)] |\||#{1,6} )")
_RECORD = re.compile(r"Row \d+:\n")
_SENTENCE_END = re.compile(
    r"(?<!\b[A-Z])(?<!\b(?:Mr|Dr|No|vs|St|Nr|ca))(?<!\b(?:Mrs|e\.g|i\.e|etc|Inc|Ltd|Art|Sec|Fig|bzw|z\.B))[.!?]+[\"'”’)\]]*(?=\s)|[。！？]"
)


def unit_spans(text: str) -> list[tuple[int, int]]:
    """Spans ``[start, end)`` of the units of `text`, in order, without surrounding white space."""
    spans: list[tuple[int, int]] = []
    for block in _BLOCK.finditer(text):
        start, end = block.span()
        if _RECORD.match(text, start):
            spans.append((start, end))
        else:
            spans.extend(_units_of_block(text, start, end))
    return [trimmed for span in spans if (trimmed := _trim(text, *span))]


def _units_of_block(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Split before every list item, table row and heading, then at the ends of sentences; a wrapped line goes on."""
    parts: list[tuple[int, int]] = []
    begin = position = start
    after_line_unit = False
    while position < end:
        line_end = text.find("\n", position, end)
        line_end = end if line_end < 0 else line_end
        is_line_unit = bool(_LINE_UNIT.match(text, position, line_end))
        if position > begin and (is_line_unit or (after_line_unit and not text[position : position + 1].isspace())):
            parts.append((begin, position))
            begin = position
        after_line_unit = is_line_unit
        position = line_end + 1
    parts.append((begin, end))
    return [sentence for part in parts for sentence in _sentences(text, *part)]


def _sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    begin = start
    for match in _SENTENCE_END.finditer(text, start, end):
        if not any(sign.isalpha() for sign in text[begin : match.end()]):
            continue  # "1." opens a list item, "3.5" is no sentence
        spans.append((begin, match.end()))
        begin = match.end()
    spans.append((begin, end))
    return spans


def _trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None
