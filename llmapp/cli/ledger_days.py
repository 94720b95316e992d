"""Days and views, as they are written on the command line."""

from __future__ import annotations

import time
from datetime import date

from llmapp.costs.ledger.reports import PARTS, Part
from llmapp.costs.windows import day_of
from llmapp.errors import InvalidRequestError

_ALWAYS = "9999-12-31"


def days(since: str | None, until: str | None) -> tuple[str, str]:
    """First and last day, ISO (UTC): what is given, else from today on.

    Raises:
        InvalidRequestError: One of them is no day.
    """
    for given in (since, until):
        try:
            date.fromisoformat(given or _ALWAYS)
        except ValueError as error:
            raise InvalidRequestError(f"{given!r} is no day", hint="write it YYYY-MM-DD") from error
    return since or day_of(time.time()), until or _ALWAYS


def part_of(by: str) -> Part:
    """The view of that name.

    Raises:
        InvalidRequestError: There is none.
    """
    if by not in PARTS:
        raise InvalidRequestError(f"spending is not told by {by!r}", hint=f"there are {', '.join(PARTS)}")
    return by
