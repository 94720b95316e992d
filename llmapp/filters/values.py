"""The values and the names of fields that a filter may hold, and how they are written."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import TypeAlias

from pydantic import JsonValue

from llmapp.errors import FilterError

Value: TypeAlias = str | bool | int | float | date | datetime
"""A `date` is a whole day of UTC; a `datetime` is an instant, in UTC."""

MOST_FIELD_CHARS = 200
_HOUR = "(?:[01][0-9]|2[0-3])"
TIME = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    rf"(?:[T ]{_HOUR}:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{{1,9}})?)?(?:Z|[+-]{_HOUR}:?[0-5][0-9])?)?"
)
"""A day or a time of ISO 8601, as a regular expression."""
_PLAIN_FIELD = re.compile(r"[^\W\d]\w*(?:[.-]\w+)*")
KEYWORDS = frozenset({"and", "or", "not", "in", "exists", "true", "false", "null"})


def is_field(name: str) -> bool:
    """Whether a filter can name this field; JSON keeps names with ``$`` for its operators."""
    return 0 < len(name) <= MOST_FIELD_CHARS and name.isprintable() and not name.startswith("$")


def checked_field(name: object) -> str:
    """The name of a field.

    Raises:
        FilterError: It cannot be one.
    """
    if not isinstance(name, str) or not is_field(name):
        raise FilterError(
            "the filter names a field that no document can have",
            hint=f"a name has 1 to {MOST_FIELD_CHARS} printable characters and does not begin with $",
        )
    return name


def checked(value: object) -> Value:
    """A value that a filter may hold; a time without a zone is one of UTC, and all are brought to UTC.

    Raises:
        FilterError: It is none.
    """
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, str | bool | date) or (isinstance(value, int | float) and _is_finite(value)):
        return value
    raise FilterError(
        f"the filter compares with {_kind_of(value)}",
        hint="compare with text, a finite number, true, false, or a date; see architecture/filters.md",
    )


def parse_time(text: str) -> date | datetime | None:
    """A day or an instant, when the text is a date or a time of ISO 8601 as RFC 3339 narrows it; else None.

    ``2024-01-31``, ``2024-01-31T10:00``, ``2024-01-31 10:00:00.5+02:00``, ``2024-01-31T10:00:00Z``.
    """
    if not re.fullmatch(TIME, text):
        return None
    try:
        return date.fromisoformat(text) if len(text) == len("2024-01-31") else _in_utc(datetime.fromisoformat(text))
    except (ValueError, FilterError):
        return None


def written(value: Value) -> str:
    """A value as the text form writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value, '"')
    return iso(value) if isinstance(value, date) else repr(value)


def written_field(name: str) -> str:
    """The name of a field as the text form writes it."""
    return name if _PLAIN_FIELD.fullmatch(name) and name.lower() not in KEYWORDS else quoted(name, "`")


def iso(value: date | datetime) -> str:
    """A day or an instant in ISO 8601."""
    return value.isoformat().replace("+00:00", "Z")


def as_json(value: Value) -> JsonValue:
    """A value as the JSON form writes it; JSON has no dates, so they stand in an object as in MongoDB's extended JSON."""
    return {"$date": iso(value)} if isinstance(value, date) else value


def quoted(text: str, mark: str) -> str:
    """Text between two marks; a backslash takes the character behind it as it is."""
    return mark + re.sub(rf"([\\{mark}])", r"\\\1", text) + mark


def unquoted(text: str) -> str:
    """What stands between two marks."""
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _in_utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise FilterError("the filter names a time before year 1 or after year 9999") from error


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond 1.8e308
        return False


def _kind_of(value: object) -> str:
    if value is None:
        return "null where a value is needed"
    return "a number that is not finite" if isinstance(value, int | float) else f"a {type(value).__name__}"
