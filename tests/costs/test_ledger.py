import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from costs.clocks import NOON, Clock
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from llmapp.costs.ledger import Ledger
from llmapp.costs.limits import Limit
from llmapp.costs.windows import Span, day_of
from llmapp.errors import BudgetExceededError, CostError
from llmapp.types import Usage

USAGE = Usage(10, 5)


def of_application(day=None, total=None):
    return [Limit("application", "*", Span(per), nano) for per, nano in (("day", day), ("total", total)) if nano is not None]


@pytest.fixture
def open_ledger(tmp_path, clock):
    opened = []

    def open_it(day=None, total=None, limits=(), **options):
        ledger = Ledger(tmp_path / "ledger.db", [*of_application(day, total), *limits], clock=clock, **options)
        opened.append(ledger)
        return ledger

    yield open_it
    for ledger in opened:
        ledger.close()


def reserve(ledger, amount, model="openai:gpt-4o"):
    return ledger.reserve(model, kind="chat", amount_nano_usd=amount, price={"input": 1})


def balance(ledger, scope="day"):
    found = next(b for b in ledger.balances() if b.limit.span.per == scope)
    return found.held_nano_usd, found.posted_nano_usd


def test_a_call_is_held_then_posted_at_what_it_really_cost(open_ledger):
    ledger = open_ledger(day=1_000)
    hold = reserve(ledger, 600)
    assert balance(ledger) == (600, 0)
    ledger.mark_sent(hold)
    charge = ledger.settle(hold, cost_nano_usd=250, usage=USAGE)
    assert (charge.state, charge.posted_nano_usd, charge.overage_nano_usd) == ("posted", 250, 0)
    assert balance(ledger) == balance(ledger, "total") == (0, 250)
    (spend,) = ledger.spend()
    assert (spend.day, spend.model, spend.kind, spend.calls, spend.usage) == (
        "2026-11-22",
        "openai:gpt-4o",
        "chat",
        1,
        USAGE,
    )


def test_a_hold_that_does_not_fit_is_refused_and_changes_nothing(open_ledger):
    ledger = open_ledger(day=1_000, total=5_000)
    reserve(ledger, 700)
    with pytest.raises(BudgetExceededError) as refused:
        reserve(ledger, 301)
    assert refused.value.scope == "application:2026-11-22"
    assert balance(ledger) == balance(ledger, "total") == (700, 0)
    reserve(ledger, 300)


def test_all_budgets_are_held_or_none(open_ledger):
    ledger = open_ledger(day=1_000, total=500)
    with pytest.raises(BudgetExceededError) as refused:
        reserve(ledger, 501)
    assert refused.value.scope == "application:total"
    assert balance(ledger) == (0, 0)


def test_settling_twice_charges_once(open_ledger):
    ledger = open_ledger(day=1_000)
    hold = reserve(ledger, 600)
    ledger.mark_sent(hold)
    first = ledger.settle(hold, cost_nano_usd=250, usage=USAGE)
    assert ledger.settle(hold, cost_nano_usd=999, usage=USAGE) == first
    assert ledger.presume(hold) == first
    assert ledger.release(hold) == first
    assert balance(ledger) == (0, 250)


def test_what_a_provider_charges_beyond_the_hold_is_posted_and_shuts_the_budget(open_ledger):
    ledger = open_ledger(day=1_000)
    hold = reserve(ledger, 900)
    ledger.mark_sent(hold)
    assert ledger.settle(hold, cost_nano_usd=1_500, usage=USAGE).overage_nano_usd == 600
    assert balance(ledger) == (0, 1_500)
    assert ledger.spend()[0].overage_nano_usd == 600
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 1)


def test_an_abandoned_hold_is_voided_when_unsent_and_presumed_when_sent(open_ledger, clock):
    ledger = open_ledger(day=1_000, lease_s=60)
    unsent, sent = reserve(ledger, 300), reserve(ledger, 200)
    ledger.mark_sent(sent)
    clock.now += 61
    assert ledger.sweep() == 2
    assert ledger.release(unsent).state == "voided"
    assert ledger.presume(sent).state == "presumed"
    assert balance(ledger) == (0, 200)
    with pytest.raises(CostError, match="expired"):
        ledger.mark_sent(unsent)


def test_the_truth_corrects_a_presumption_when_it_comes_late(open_ledger, clock):
    ledger = open_ledger(day=1_000, lease_s=60)
    hold = reserve(ledger, 400)
    ledger.mark_sent(hold)
    clock.now += 61
    reserve(ledger, 1)  # sweeps before it reserves
    assert balance(ledger) == (1, 400)
    assert ledger.settle(hold, cost_nano_usd=150, usage=USAGE).state == "posted"
    assert balance(ledger) == (1, 150)


def test_a_voided_hold_cannot_be_charged(open_ledger):
    ledger = open_ledger()
    hold = reserve(ledger, 400)
    ledger.release(hold)
    with pytest.raises(CostError, match="voided"):
        ledger.settle(hold, cost_nano_usd=1, usage=USAGE)


def test_a_new_day_has_a_new_budget_and_a_hold_settles_in_its_own(open_ledger, clock):
    ledger = open_ledger(day=1_000)
    clock.now = NOON + 12 * 3600 - 1  # one second before midnight UTC
    hold = reserve(ledger, 1_000)
    ledger.mark_sent(hold)
    clock.now += 2
    reserve(ledger, 1_000)
    ledger.settle(hold, cost_nano_usd=700, usage=USAGE)
    assert {b.budget for b in ledger.balances()} == {"application:2026-11-23", "application:total"}
    assert balance(ledger) == (1_000, 0)
    assert balance(ledger, "total") == (1_000, 700)
    assert [spend.day for spend in ledger.spend()] == ["2026-11-22"]


def test_a_changed_limit_counts_from_the_next_reservation(open_ledger):
    open_spending = open_ledger()
    hold = reserve(open_spending, 800)
    open_spending.mark_sent(hold)
    open_spending.settle(hold, cost_nano_usd=800, usage=USAGE)
    with pytest.raises(BudgetExceededError):
        reserve(open_ledger(day=900), 101)
    reserve(open_ledger(day=901), 101)


def test_free_calls_are_recorded_without_a_hold(open_ledger):
    ledger = open_ledger(day=0)
    ledger.record_free("extractive", kind="chat", usage=USAGE, price={})
    ledger.record_free("minilm", kind="embed", usage=None, price={})
    assert [(s.model, s.calls, s.posted_nano_usd) for s in ledger.spend()] == [("extractive", 1, 0), ("minilm", 1, 0)]


def test_the_journal_can_neither_be_changed_nor_shortened(open_ledger, tmp_path):
    reserve(open_ledger(), 5)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw:
        for statement in ("UPDATE journal SET held_nano_usd = 0", "DELETE FROM journal"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(statement)


def test_a_broken_ledger_refuses_with_an_error_of_its_own_family(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"not a database, and long enough to be read as one" * 20)
    with pytest.raises(CostError, match="ledger"):
        Ledger(tmp_path / "ledger.db")


def _spend_until_refused(ledger, cost, tries):
    posted = refused = 0
    for _ in range(tries):
        try:
            hold = reserve(ledger, cost)
        except BudgetExceededError:
            refused += 1
            continue
        ledger.mark_sent(hold)
        ledger.settle(hold, cost_nano_usd=cost, usage=USAGE)
        posted += cost
    return posted, refused


def test_eight_threads_racing_for_one_budget_never_overspend_it(open_ledger):
    ledger, results = open_ledger(day=100_000), []
    threads = [threading.Thread(target=lambda: results.append(_spend_until_refused(ledger, 1_000, 20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(posted for posted, _ in results) == 100_000
    assert sum(refused for _, refused in results) == 8 * 20 - 100
    assert balance(ledger) == (0, 100_000)


RACER = """
import sys
from pathlib import Path
from llmapp.costs.ledger import Ledger
from llmapp.costs.limits import Limit
from llmapp.costs.windows import Span
from llmapp.errors import BudgetExceededError
from llmapp.types import Usage
ledger = Ledger(Path(sys.argv[1]), [Limit("application", "*", Span("day"), int(sys.argv[2]))])
posted = 0
for _ in range(20):
    try:
        hold = ledger.reserve("m", kind="chat", amount_nano_usd=1_000, price={})
    except BudgetExceededError:
        continue
    ledger.mark_sent(hold)
    ledger.settle(hold, cost_nano_usd=1_000, usage=Usage(1, 1))
    posted += 1_000
print(posted)
"""

VICTIM = """
import os, signal, sys
from pathlib import Path
from llmapp.costs.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), lease_s=0.2)
ledger.mark_sent(ledger.reserve("m", kind="chat", amount_nano_usd=400, price={}))
ledger.reserve("m", kind="chat", amount_nano_usd=300, price={})
os.kill(os.getpid(), signal.SIGKILL)
"""


def _python(script, *args):
    return subprocess.Popen([sys.executable, "-c", script, *map(str, args)], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("limit", "expected"), [(60_000, 60_000), (80_000, 80_000)])
def test_four_processes_racing_for_one_budget_neither_overspend_it_nor_refuse_what_fits(tmp_path, limit, expected):
    path = tmp_path / "ledger.db"
    racers = [_python(RACER, path, limit) for _ in range(4)]
    assert sum(int(racer.communicate()[0]) for racer in racers) == expected
    with closing(Ledger(path)) as ledger:
        assert balance(ledger, "total") == (0, expected)


def test_a_call_whose_process_was_killed_after_sending_is_charged_at_its_hold(tmp_path):
    victim = _python(VICTIM, tmp_path / "ledger.db")
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL
    time.sleep(0.3)
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:  # opening sweeps
        assert balance(ledger, "total") == (0, 400)
        assert ledger.spend()[0].presumed_calls == 1


class LedgerMachine(RuleBasedStateMachine):
    """The ledger against a model of a few lines: what is open, what was posted, and a clock."""

    holds = Bundle("holds")
    LIMIT = 10_000

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.db"
        self.clock = Clock()
        self.limit = self.LIMIT
        self.ledger = Ledger(self.path, of_application(self.limit), clock=self.clock, lease_s=100)
        self.model = {}  # hold id -> [state, held, posted, window, expires]

    def teardown(self):
        self.ledger.close()
        self.folder.cleanup()

    def _expire(self):
        for entry in self.model.values():
            if entry[0] in ("held", "sent") and entry[4] <= self.clock.now:
                entry[0], entry[2] = ("presumed", entry[1]) if entry[0] == "sent" else ("voided", 0)

    def _in(self, name):
        entries = [e for e in self.model.values() if name in (e[3], "application:total")]
        return sum(e[1] for e in entries if e[0] in ("held", "sent")), sum(e[2] for e in entries)

    @rule(target=holds, amount=st.integers(0, 6_000))
    def reserve(self, amount):
        day = f"application:{day_of(self.clock.now)}"
        expected = {key: list(entry) for key, entry in self.model.items()}
        self._expire()
        fits = sum(self._in(day)) + amount <= self.limit
        try:
            hold = reserve(self.ledger, amount)
        except BudgetExceededError:
            assert not fits
            self.model = expected  # a refused reservation leaves nothing, its sweep included
            return None
        assert fits
        self.model[hold.id] = ["held", amount, 0, day, self.clock.now + 100]
        return hold

    @rule(hold=holds)
    def send(self, hold):
        if hold is None:
            return
        entry = self.model[hold.id]
        if entry[0] in ("held", "sent"):
            self.ledger.mark_sent(hold)
            entry[0], entry[4] = "sent", self.clock.now + 100
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

    @rule(hold=consumes(holds), presume=st.booleans())
    def give_up(self, hold, presume):
        if hold is None:
            return
        entry = self.model[hold.id]
        with suppress(CostError):  # of a voided hold
            (self.ledger.presume if presume else self.ledger.release)(hold)
        if entry[0] in ("held", "sent"):
            entry[0], entry[2] = ("presumed", entry[1]) if presume else ("voided", 0)

    @rule(seconds=st.sampled_from([1, 50, 101, 43_200]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule()
    def sweep(self):
        self.ledger.sweep()
        self._expire()

    @rule(limit=st.integers(0, 20_000))
    def reopen_with_another_limit(self, limit):
        self.ledger.close()
        self.limit = limit
        self.ledger = Ledger(self.path, of_application(limit), clock=self.clock, lease_s=100)
        self._expire()

    @invariant()
    def balances_are_those_of_the_model(self):
        for found in self.ledger.balances():
            assert (found.held_nano_usd, found.posted_nano_usd) == self._in(found.budget)

    @invariant()
    def the_books_agree(self):
        assert self.ledger.verify().is_right


LedgerMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLedger = LedgerMachine.TestCase
