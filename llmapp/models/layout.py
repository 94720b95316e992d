"""Which lines of a source are rows of a plain table, and which are furniture of the page.

Both are told by their form alone: where lines break, and what stands at the edge of several sources. It knows nothing
of questions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from llmapp.frames import FramedSource
from llmapp.sentences import sentence_spans

_LEAST_ROWS = 3
_LEAST_ROW_WORDS = 4
"""Most rows have as many words; lines of an address or a signature have fewer."""
_TITLE_LINES = 3
"""Of a source, where its title may stand once more."""
_CLOSED = (".", "!", "?", ":", ";", ",", "-", "…")
_STARTS_OTHERWISE = re.compile(r"\s*(?:[-*+•#>|\"]|\d{1,3}[.)]\s|[^\W\d_][\w ]{0,40}:\s)|\s")
_PAGE_NUMBER = re.compile(
    r"(?:page|seite)\s+\d+(?:\s*(?:of|von|/)\s*\d+)?|\d+\s*(?:of|von|/)\s*\d+|[-–]\s*\d+\s*[-–]", re.IGNORECASE
)


def furniture_of(sources: Sequence[FramedSource]) -> frozenset[str]:
    """Lines that say nothing by themselves: page numbers, titles, and what several sources begin or end with.

    Args:
        sources: All of a prompt, for only together do they show what is repeated.
    """
    found: set[str] = set()
    firsts: Counter[str] = Counter()
    lasts: Counter[str] = Counter()
    for lines in {tuple(_filled(source.text)) for source in sources}:
        found.update(line for line in lines if _PAGE_NUMBER.fullmatch(line))
        inner = [line for line in lines if line not in found]
        if len(inner) > 1:
            firsts[inner[0]] += 1
            lasts[inner[-1]] += 1
    found.update(line for edge in (firsts, lasts) for line, times in edge.items() if times > 1 and _is_open(line))
    found.update(line for source in sources for line in _filled(source.text)[:_TITLE_LINES] if _names(source.title, line))
    return frozenset(found)


def rows_of(lines: Sequence[str]) -> dict[int, int]:
    """Runs of table rows in plain text, as the positions of first lines and of what follows the last ones.

    A row is a line that neither ends nor holds the end of a sentence and that the next line does not go on with. Most of
    a run hold figures, or were broken before they were full: in a wrapped paragraph the next word would not have fitted.
    """
    width = max(map(len, lines), default=0)
    runs: dict[int, int] = {}
    at = 0
    while at < len(lines):
        end = at
        while end < len(lines) and _may_be_row(lines, end, is_first=end == at):
            end += 1
        if _is_table(lines[at:end], width):
            runs[at] = end
        at = max(end, at + 1)
    return runs


def has_head(rows: Sequence[str]) -> bool:
    """Whether the first of some rows names the columns: it has no figures, and most of the others have."""
    figured = [any(sign.isdigit() for sign in row) for row in rows]
    return not figured[0] and 3 * sum(figured) >= 2 * (len(rows) - 1)


def _filled(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _is_open(line: str) -> bool:
    return not line.endswith(_CLOSED) and not _STARTS_OTHERWISE.match(line)


def _names(title: str, line: str) -> bool:
    """Whether a first line is there for the title alone."""
    rest = len(line) - len(title)
    return bool(title) and title.lower() in line.lower() and _is_open(line) and rest <= 2 * len(title)


def _may_be_row(lines: Sequence[str], at: int, *, is_first: bool) -> bool:
    line = lines[at].rstrip()
    if not line or line.endswith(_CLOSED) or _STARTS_OTHERWISE.match(line) or len(sentence_spans(line)) != 1:
        return False
    below = lines[at + 1].strip() if at + 1 < len(lines) else ""
    return not below[:1].islower() and (is_first or not line[:1].islower())


def _is_table(rows: Sequence[str], width: int) -> bool:
    if len(rows) < _LEAST_ROWS:
        return False
    wordy = sum(len(row.split()) >= _LEAST_ROW_WORDS for row in rows)
    early = sum(len(row.rstrip()) + 1 + len(below.split()[0]) <= width for row, below in pairwise(rows))
    figured = sum(any(sign.isdigit() for sign in row) for row in rows)
    return 2 * wordy >= len(rows) and (2 * early >= len(rows) - 1 or 3 * figured >= 2 * len(rows))
