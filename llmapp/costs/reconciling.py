"""Compares what a provider has billed with what the ledger has posted, day by day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from llmapp.costs.ledger import Ledger

_LEAST_NANO_USD = 10_000_000
"""A cent: providers round their reports."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day (UTC)."""

    day: str
    billed_nano_usd: int
    posted_nano_usd: int
    presumed_calls: int
    """Calls charged at the hold, which is where what was posted may be above what was billed."""
    verdict: Literal["agrees", "billed more", "posted more"]

    @property
    def off_nano_usd(self) -> int:
        """Billed less posted."""
        return self.billed_nano_usd - self.posted_nano_usd

    @property
    def is_short(self) -> bool:
        """Whether more was billed than posted: calls passed beside the guard, or a rate is too low."""
        return self.verdict == "billed more"


def compare(billed: Mapping[str, int], ledger: Ledger, *, provider: str | None, tolerance: float) -> list[Day]:
    """Compare the days that an invoice covers.

    Args:
        billed: Nano-USD by ISO day.
        ledger: Where the calls were posted.
        provider: Prefix of the models that the invoice is for, e.g. ``openai``; None is all.
        tolerance: Share of the billed amount by which a day may be off; a cent always.

    Raises:
        CostError: The ledger cannot be used.
    """
    if not billed:
        return []
    posted: dict[str, list[int]] = {day: [0, 0] for day in billed}
    for spend in ledger.spend(since_day=min(billed), until_day=max(billed)):
        if provider is None or spend.model.startswith(f"{provider}:"):
            sums = posted.setdefault(spend.day, [0, 0])
            sums[0] += spend.posted_nano_usd
            sums[1] += spend.presumed_calls
    return [_day(day, billed.get(day, 0), *posted[day], tolerance=tolerance) for day in sorted(posted)]


def _day(day: str, billed: int, posted: int, presumed: int, *, tolerance: float) -> Day:
    if abs(billed - posted) <= max(_LEAST_NANO_USD, tolerance * billed):
        return Day(day, billed, posted, presumed, "agrees")
    return Day(day, billed, posted, presumed, "billed more" if billed > posted else "posted more")
