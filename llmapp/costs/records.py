"""The values of the ledger. Money is integer nano-USD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from llmapp.costs.limits import Limit
from llmapp.types import Usage

NANO_PER_USD = 1_000_000_000

Kind: TypeAlias = Literal["chat", "embed", "rerank"]
State: TypeAlias = Literal["held", "sent", "posted", "presumed", "voided"]


@dataclass(frozen=True, slots=True)
class Hold:
    """A worst case, reserved."""

    id: str
    kind: Kind
    model: str
    held_nano_usd: int
    is_repeat: bool = False
    """Whether it was there already, by its key: the call was made, or is being made, and must not be made again."""


@dataclass(frozen=True, slots=True)
class Once:
    """What makes a repeated reservation one and the same."""

    key: str
    """Chosen by the caller, unique for the call, e.g. ``batch_7,line 12``."""
    fingerprint: str
    """Of what is called; the same key with another one is a mistake."""


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
    """One account against one limit, in its present window."""

    account: str
    """E.g. ``application`` or ``user:7``."""
    limit: Limit
    window: str
    """Name of the window, e.g. ``2026-11-22``."""
    held_nano_usd: int
    posted_nano_usd: int

    @property
    def budget(self) -> str:
        """Account and window, e.g. ``user:7:2026-11-22``."""
        return f"{self.account}:{self.window}"


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
