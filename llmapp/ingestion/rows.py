"""Tables of text as records: every row carries the names of its columns, so that it can be found and quoted alone.

The first row names the columns. Knows commas, semicolons, tabs and bars; types and formulas mean nothing to it.
"""

from __future__ import annotations

import csv
import io

from llmapp.errors import ParseError

_DELIMITERS = ",;\t|"
_MOST_CELL_CHARS = 1_000_000


def records(text: str) -> str:
    """Write a table as records: ``Row 1:``, then a line ``  column: cell`` for each cell that is not empty.

    Raises:
        ParseError: It is not a table.
    """
    first = text.lstrip("\n").split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    csv.field_size_limit(_MOST_CELL_CHARS)
    try:
        rows = [
            row
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise ParseError(f"it is not a table: {error}", hint="open it in a spreadsheet and save it again") from error
    if len(rows) < 2:  # noqa: PLR2004 - a header alone is a line of text
        return text.strip()
    header = [" ".join(name.split()) for name in rows[0]]
    return "\n\n".join(_record(number, header, row) for number, row in enumerate(rows[1:], start=1))


def _record(number: int, header: list[str], row: list[str]) -> str:
    lines = [f"Row {number}:"]
    for position, cell in enumerate(row):
        name = header[position] if position < len(header) and header[position] else f"column {position + 1}"
        if value := " ".join(cell.split()):
            lines.append(f"  {name}: {value}")
    return "\n".join(lines)
