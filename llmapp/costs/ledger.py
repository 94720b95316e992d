"""The ledger: what calls may cost, what they have cost, and the one rule that ties both to the budgets.

    reserve -> held -> mark_sent -> sent -> settle -> posted
                |                    |-> presume, or the lease runs out -> presumed (charged at the hold)
                |-> release, or the lease runs out -> voided            -> a late settle posts the truth

For every budget, at every instant, over all threads and processes of one file: posted + held <= limit, except for what a
provider has charged beyond the hold, which is posted as overage and never clipped. A window is part of the budget's name
(``day:2026-11-22``, UTC), so nothing is ever reset; a hold settles in the windows in which it was taken. Limits are the
caller's: a changed one counts from the next `reserve`. Money is integer nano-USD. It knows neither models nor prices.

Commits survive the death of a process, not a power loss (``synchronous=NORMAL``).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from llmapp.catalog.database import Connection, Row
from llmapp.catalog.sqlite import SQLiteDatabase
from llmapp.costs.records import NANO_PER_USD, SCOPES, Balance, Charge, Hold, Kind, Spend, State, day_of, window
from llmapp.errors import BudgetExceededError, CatalogError, CostError
from llmapp.types import Usage

_DEFAULT_LEASE_S = 180.0
_OPEN = ("held", "sent")


class Ledger:
    """Budgets, holds and charges in one SQLite file."""

    def __init__(
        self,
        path: Path,
        budgets: Mapping[str, int | None] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        lease_s: float = _DEFAULT_LEASE_S,
    ) -> None:
        """Open or create the ledger and resolve what dead callers have left.

        Args:
            path: The file; a local disk, because SQLite's locks do not hold over a network.
            budgets: Limits in nano-USD by scope, ``day`` or ``total``; None or a missing scope is unlimited.
            clock: Seconds since 1970.
            lease_s: After so many seconds an open hold is taken for abandoned; longer than any call may take.

        Raises:
            CostError: The file cannot be used.
        """
        limits = dict(budgets or {})
        if unknown := limits.keys() - set(SCOPES):
            raise ValueError(f"no such budget scope: {', '.join(sorted(unknown))}; there are {', '.join(SCOPES)}")
        self._limits = limits
        self._clock = clock
        self._lease_s = lease_s
        with _as_cost_error():
            self._database = SQLiteDatabase(path, migrations="llmapp.costs.migrations", synchronous="NORMAL")
        self.sweep()

    def reserve(self, model: str, *, kind: Kind, amount_nano_usd: int, price: Mapping[str, object]) -> Hold:
        """Hold the worst case of one attempt in all budgets, or in none.

        Args:
            model: What is called.
            kind: Kind of call.
            amount_nano_usd: The most that it can cost. Nano-USD.
            price: The rates that the amount was made with; kept for the record.

        Raises:
            BudgetExceededError: A budget has less than that left.
            CostError: The ledger cannot be used; nothing was held.
        """
        if amount_nano_usd < 0:
            raise ValueError("a hold is not negative")
        hold = Hold(uuid.uuid4().hex, kind, model, amount_nano_usd)
        now = self._clock()
        with self._transaction() as connection:
            self._sweep(connection, now)
            self._insert(connection, hold, now, price)
            for scope in SCOPES:
                self._hold_in(connection, hold, scope, now)
        return hold

    def mark_sent(self, hold: Hold) -> None:
        """Note that the request is about to leave; from here on silence is presumed to have cost the hold.

        Raises:
            CostError: The hold's lease ran out and it was voided; the call must not be made.
        """
        with self._transaction() as connection:
            row = connection.execute(
                "UPDATE hold SET state = 'sent', expires_at = :until WHERE id = :id AND state IN ('held', 'sent') RETURNING id",
                {"id": hold.id, "until": self._clock() + self._lease_s},
            ).fetchone()
        if row is None:
            raise CostError("the hold of this call has expired before it was sent", hint="try again")

    def settle(self, hold: Hold, *, cost_nano_usd: int, usage: Usage) -> Charge:
        """Post what the call has really cost; a second time changes nothing, after a presumption it corrects.

        Raises:
            CostError: The ledger cannot be used, or the hold was voided.
        """
        if cost_nano_usd < 0:
            raise ValueError("a cost is not negative")
        return self._end(hold, "posted", cost_nano_usd, usage)

    def presume(self, hold: Hold) -> Charge:
        """Charge the hold itself: the request has left, and what it cost is not known.

        Raises:
            CostError: The ledger cannot be used.
        """
        return self._end(hold, "presumed", hold.held_nano_usd, None)

    def release(self, hold: Hold) -> Charge:
        """Void a hold whose request has not left, or was refused by the provider.

        Raises:
            CostError: The ledger cannot be used.
        """
        return self._end(hold, "voided", None, None)

    def record_free(self, model: str, *, kind: Kind, usage: Usage | None, price: Mapping[str, object]) -> Charge:
        """Record a call that is declared free: one row, no hold, no balance; `usage` is None when nobody has counted.

        Raises:
            CostError: The ledger cannot be used.
        """
        hold = Hold(uuid.uuid4().hex, kind, model, 0)
        now = self._clock()
        with self._transaction() as connection:
            self._insert(connection, hold, now, price)
            _finish(connection, hold.id, "posted", posted=0, usage=usage, now=now)
        return Charge(hold.id, "posted", 0, 0)

    def sweep(self) -> int:
        """Resolve the holds whose lease has run out: never sent is voided, sent is presumed.

        Returns:
            Number of holds resolved.

        Raises:
            CostError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            return self._sweep(connection, self._clock())

    def balances(self) -> list[Balance]:
        """The budgets in their present windows, in the order of `SCOPES`.

        Raises:
            CostError: The ledger cannot be used.
        """
        now = self._clock()
        names = [window(scope, now) for scope in SCOPES]
        rows = {
            row["id"]: row
            for row in self._read("SELECT * FROM budget WHERE id IN (:day, :total)", dict(zip(SCOPES, names, strict=True)))
        }
        return [
            Balance(
                name,
                self._limits.get(scope),
                rows[name]["held_nano_usd"] if name in rows else 0,
                rows[name]["posted_nano_usd"] if name in rows else 0,
            )
            for scope, name in zip(SCOPES, names, strict=True)
        ]

    def spend(self, *, since_day: str = "", until_day: str = "9999-12-31") -> list[Spend]:
        """What was charged, by day, model and kind, oldest day first; both days (ISO, UTC) are included.

        Raises:
            CostError: The ledger cannot be used.
        """
        rows = self._read(_SPEND, {"since": since_day, "until": until_day})
        return [
            Spend(
                row["day"],
                row["model"],
                row["kind"],
                row["calls"],
                Usage(row["input"], row["output"], row["cache_read"], row["cache_write"]),
                row["posted"],
                row["presumed"],
                row["overage"],
            )
            for row in rows
        ]

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def _insert(self, connection: Connection, hold: Hold, now: float, price: Mapping[str, object]) -> None:
        connection.execute(
            "INSERT INTO hold (id, kind, model, state, held_nano_usd, price, day, created_at, expires_at)"
            " VALUES (:id, :kind, :model, 'held', :amount, :price, :day, :now, :until)",
            {
                "id": hold.id,
                "kind": hold.kind,
                "model": hold.model,
                "amount": hold.held_nano_usd,
                "price": json.dumps(price, sort_keys=True),
                "day": day_of(now),
                "now": now,
                "until": now + self._lease_s,
            },
        )

    def _hold_in(self, connection: Connection, hold: Hold, scope: str, now: float) -> None:
        budget, limit = window(scope, now), self._limits.get(scope)
        connection.execute("INSERT INTO budget (id) VALUES (:id) ON CONFLICT DO NOTHING", {"id": budget})
        held = connection.execute(
            "UPDATE budget SET held_nano_usd = held_nano_usd + :amount WHERE id = :id"
            " AND (:limit IS NULL OR held_nano_usd + posted_nano_usd + :amount <= :limit)",
            {"id": budget, "amount": hold.held_nano_usd, "limit": limit},
        )
        if not held.rowcount and limit is not None:
            row = connection.execute("SELECT * FROM budget WHERE id = :id", {"id": budget}).fetchone()
            raise BudgetExceededError(
                scope=budget,
                limit_usd=limit / NANO_PER_USD,
                committed_usd=(row["held_nano_usd"] + row["posted_nano_usd"]) / NANO_PER_USD,
                requested_usd=hold.held_nano_usd / NANO_PER_USD,
            )
        _note(connection, hold.id, budget, "reserve", held=hold.held_nano_usd, posted=0, now=now)

    def _end(self, hold: Hold, state: State, posted: int | None, usage: Usage | None) -> Charge:
        now = self._clock()
        with self._transaction() as connection:
            row = connection.execute("SELECT * FROM hold WHERE id = :id", {"id": hold.id}).fetchone()
            if row is None:
                raise CostError(f"the ledger has no hold {hold.id}")
            if row["state"] in _OPEN or (row["state"] == "presumed" and state == "posted"):
                _move(connection, row, state, posted, now)
                _finish(connection, hold.id, state, posted=posted, usage=usage, now=now)
                row = connection.execute("SELECT * FROM hold WHERE id = :id", {"id": hold.id}).fetchone()
            elif row["state"] == "voided" and state != "voided":
                raise CostError("a voided hold cannot be charged", hint="a call is only made after mark_sent")
            return _charge(row)

    def _sweep(self, connection: Connection, now: float) -> int:
        rows = connection.execute(
            "SELECT * FROM hold WHERE state IN ('held', 'sent') AND expires_at <= :now", {"now": now}
        ).fetchall()
        for row in rows:
            state: State = "presumed" if row["state"] == "sent" else "voided"
            posted = row["held_nano_usd"] if state == "presumed" else None
            _move(connection, row, state, posted, now)
            _finish(connection, row["id"], state, posted=posted, usage=None, now=now)
        return len(rows)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with _as_cost_error(), self._database.transaction() as connection:
            yield connection

    def _read(self, sql: str, params: Mapping[str, object]) -> list[Row]:
        with _as_cost_error():
            return self._database.read(sql, params)


def _move(connection: Connection, row: Row, state: State, posted: int | None, now: float) -> None:
    """Change the balances of the windows in which the hold was taken."""
    held_delta = -row["held_nano_usd"] if row["state"] in _OPEN else 0
    posted_delta = (posted or 0) - (row["posted_nano_usd"] or 0)
    budgets = connection.execute(
        "SELECT DISTINCT budget_id FROM journal WHERE hold_id = :id ORDER BY budget_id", {"id": row["id"]}
    ).fetchall()
    for (budget,) in budgets:
        connection.execute(
            "UPDATE budget SET held_nano_usd = held_nano_usd + :held, posted_nano_usd = posted_nano_usd + :posted WHERE id = :id",
            {"id": budget, "held": held_delta, "posted": posted_delta},
        )
        _note(connection, row["id"], budget, state, held=held_delta, posted=posted_delta, now=now)


def _note(connection: Connection, hold_id: str, budget: str, event: str, *, held: int, posted: int, now: float) -> None:
    connection.execute(
        "INSERT INTO journal (at, hold_id, budget_id, event, held_nano_usd, posted_nano_usd)"
        " VALUES (:at, :hold, :budget, :event, :held, :posted)",
        {"at": now, "hold": hold_id, "budget": budget, "event": event, "held": held, "posted": posted},
    )


def _finish(
    connection: Connection, hold_id: str, state: State, *, posted: int | None, usage: Usage | None, now: float
) -> None:
    connection.execute(
        "UPDATE hold SET state = :state, posted_nano_usd = :posted, ended_at = :now,"
        " overage_nano_usd = max(0, coalesce(:posted, 0) - held_nano_usd), input_tokens = :input, output_tokens = :output,"
        " cache_read_tokens = :cache_read, cache_write_tokens = :cache_write WHERE id = :id",
        {
            "id": hold_id,
            "state": state,
            "posted": posted,
            "now": now,
            "input": usage and usage.input_tokens,
            "output": usage and usage.output_tokens,
            "cache_read": usage and usage.cache_read_tokens,
            "cache_write": usage and usage.cache_write_tokens,
        },
    )


def _charge(row: Row) -> Charge:
    return Charge(row["id"], row["state"], row["posted_nano_usd"], row["overage_nano_usd"])


@contextmanager
def _as_cost_error() -> Iterator[None]:
    """A ledger that cannot be used refuses calls with an error of its own family."""
    try:
        yield
    except CatalogError as error:
        raise CostError(f"the ledger cannot be used: {error.message}", hint=error.hint) from error


_SPEND = """
SELECT day, model, kind, count(*) AS calls, sum(posted_nano_usd) AS posted, sum(overage_nano_usd) AS overage,
       sum(state = 'presumed') AS presumed, coalesce(sum(input_tokens), 0) AS input, coalesce(sum(output_tokens), 0) AS output,
       coalesce(sum(cache_read_tokens), 0) AS cache_read, coalesce(sum(cache_write_tokens), 0) AS cache_write
FROM hold WHERE state IN ('posted', 'presumed') AND day BETWEEN :since AND :until
GROUP BY day, model, kind ORDER BY day, model, kind
"""
