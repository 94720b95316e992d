"""Whether a call may be made: its worst case must fit into every limit of everybody who pays for it.

    for every account, for every limit of it:  posted + held + amount <= limit

The caller has the only transaction that writes, so what is read here stays true until it is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmapp.catalog.database import Connection
from llmapp.costs.ledger import budgets
from llmapp.costs.limits import Limit, LimitSet, limits_of
from llmapp.costs.records import NANO_PER_USD
from llmapp.errors import BudgetExceededError


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of one limit of one account."""

    account: str
    limit: Limit
    standing: budgets.Standing

    @property
    def left_nano_usd(self) -> int | None:
        """What may still be reserved, negative after overage; None without a limit."""
        return None if self.limit.nano_usd is None else self.limit.nano_usd - self.standing.committed_nano_usd


def rooms(connection: Connection, accounts: Sequence[str], sets: Sequence[LimitSet], now: float) -> list[Room]:
    """What is left of every limit of these accounts, in their order."""
    return [
        Room(account, limit, budgets.standing(connection, account, limit.span.windows(now)))
        for account in accounts
        for limit in limits_of(account, sets)
    ]


def granted(found: Sequence[Room], *, most: int, least: int, now: float) -> int:
    """What may be reserved: `most`, or what is left where that is no less than `least`. Nano-USD.

    Raises:
        BudgetExceededError: Not even `least` is left; of the limits that are too narrow the narrowest is named.
    """
    limited = [room for room in found if room.left_nano_usd is not None]
    if not limited:
        return most
    narrowest = min(limited, key=_left)
    if _left(narrowest) >= least:
        return min(most, _left(narrowest))
    # What is only held may come back; what is posted does not.
    may_fit_soon = all(room.standing.posted_nano_usd + least <= (room.limit.nano_usd or 0) for room in limited)
    raise _exceeded(narrowest, least, now, may_fit_soon=may_fit_soon)


def _left(room: Room) -> int:
    return room.left_nano_usd or 0


def _exceeded(room: Room, requested: int, now: float, *, may_fit_soon: bool) -> BudgetExceededError:
    return BudgetExceededError(
        scope=f"{room.account}:{room.limit.span.name(now)}",
        limit_usd=(room.limit.nano_usd or 0) / NANO_PER_USD,
        committed_usd=room.standing.committed_nano_usd / NANO_PER_USD,
        requested_usd=requested / NANO_PER_USD,
        resets_at=room.limit.span.resets_at(now),
        may_fit_soon=may_fit_soon,
    )
