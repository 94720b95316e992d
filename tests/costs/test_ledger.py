import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from costs.clocks import NOON

from llmapp.costs.ledger import Ledger, holds
from llmapp.costs.limits import Limit
from llmapp.costs.windows import Span
from llmapp.errors import BudgetExceededError, CostError
from llmapp.types import Usage

USAGE = Usage(10, 5)


def of_application(day=None, total=None):
    return [Limit("application", "*", Span(per), nano) for per, nano in (("day", day), ("total", total)) if nano is not None]


@pytest.fixture
def open_ledger(ledger_place, clock):
    opened = []

    def open_it(day=None, total=None, limits=(), **options):
        ledger = Ledger(ledger_place, [*of_application(day, total), *limits], clock=clock, **options)
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


def test_the_journal_can_neither_be_changed_nor_shortened(tmp_path):
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        reserve(ledger, 5)
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


def test_a_call_whose_process_was_killed_after_sending_is_charged_at_its_hold(tmp_path):
    victim = _python(VICTIM, tmp_path / "ledger.db")
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL
    time.sleep(0.3)
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:  # opening sweeps
        assert balance(ledger, "total") == (0, 400)
        assert ledger.spend()[0].presumed_calls == 1


def test_a_reservation_does_not_walk_all_holds_that_there_ever_were(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db", of_application(day=1_000))
    steps = []
    with closing(ledger), ledger._transaction() as connection:
        connection.set_trace_callback(steps.append)
        holds.expired(connection, NOON)
        connection.set_trace_callback(None)
        (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {steps[0]}").fetchall()
    assert "hold_open" in plan["detail"], plan["detail"]
