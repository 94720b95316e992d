"""The tokens of calls as they were recorded, to go by them in a forecast."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from llmapp.types import Usage

if TYPE_CHECKING:
    from llmapp.costs.ledger import Ledger

MOST_CALLS = 10_000
"""So many tell a 95th percentile; of more the latest are taken."""


def recorded_usages(ledger: Ledger, model: str, *, since_day: str) -> list[Usage]:
    """What the calls of a model have used since a day (ISO, UTC), oldest first; presumed calls have told nothing and are left out.

    Raises:
        CostError: The ledger cannot be used.
    """
    calls: deque[Usage] = deque(maxlen=MOST_CALLS)
    for row in ledger.entries(since_day=since_day):
        if row["model"] == model and row["state"] == "posted" and row["input_tokens"] is not None:
            names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
            calls.append(Usage(*(row[name] or 0 for name in names)))
    return list(calls)
