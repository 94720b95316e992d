"""The ledger: what calls may cost, what they have cost, and the one rule that ties both to the budgets.

    reserve -> held -> mark_sent -> sent -> settle -> posted
                |                    |-> presume, or the lease runs out -> presumed (charged at the hold)
                |-> release, or the lease runs out -> voided            -> a late settle posts the truth

For every limit of everybody who pays, at every instant, over all threads and processes: posted + held <= limit, except for
what a provider has charged beyond the hold, which is posted as overage and never clipped. It knows neither models nor
prices. Money is integer nano-USD. What is guaranteed, and what is not, stands in architecture/costs.md.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from llmapp.catalog.database import Connection, Row
from llmapp.costs.ledger import admission, budgets, holds, operator_limits, reports
from llmapp.costs.ledger.failures import again, as_cost_error
from llmapp.costs.ledger.place import carry_over, open_database
from llmapp.costs.ledger.reports import Part, Total, Verdict
from llmapp.costs.limits import COUNTED, Limit, LimitSet
from llmapp.costs.paying import payer
from llmapp.costs.records import Balance, Charge, Hold, Kind, Once, Spend, State
from llmapp.errors import CostError, KeyReusedError
from llmapp.types import Usage

_DEFAULT_LEASE_S = 180.0


class Ledger:
    """Holds, charges and budgets in one database. Safe to use from several threads and processes."""

    def __init__(
        self,
        place: Path | str,
        limits: Sequence[Limit] = (),
        *,
        clock: Callable[[], float] = time.time,
        lease_s: float = _DEFAULT_LEASE_S,
        former: Path | None = None,
    ) -> None:
        """Open or create the ledger and resolve what dead callers have left.

        Args:
            place: A file, on a local disk, because SQLite's locks do not hold over a network; its commits survive the death of
                a process, not a power loss (``synchronous=NORMAL``). Or the URL of a PostgreSQL, for several machines.
            limits: Those of the settings; they count beside those that `set_limit` keeps in the ledger.
            clock: Seconds since 1970.
            lease_s: After so many seconds an open hold is taken for abandoned; longer than any call may take.
            former: A SQLite ledger whose holds are brought into this one, where there is such a file; it is then renamed.

        Raises:
            CostError: The database cannot be used.
        """
        self._limits = LimitSet(tuple(limits))
        self._clock = clock
        self._lease_s = lease_s
        with as_cost_error():
            self._database = open_database(place)
        try:
            with as_cost_error():
                if former is not None:
                    carry_over(former, self._database)
            self.sweep()
        except BaseException:
            self._database.close()
            raise

    @again
    def reserve(
        self,
        model: str,
        *,
        kind: Kind,
        amount_nano_usd: int,
        price: Mapping[str, object],
        least_nano_usd: int | None = None,
        once: Once | None = None,
    ) -> Hold:
        """Hold the worst case of one attempt in the budgets of everybody who pays for it, or in none; see `llmapp.costs.paying`.

        Args:
            model: What is called.
            kind: Kind of call.
            amount_nano_usd: The most that it can cost. Nano-USD.
            price: The rates that the amount was made with; kept for the record.
            least_nano_usd: Where not all of the amount is left, what is left is held if it is as much as this; the call must
                then be made so small. None takes all or nothing.
            once: Makes a repetition one with the first; the hold then says that it `is_repeat`. None is always a new call.

        Raises:
            BudgetExceededError: A limit has less than that left.
            KeyReusedError: The key of `once` was given for another call.
            CostError: The ledger cannot be used; nothing was held.
        """
        least = amount_nano_usd if least_nano_usd is None else least_nano_usd
        if not 0 <= least <= amount_nano_usd:
            raise ValueError("a hold is not negative, and not less than the least of it")
        accounts, now = payer().accounts, self._clock()
        with self._transaction() as connection:
            if once is not None and (former := holds.find_once(connection, once.key)):
                return _repeated(former, once)
            self._sweep(connection, now)
            rooms = admission.rooms(connection, accounts, self._limit_sets(connection), now)
            amount = admission.granted(rooms, most=amount_nano_usd, least=least, now=now)
            hold = Hold(uuid.uuid4().hex, kind, model, amount)
            until = now + self._lease_s
            holds.insert(connection, hold, price=price, accounts=accounts, now=now, until=until, once=once)
            budgets.add(connection, accounts, held=amount, posted=0, at=now)
            holds.note(connection, hold.id, "reserve", held=amount, posted=0, now=now)
        return hold

    @again
    def mark_sent(self, hold: Hold) -> None:
        """Note that the request is about to leave; from here on silence is presumed to have cost the hold.

        Raises:
            CostError: The hold's lease ran out and it was voided; the call must not be made.
        """
        with self._transaction() as connection:
            is_open = holds.mark_sent(connection, hold.id, until=self._clock() + self._lease_s)
        if not is_open:
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

    def charge(self, hold: Hold) -> Charge:
        """How a hold stands, e.g. one that was there already.

        Raises:
            CostError: The ledger cannot be used, or has no such hold.
        """
        rows = self._read("SELECT * FROM hold WHERE id = :id", {"id": hold.id})
        if not rows:
            raise CostError(f"the ledger has no hold {hold.id}")
        return holds.charge_of(rows[0])

    @again
    def record_free(self, model: str, *, kind: Kind, usage: Usage | None, price: Mapping[str, object]) -> Charge:
        """Record a call that is declared free: one row, no hold, no balance; `usage` is None when nobody has counted.

        Raises:
            CostError: The ledger cannot be used.
        """
        hold = Hold(uuid.uuid4().hex, kind, model, 0)
        now = self._clock()
        with self._transaction() as connection:
            holds.insert(connection, hold, price=price, accounts=payer().accounts, now=now, until=now)
            row = {"id": hold.id, "held_nano_usd": 0}
            return holds.finish(connection, row, "posted", posted=0, usage=usage, now=now)

    @again
    def sweep(self) -> int:
        """Resolve the holds whose lease has run out: never sent is voided, sent is presumed.

        Returns:
            Number of holds resolved.

        Raises:
            CostError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            return self._sweep(connection, self._clock())

    def limits(self) -> tuple[Sequence[Limit], Sequence[Limit]]:
        """The limits of the settings, and those that were set at run time; all of them count.

        Raises:
            CostError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            return self._limits.limits, operator_limits.read(connection).limits

    @again
    def set_limit(self, limit: Limit) -> None:
        """Keep a limit in the ledger, in the place of one of the same scope, name and window; it counts at once, everywhere.

        Raises:
            CostError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            operator_limits.put(connection, limit, now=self._clock())

    @again
    def remove_limit(self, scope: str, name: str, per: str) -> bool:
        """Take away a limit that `set_limit` has kept; False when there is none.

        Raises:
            CostError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            return operator_limits.remove(connection, scope, name, per)

    def balances(self) -> list[Balance]:
        """How everybody stands who has a limit and has spent something in its window; the application always, first.

        Raises:
            CostError: The ledger cannot be used.
        """
        now = self._clock()
        with self._transaction() as connection:
            return reports.balances(connection, self._limit_sets(connection), now)

    def today(self) -> Balance:
        """What the application has spent on this day (UTC), and reserved.

        Raises:
            CostError: The ledger cannot be used.
        """
        now = self._clock()
        with self._transaction() as connection:
            return reports.balances(connection, (COUNTED,), now)[0]

    def spend(self, *, since_day: str = "", until_day: str = "9999-12-31") -> list[Spend]:
        """What was charged, by day, model and kind, oldest day first; both days (ISO, UTC) are included.

        Raises:
            CostError: The ledger cannot be used.
        """
        rows = self._read(reports.SPEND, {"since": since_day, "until": until_day})
        return [reports.spend_of(row) for row in rows]

    def totals(self, by: Part, *, since_day: str = "", until_day: str = "9999-12-31") -> list[Total]:
        """What was charged by one view on it, dearest first, days in order; both days (ISO, UTC) are included.

        Args:
            by: ``user``, ``model``, ``day`` and so on. A call of somebody in two groups stands with both.
            since_day: First day.
            until_day: Last day.

        Raises:
            CostError: The ledger cannot be used.
        """
        rows = self._read(reports.totals_sql(by), {"since": since_day, "until": until_day, **reports.accounts_in(by)})
        return [reports.total_of(row) for row in rows]

    def entries(self, *, since_day: str = "", until_day: str = "9999-12-31") -> Iterator[Row]:
        """Every hold with all that is known of it, in the order of reservation; both days (ISO, UTC) are included.

        Raises:
            CostError: The ledger cannot be used.
        """
        with as_cost_error():
            yield from self._database.iterate(reports.ENTRIES, {"since": since_day, "until": until_day})

    def verify(self) -> Verdict:
        """Replay the journal and add up the holds: both must give the balances that are kept.

        Raises:
            CostError: The ledger cannot be used.
        """
        with self._transaction() as connection:
            return reports.verify(connection)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def _limit_sets(self, connection: Connection) -> tuple[LimitSet, ...]:
        return COUNTED, self._limits, operator_limits.read(connection)

    @again
    def _end(self, hold: Hold, state: State, posted: int | None, usage: Usage | None) -> Charge:
        now = self._clock()
        with self._transaction() as connection:
            row = holds.find(connection, hold.id)
            if row is None:
                raise CostError(f"the ledger has no hold {hold.id}")
            if row["state"] in holds.OPEN or (row["state"] == "presumed" and state == "posted"):
                return _move(connection, row, state, posted, usage=usage, now=now)
            if row["state"] == "voided" and state != "voided":
                raise CostError("a voided hold cannot be charged", hint="a call is only made after mark_sent")
            return holds.charge_of(row)

    def _sweep(self, connection: Connection, now: float) -> int:
        rows = holds.expired(connection, now)
        for row in rows:
            if row["state"] == "sent":
                _move(connection, row, "presumed", row["held_nano_usd"], usage=None, now=now)
            else:
                _move(connection, row, "voided", None, usage=None, now=now)
        return len(rows)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with as_cost_error(), self._database.transaction() as connection:
            yield connection

    def _read(self, sql: str, params: Mapping[str, object]) -> list[Row]:
        with as_cost_error():
            return self._database.read(sql, params)


def _move(connection: Connection, row: Row, state: State, posted: int | None, *, usage: Usage | None, now: float) -> Charge:
    """End a hold, and change the balances of the windows in which it was reserved."""
    held_change = -row["held_nano_usd"] if row["state"] in holds.OPEN else 0
    posted_change = (posted or 0) - (row["posted_nano_usd"] or 0)
    budgets.add(connection, holds.accounts_of(row), held=held_change, posted=posted_change, at=row["created_at"])
    holds.note(connection, row["id"], state, held=held_change, posted=posted_change, now=now)
    return holds.finish(connection, row, state, posted=posted, usage=usage, now=now)


def _repeated(row: Row, once: Once) -> Hold:
    if row["fingerprint"] != once.fingerprint:
        raise KeyReusedError(once.key)
    return replace(Hold(row["id"], row["kind"], row["model"], row["held_nano_usd"]), is_repeat=True)
