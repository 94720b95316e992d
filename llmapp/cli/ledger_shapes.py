"""Spending, limits and balances as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmapp.costs.records import NANO_PER_USD

if TYPE_CHECKING:
    from pydantic import JsonValue

    from llmapp.costs.ledger.reports import Total
    from llmapp.costs.limits import Limit
    from llmapp.costs.reconciling import Day
    from llmapp.costs.records import Balance


def total_shape(total: Total) -> JsonValue:
    """What was charged to one name."""
    return {
        "name": total.name,
        "calls": total.calls,
        "input_tokens": total.usage.input_tokens,
        "output_tokens": total.usage.output_tokens,
        "spent_usd": usd(total.posted_nano_usd),
        "presumed_calls": total.presumed_calls,
        "overage_usd": usd(total.overage_nano_usd),
    }


def balance_shape(balances: Sequence[Balance]) -> list[JsonValue]:
    """How everybody stands."""
    return [
        {
            "budget": balance.budget,
            "account": balance.account,
            "per": balance.limit.span.per,
            "limit_usd": None if balance.limit.nano_usd is None else usd(balance.limit.nano_usd),
            "spent_usd": usd(balance.posted_nano_usd),
            "held_usd": usd(balance.held_nano_usd),
        }
        for balance in balances
    ]


def limit_shape(limit: Limit, place: str) -> JsonValue:
    """A limit, and where it was set."""
    return {
        "scope": limit.scope,
        "name": limit.name,
        "per": limit.span.per,
        "timezone": limit.span.timezone,
        "usd": None if limit.nano_usd is None else usd(limit.nano_usd),
        "from": place,
    }


def day_shape(day: Day) -> JsonValue:
    """What was billed on a day, and what was posted."""
    return {
        "day": day.day,
        "billed_usd": usd(day.billed_nano_usd),
        "posted_usd": usd(day.posted_nano_usd),
        "presumed_calls": day.presumed_calls,
        "verdict": day.verdict,
    }


def usd(nano: int) -> float:
    """An amount in USD."""
    return nano / NANO_PER_USD
