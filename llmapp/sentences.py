"""Where sentences end, and the units of a text: sentences, list items, table rows, records.

A unit is what a person would quote. Spans are exact and the text is never changed. Knows nothing of tokens.
"""

from __future__ import annotations

import re

_BLOCK = re.compile(r"\S.*?(?=\n[ \t]*\n|\Z)", re.DOTALL)
_LINE_UNIT = re.compile(r"[ \t]*(?:[-*+•] |\d+[.)] |\||#{1,6} )")
_RECORD = re.compile(r"Row \d+:\n")
# Possessive, and from the first sign of a run only: a line of dots would take quadratic time.
_SENTENCE_END = re.compile(
    r"""
    (?<![.!?…])[.!?…]++ (?:["'”’»›)\]*_]|\[\d{1,3}\]|[⁰¹²³⁴-⁹])*+ (?=\s++["'“‘«‹(\[*_¿¡]*+(?P<next>[^\W_]))
    | (?:[。！？｡‼⁇⁈⁉؟۔।॥።។៕။།։]|．(?!\d))++ [」』”’》）】)»]*+
    """,
    re.VERBOSE,
)
"""Where a letter or a number follows, and in scripts that have a sign of their own for it, behind that sign."""
_ABBREVIATION = re.compile(
    r"""
    \b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|etc|No|Nos|Nr|Art|Sec|[Aa]pprox|ca|Inc|Ltd|Co|Jr|Sr|Mme|Fig|cf|vgl|bzw|al|pp?
    |[^\W\d_](?:\.\s?[^\W\d_])*)\.$
    """,
    re.VERBOSE,
)
_NUMBERED = re.compile(
    r"""
    \b(?:abb|abs|app|art|bd|cap|ch|dec|dez|eq|ext|feb|jan|kap|max|min|n[ou]s?|n[úu]ms?|nov|oct|okt|rev|sep|sept|tab|tel|ver|vol
    |ziff|гл|рис|ст|стр)\.$
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Words whose stop ends no sentence where a number follows."""
_ORDINAL = re.compile(r"\b\d{1,2}\.$")
_MONTH = re.compile(r"\s*+(?:Jan|Feb|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez)")
"""In German the day before a month bears a stop."""
_ABBREVIATION_CHARS = 12
_EMPHASIS = re.compile(r"(\*\*|__)[^*_]+\1")
"""A term in bold type that its explanation follows, as in a glossary."""


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Spans of the sentences between two offsets, in order, without surrounding white space.

    An abbreviation, the number of a list item and a term in bold type end no sentence, nor does what a small letter follows.
    """
    end = len(text) if end is None else end
    spans: list[tuple[int, int]] = []
    begin = start
    for match in _SENTENCE_END.finditer(text, start, end):
        if not _goes_on(text, match) and not _is_unfinished(text[begin : match.end()].strip()):
            spans.append((begin, match.end()))
            begin = match.end()
    spans.append((begin, end))
    return [trimmed for span in spans if (trimmed := _trim(text, *span))]


def unit_spans(text: str) -> list[tuple[int, int]]:
    """Spans ``[start, end)`` of the units of `text`, in order, without surrounding white space."""
    spans: list[tuple[int, int]] = []
    for block in _BLOCK.finditer(text):
        start, end = block.span()
        if _RECORD.match(text, start):
            spans.append((start, end))
        else:
            spans.extend(_units_of_block(text, start, end))
    return spans


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
    return [sentence for part in parts for sentence in sentence_spans(text, *part)]


def _goes_on(text: str, stop: re.Match[str]) -> bool:
    """Whether what follows a stop continues the sentence."""
    follows = stop["next"]
    if follows is None:
        return False
    before = text[max(0, stop.start() - _ABBREVIATION_CHARS) : stop.start() + 1]
    if follows.isdigit():
        return bool(_NUMBERED.search(before))
    return follows.islower() or bool(_ORDINAL.search(before) and _MONTH.match(text, stop.end()))


def _is_unfinished(sentence: str) -> bool:
    if not any(sign.isalpha() for sign in sentence):
        return True
    return bool(_ABBREVIATION.search(sentence[-_ABBREVIATION_CHARS:]) or _EMPHASIS.fullmatch(sentence))


def _trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None
