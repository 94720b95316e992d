"""The ledger against a model of a few lines, on SQLite and PostgreSQL: any order of calls, deaths, clocks and limits."""

import itertools
import os
import tempfile
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import psycopg
import pytest
from costs.clocks import Clock
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from llmapp.costs.ledger import Ledger
from llmapp.costs.limits import Limit
from llmapp.costs.paying import Payer, paid_by
from llmapp.costs.windows import Span
from llmapp.errors import BudgetExceededError, CostError
from llmapp.types import Usage

USAGE = Usage(10, 5)
LEASE_S = 100
EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "20"))
FIXED = [Limit("application", "*", Span("day", "Europe/Berlin"), 10_000), Limit("user", "*", Span("24 hours"), 7_000)]


class LedgerMachine(RuleBasedStateMachine):
    """What is open, what was posted, when and by whom, and a clock."""

    holds = Bundle("holds")

    def new_place(self):
        return Path(self.closing.enter_context(tempfile.TemporaryDirectory())) / "ledger.db"

    def open(self):
        return self.closing.enter_context(closing(Ledger(self.place, FIXED, clock=self.clock, lease_s=LEASE_S)))

    def __init__(self):
        super().__init__()
        self.closing = ExitStack()
        self.place = self.new_place()
        self.clock = Clock()
        self.set_limit = None  # of the user anna in total
        self.ledger = self.open()
        self.model = {}  # hold id -> [state, held, posted, at, user, expires]

    def teardown(self):
        self.closing.close()

    def _expire(self):
        for entry in self.model.values():
            if entry[0] in ("held", "sent") and entry[5] <= self.clock.now:
                entry[0], entry[2] = ("presumed", entry[1]) if entry[0] == "sent" else ("voided", 0)

    def _committed(self, user, limit):
        """What counts against a limit of a user now: reserved in its window, or later where the clock was set back."""
        windows = limit.span.windows(self.clock.now)
        until = windows[-1].ends_at if len(windows) == 1 else float("inf")
        counted = [e for e in self.model.values() if user in (None, e[4]) and windows[0].starts_at <= e[3] < until]
        return sum(e[2] if e[0] in ("posted", "presumed") else e[1] if e[0] != "voided" else 0 for e in counted)

    def _limits(self, user):
        anna = [self.set_limit] if self.set_limit and user == "anna" else []
        return [(None, FIXED[0]), (user, FIXED[1]), *((user, limit) for limit in anna)]

    @rule(target=holds, amount=st.integers(0, 6_000), user=st.sampled_from(["anna", "bert"]), least=st.booleans())
    def reserve(self, amount, user, least):
        before = {key: list(entry) for key, entry in self.model.items()}
        self._expire()
        left = min(limit.nano_usd - self._committed(whose, limit) for whose, limit in self._limits(user))
        expected = amount if left >= amount else left if least and left >= amount // 2 else None
        try:
            with paid_by(Payer(user=user)):
                hold = self.ledger.reserve(
                    "m", kind="chat", amount_nano_usd=amount, least_nano_usd=amount // 2 if least else None, price={}
                )
        except BudgetExceededError:
            assert expected is None
            self.model = before  # a refused reservation leaves nothing, its sweep included
            return None
        assert hold.held_nano_usd == expected
        self.model[hold.id] = ["held", expected, 0, self.clock.now, user, self.clock.now + LEASE_S]
        return hold

    @rule(hold=holds)
    def send(self, hold):
        if hold is None:
            return
        entry = self.model[hold.id]
        if entry[0] in ("held", "sent"):
            self.ledger.mark_sent(hold)
            entry[0], entry[5] = "sent", self.clock.now + LEASE_S
        else:
            with pytest.raises(CostError):
                self.ledger.mark_sent(hold)

    @rule(hold=holds, cost=st.integers(0, 7_000))
    def settle(self, hold, cost):
        if hold is None:
            return
        entry = self.model[hold.id]
        if entry[0] == "voided":
            with pytest.raises(CostError):
                self.ledger.settle(hold, cost_nano_usd=cost, usage=USAGE)
            return
        charge = self.ledger.settle(hold, cost_nano_usd=cost, usage=USAGE)
        if entry[0] != "posted":
            entry[0], entry[2] = "posted", cost
        assert charge.posted_nano_usd == entry[2]
        assert charge.overage_nano_usd == max(0, entry[2] - entry[1])

    @rule(hold=consumes(holds), presume=st.booleans())
    def give_up(self, hold, presume):
        if hold is None:
            return
        entry = self.model[hold.id]
        with suppress(CostError):  # of a voided hold
            (self.ledger.presume if presume else self.ledger.release)(hold)
        if entry[0] in ("held", "sent"):
            entry[0], entry[2] = ("presumed", entry[1]) if presume else ("voided", 0)

    @rule(seconds=st.sampled_from([1, 50, 101, 3_600, 43_200, 90_000, -3_600, -43_200]))
    def set_the_clock(self, seconds):
        self.clock.now += seconds

    @rule()
    def sweep(self):
        self.ledger.sweep()
        self._expire()

    @rule(nano=st.none() | st.integers(0, 20_000))
    def change_the_limit_of_a_user(self, nano):
        if nano is None:
            self.ledger.remove_limit("user", "anna", "total")
            self.set_limit = None
        else:
            self.set_limit = Limit("user", "anna", Span("total"), nano)
            self.ledger.set_limit(self.set_limit)

    @rule()
    def die_and_come_back(self):
        self.ledger = self.open()  # the dead one does nothing any more
        self._expire()

    @invariant()
    def balances_are_those_of_the_model(self):
        for found in self.ledger.balances():
            if found.limit.nano_usd is not None:
                user = found.account.partition(":")[2] or None
                assert found.held_nano_usd + found.posted_nano_usd == self._committed(user, found.limit)

    @invariant()
    def every_call_ends_once_and_the_books_agree(self):
        assert self.ledger.verify().is_right
        ended = {row["id"]: (row["state"], row["posted_nano_usd"] or 0) for row in self.ledger.entries()}
        assert ended == {key: (entry[0], entry[2]) for key, entry in self.model.items()}


def test_any_order_of_events_on_sqlite():
    steps = settings(
        max_examples=EXAMPLES, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(LedgerMachine, settings=steps)


def test_any_order_of_events_on_postgres(new_database):
    url, numbers = new_database(), itertools.count()

    class PostgresMachine(LedgerMachine):
        def new_place(self):
            name = f"example_{next(numbers)}"
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
                server.execute(f"CREATE SCHEMA {name}")
            return f"{url}&options=-csearch_path%3D{name}"

    steps = settings(
        max_examples=max(5, EXAMPLES // 5),
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(PostgresMachine, settings=steps)
