"""The values of the ledger. Money is integer nano-USD."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from llmapp.types import Usage

NANO_PER_USD = 1_000_000_000
SCOPES = ("day", "total")
"""Every scope is recorded, limited or not, so that a limit that is set later counts what was spent before."""

Kind: TypeAlias = Literal["chat", "embed", "rerank"]
State: TypeAlias = Literal["held", "sent", "posted", "presumed", "voided"]


@dataclass(frozen=True, slots=True)
class Hold:
    """A worst case, reserved."""

    id: str
    kind: Kind
    model: str
    held_nano_usd: int


@dataclass(frozen=True, slots=True)
class Charge:
    """How a hold has ended, or stands."""

    hold_id: str
    state: State
    posted_nano_usd: int | None
    """None while it is open, and when it was voided."""
    overage_nano_usd: int
    """Part of `posted_nano_usd` that was beyond the hold."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One budget in one window."""

    budget: str
    """Scope and window, e.g. ``day:2026-11-22``."""
    limit_nano_usd: int | None
    """None is unlimited."""
    held_nano_usd: int
    posted_nano_usd: int


@dataclass(frozen=True, slots=True)
class Spend:
    """What was charged for one model and kind on one day."""

    day: str
    model: str
    kind: Kind
    calls: int
    usage: Usage
    """Tokens that were reported; presumed calls have reported none."""
    posted_nano_usd: int
    presumed_calls: int
    """Calls charged at the hold because the truth is not known."""
    overage_nano_usd: int


def window(scope: str, now: float) -> str:
    """Name of the budget of a scope at a time: ``day:2026-11-22`` in UTC, or ``total``."""
    return f"day:{day_of(now)}" if scope == "day" else scope


def day_of(now: float) -> str:
    """ISO date in UTC of a time in seconds since 1970."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()
