"""Values of a database as text, as JSON, as grants and as a cursor; the same value always gives the same.

Knows the types of Python that drivers hand over, and no database.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

from pydantic import JsonValue

from llmapp.connector import ConnectorError, Cursor, CursorRejectedError

_CURSORS: dict[str, Any] = {"datetime": datetime.fromisoformat, "date": date.fromisoformat, "Decimal": Decimal}
_NO = frozenset({"", "0", "f", "false", "n", "no"})


def as_text(value: object) -> str:
    """The value as a reader would write it; NULL is empty, bytes are hexadecimal, a time stamp with a zone is in UTC."""
    match value:
        case None:
            text = ""
        case bool():
            text = "true" if value else "false"
        case datetime():
            text = (value.astimezone(UTC) if value.tzinfo else value).isoformat()
        case date() | time():
            text = value.isoformat()
        case Decimal():
            text = f"{value:f}"
        case bytes() | bytearray() | memoryview():
            text = bytes(value).hex()
        case dict() | list() | tuple():
            text = json.dumps(value, default=as_text, ensure_ascii=False, sort_keys=True)
        case _:
            text = str(value)
    return text


def as_json(value: object) -> JsonValue:
    """NULL, truth, text, finite numbers, lists and JSON stay what they are; everything else becomes text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() if isfinite(value):
            return value
        case list() | tuple():
            return [as_json(item) for item in value]
        case dict():
            return {str(key): as_json(item) for key, item in value.items()}
        case _:
            return as_text(value)


def as_grants(value: object) -> tuple[str, ...]:
    """The grants of an array, of a JSON list, or of a text with commas; NULL is nobody."""
    if isinstance(value, str):
        value = _parsed(value)
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(grant for item in items if (grant := as_text(item).strip()))


def _parsed(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return text.split(",")
    return found if isinstance(found, list) else [found]


def is_set(value: object) -> bool:
    """Whether a mark of deletion says yes."""
    if isinstance(value, str):
        return value.strip().casefold() not in _NO
    return any(value) if isinstance(value, bytes) else bool(value)


def as_cursor(value: object, last: Cursor) -> Cursor:
    """The value as JSON; the last cursor where it is NULL.

    Raises:
        ConnectorError: It is of a type that does not grow.
    """
    if value is None:
        return last
    if isinstance(value, int | float | str):
        return value
    name = type(value).__name__
    if isinstance(value, date):
        value = _not_after_now(value)
    if name not in _CURSORS:
        raise ConnectorError(f"a cursor cannot be a {name}", hint="cursor_column is a time stamp or a number")
    return {name: str(value)}


def _not_after_now(value: date) -> date:
    """A row dated in the future must not carry the cursor there: what changes until then would never be read."""
    now = datetime.now(UTC)
    if isinstance(value, datetime) and value.tzinfo:
        return min(value, now)
    # Without a zone it may be of any: local times are from 12 hours behind UTC to 14 before it.
    latest, earliest = (now.replace(tzinfo=None) + timedelta(hours=hours) for hours in (14, -12))
    if isinstance(value, datetime):
        return earliest if value > latest else value
    return earliest.date() if value > latest.date() else value


def from_cursor(cursor: Cursor) -> object:
    """The value that `as_cursor` wrote; None for none.

    Raises:
        CursorRejectedError: It did not write this one.
    """
    if cursor is None or isinstance(cursor, int | float | str):
        return cursor
    try:
        ((name, text),) = cursor.items()  # type: ignore[union-attr]
        return _CURSORS[name](text)
    except (AttributeError, KeyError, TypeError, ValueError, InvalidOperation):
        raise CursorRejectedError("the cursor is none of this connector", hint="the source is read from the start") from None
