"""Windows of time in which money is counted: days and months of a place, everything, or a window that rolls.

A window is part of a budget's name, so nothing is ever reset, and a call counts in the windows in which it was reserved.
A rolling window is cut into buckets of one hundredth of it. The last 101 are counted, which are the whole window and at
most a hundredth more: so a limit may refuse a little early, and never lets more through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

_BUCKETS = 100
_HOUR_S = 3600
_ROLLING = re.compile(r"([1-9]\d{0,3}) (hour|day)s?")
_FOREVER = 9_999_999_999
"""The year 2286. Seconds since 1970."""

PER_PATTERN = rf"^(day|month|total|{_ROLLING.pattern})$"
"""What `Span.per` may be."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time."""

    starts_at: int
    """First instant. Seconds since 1970."""
    ends_at: int
    """First instant after it. Seconds since 1970."""

    @property
    def length_s(self) -> int:
        """How long it is; a day of a place with daylight saving has 23 to 25 hours. Seconds."""
        return self.ends_at - self.starts_at


@dataclass(frozen=True, slots=True)
class Span:
    """How long a budget counts before it begins anew."""

    per: str
    """``day``, ``month``, ``total``, or a window that rolls, e.g. ``24 hours`` or ``30 days``."""
    timezone: str = "UTC"
    """The place whose days and months these are, e.g. ``Europe/Berlin``; nothing else asks for it."""

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            ValueError: There is no such window, or no such place.
        """
        if not re.fullmatch(PER_PATTERN, self.per):
            raise ValueError(f"{self.per!r} is neither day, month nor total, nor a window such as '24 hours' or '30 days'")
        try:
            ZoneInfo(self.timezone)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"there is no time zone {self.timezone!r}; one is written Europe/Berlin") from error

    @property
    def rolling_s(self) -> int | None:
        """Length of a window that rolls; None for one that does not. Seconds."""
        found = _ROLLING.fullmatch(self.per)
        return int(found[1]) * _HOUR_S * (24 if found[2] == "day" else 1) if found else None

    def windows(self, now: float) -> tuple[Window, ...]:
        """What is counted now, oldest first: one window, or the buckets of one that rolls. The last holds `now`."""
        if length_s := self.rolling_s:
            bucket_s = length_s // _BUCKETS
            last = int(now // bucket_s)
            return tuple(Window(n * bucket_s, (n + 1) * bucket_s) for n in range(last - _BUCKETS, last + 1))
        if self.per == "total":
            return (Window(0, _FOREVER),)
        first = _day(now, self.timezone)
        if self.per == "day":
            return (Window(_start(first, self.timezone), _start(first + timedelta(days=1), self.timezone)),)
        first = first.replace(day=1)
        return (Window(_start(first, self.timezone), _start(_next_month(first), self.timezone)),)

    def name(self, now: float) -> str:
        """Name of the window, e.g. ``2026-11-22``, ``2026-11 Europe/Berlin``, ``30 days``, ``total``."""
        if self.per not in ("day", "month"):
            return self.per
        day = _day(now, self.timezone).isoformat()
        place = "" if self.timezone == "UTC" else f" {self.timezone}"
        return (day if self.per == "day" else day[:7]) + place

    def resets_at(self, now: float) -> float | None:
        """When the next window begins; None where none does, or it rolls. Seconds since 1970."""
        return float(self.windows(now)[0].ends_at) if self.per in ("day", "month") else None


def day_of(now: float) -> str:
    """ISO date in UTC of a time in seconds since 1970."""
    return _day(now, "UTC").isoformat()


def _day(now: float, timezone: str) -> date:
    return datetime.fromtimestamp(now, _zone(timezone)).date()


@lru_cache(maxsize=1024)
def _start(day: date, timezone: str) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=_zone(timezone)).timestamp())


def _zone(timezone: str) -> tzinfo:
    return UTC if timezone == "UTC" else ZoneInfo(timezone)


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)
