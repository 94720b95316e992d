"""Tables of text as records: every row carries the names of its columns, so that it can be found and quoted alone.

The first row names the columns. Knows commas, semicolons, tabs and bars; types and formulas mean nothing to it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from llmapp.errors import ParseError
from llmapp.ingestion.parsing.limits import over

_DELIMITERS = ",;\t|"
_MOST_CELL_CHARS = 1_000_000
_LINE = re.compile(r"[^\r\n]*+(?:\r\n?|\n)|[^\r\n]++")


def records(text: str, *, max_chars: int) -> str:
    """Write a table as records: ``Row 1:``, then a line ``  column: cell`` for each cell that is not empty.

    Args:
        text: The table, with the names of its columns in the first row.
        max_chars: Length that the records may have. Characters.

    Raises:
        ParseError: It is not a table.
        LimitExceededError: The records are too long; a long name of a column is in every row.
    """
    try:
        rows = _rows(text)
        header = [" ".join(name.split()) for name in next(rows, [])]
        found: list[str] = []
        left_chars = max_chars
        for number, row in enumerate(rows, start=1):
            found.append(_record(number, header, row))
            left_chars -= len(found[-1]) + len("\n\n")
            if left_chars < 0:
                raise over("max_chars", f"as records it has more than {max_chars:,} characters of text")
    except csv.Error as error:
        raise ParseError(f"it is not a table: {error}", hint="open it in a spreadsheet and save it again") from error
    return "\n\n".join(found) or text.strip()  # a header alone is a line of text


def _rows(text: str) -> Iterator[list[str]]:
    """The rows that are not empty, one at a time: as objects they are many times larger than their text."""
    first = text.lstrip("\n").split("\n", 1)[0]
    csv.field_size_limit(_MOST_CELL_CHARS)
    lines = (line[0] for line in _LINE.finditer(text))
    reader = csv.reader(lines, delimiter=max(_DELIMITERS, key=first.count))
    return (row for row in reader if any(cell.strip() for cell in row))


def _record(number: int, header: list[str], row: list[str]) -> str:
    lines = [f"Row {number}:"]
    for position, cell in enumerate(row):
        name = header[position] if position < len(header) and header[position] else f"column {position + 1}"
        if value := " ".join(cell.split()):
            lines.append(f"  {name}: {value}")
    return "\n".join(lines)
