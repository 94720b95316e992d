"""The ledger and everybody who pays, on SQLite and PostgreSQL."""

import threading
from contextlib import closing
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from llmapp.costs.ledger import Ledger
from llmapp.costs.limits import Limit
from llmapp.costs.paying import Payer, paid_by
from llmapp.costs.records import Once
from llmapp.costs.windows import Span
from llmapp.errors import BudgetExceededError, KeyReusedError
from llmapp.types import Usage

ANNA = Payer(user="anna", groups=("hr", "staff"), tenant="acme")
BERT = Payer(user="bert", groups=("staff",), tenant="acme")


def per(span, nano_usd, scope="user", name="*", timezone="UTC"):
    return Limit(scope, name, Span(span, timezone), nano_usd)


@pytest.fixture
def open_ledger(ledger_place, clock):
    opened = []

    def open_it(*limits, **options):
        opened.append(Ledger(ledger_place, limits, clock=clock, **options))
        return opened[-1]

    yield open_it
    for ledger in opened:
        assert ledger.verify().is_right
        ledger.close()


def reserve(ledger, amount, who=ANNA, **options):
    with paid_by(who):
        return ledger.reserve("m", kind="chat", amount_nano_usd=amount, price={}, **options)


def spend(ledger, amount, who=ANNA):
    hold = reserve(ledger, amount, who)
    ledger.mark_sent(hold)
    return ledger.settle(hold, cost_nano_usd=amount, usage=Usage(1, 1))


def standing(ledger, account):
    return next((b.held_nano_usd, b.posted_nano_usd) for b in ledger.balances() if b.account == account and b.limit.nano_usd)


@pytest.mark.parametrize(
    ("limit", "who", "budget"),
    [
        (per("day", 100), ANNA, "user:anna:2026-11-22"),
        (per("month", 100, "group", "hr"), ANNA, "group:hr:2026-11"),
        (per("total", 100, "tenant"), ANNA, "tenant:acme:total"),
        (per("30 days", 100, "source", "handbook"), Payer(source="handbook"), "source:handbook:30 days"),
        (per("day", 100, "key"), Payer(key="intranet"), "key:intranet:2026-11-22"),
        (per("total", 100, "request"), Payer(request="r"), "request:r:total"),
        (per("month", 100, "application"), Payer(), "application:2026-11"),
    ],
)
def test_each_scope_and_window_has_its_limit(open_ledger, limit, who, budget):
    ledger = open_ledger(limit)
    spend(ledger, 60, who)
    with pytest.raises(BudgetExceededError) as refused:
        reserve(ledger, 41, who)
    assert refused.value.scope == budget
    reserve(ledger, 40, who)


def test_each_user_has_a_limit_of_his_own(open_ledger):
    ledger = open_ledger(per("month", 100))
    spend(ledger, 100, ANNA)
    spend(ledger, 100, BERT)
    assert standing(ledger, "user:anna") == standing(ledger, "user:bert") == (0, 100)


def test_a_call_pays_in_every_budget_or_in_none(open_ledger):
    ledger = open_ledger(per("day", 100), per("day", 150, "group", "staff"), per("day", 500, "application"))
    spend(ledger, 100, ANNA)
    with pytest.raises(BudgetExceededError) as refused:
        reserve(ledger, 51, BERT)
    assert refused.value.scope == "group:staff:2026-11-22"
    assert standing(ledger, "group:staff") == standing(ledger, "application") == (0, 100)
    assert "user:bert" not in {balance.account for balance in ledger.balances()}


def test_a_limit_that_is_set_later_counts_what_was_spent_and_what_is_held(open_ledger):
    ledger = open_ledger()
    spend(ledger, 70)
    hold = reserve(ledger, 20)
    ledger.set_limit(per("month", 100))
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 11)
    ledger.release(hold)
    assert standing(ledger, "user:anna") == (0, 70)
    reserve(ledger, 30)


def test_a_limit_that_was_away_counts_what_was_spent_meanwhile(open_ledger, clock):
    ledger = open_ledger()
    ledger.set_limit(per("24 hours", 100))
    spend(ledger, 30)
    assert ledger.remove_limit("user", "*", "24 hours")
    clock.now += 3600
    spend(ledger, 60)
    clock.now += 3600
    ledger.set_limit(per("24 hours", 100))
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 11)
    reserve(ledger, 10)


def test_a_limit_set_at_run_time_narrows_those_of_the_settings_and_never_widens_them(open_ledger):
    ledger, other = open_ledger(per("day", 100)), open_ledger(per("day", 100))
    ledger.set_limit(per("day", 1_000, name="anna"))
    with pytest.raises(BudgetExceededError):
        reserve(other, 101)
    ledger.set_limit(per("day", 50, name="anna"))
    with pytest.raises(BudgetExceededError):
        reserve(other, 51)
    reserve(other, 51, BERT)
    settings, own = ledger.limits()
    assert (list(settings), list(own)) == ([per("day", 100)], [per("day", 50, name="anna")])
    assert ledger.remove_limit("user", "anna", "day")
    assert not ledger.remove_limit("user", "anna", "day")


def test_a_rolling_window_lets_go_of_what_is_older(open_ledger, clock):
    ledger = open_ledger(per("24 hours", 100))
    spend(ledger, 60)
    clock.now += 12 * 3600
    spend(ledger, 40)
    clock.now += 12 * 3600 - 1
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 1)
    clock.now += 24 * 36 + 1  # a hundredth of the window
    spend(ledger, 60)
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 1)


def test_a_clock_that_is_set_back_frees_nothing(open_ledger, clock):
    ledger = open_ledger(per("24 hours", 100), per("day", 100))
    spend(ledger, 60)
    clock.now -= 3600
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 41)
    spend(ledger, 40)
    clock.now += 3600
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 1)


def test_a_hold_settles_in_the_day_of_its_place_in_which_it_was_reserved(open_ledger, clock):
    berlin = ZoneInfo("Europe/Berlin")
    ledger = open_ledger(per("day", 100, timezone="Europe/Berlin"))
    clock.now = datetime(2026, 10, 25, 23, 59, tzinfo=berlin).timestamp()  # the end of a day of 25 hours
    hold = reserve(ledger, 100)
    ledger.mark_sent(hold)
    clock.now = datetime(2026, 10, 26, 0, 1, tzinfo=berlin).timestamp()
    spend(ledger, 100)
    ledger.settle(hold, cost_nano_usd=80, usage=Usage(1, 1))
    assert standing(ledger, "user:anna") == (0, 100)
    clock.now = datetime(2026, 10, 25, 0, 1, tzinfo=berlin).timestamp()
    assert standing(ledger, "user:anna") == (0, 80)
    spend(ledger, 20)


def test_the_error_says_when_the_next_window_begins(open_ledger):
    ledger = open_ledger(per("day", 1))
    with pytest.raises(BudgetExceededError) as refused:
        reserve(ledger, 2)
    assert datetime.fromtimestamp(refused.value.resets_at, UTC).isoformat() == "2026-11-23T00:00:00+00:00"


def test_what_only_others_hold_may_fit_soon(open_ledger):
    ledger = open_ledger(per("day", 100))
    reserve(ledger, 90)
    for amount, soon in ((50, True), (101, False)):
        with pytest.raises(BudgetExceededError) as refused:
            reserve(ledger, amount)
        assert refused.value.may_fit_soon is soon


def test_what_is_left_is_granted_when_it_is_enough(open_ledger):
    ledger = open_ledger(per("day", 100))
    assert reserve(ledger, 60, least_nano_usd=10).held_nano_usd == 60
    assert reserve(ledger, 60, least_nano_usd=40).held_nano_usd == 40
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 60, least_nano_usd=1)


def test_steps_of_one_piece_of_work_draw_on_its_budget(open_ledger):
    ledger = open_ledger(per("total", 100, "request"))
    task = Payer(request="task-7")
    for step in (ANNA, BERT):
        spend(ledger, 40, Payer(user=step.user, request=task.request))
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 21, task)
    spend(ledger, 100, Payer(request="task-8"))


ONCE = Once("batch_7,line 12", "abc")


def test_the_same_key_is_the_same_call_and_its_result_is_kept(open_ledger):
    ledger = open_ledger(per("day", 100))
    first = reserve(ledger, 60, once=ONCE)
    again = reserve(ledger, 60, once=ONCE)
    assert (first.is_repeat, again.is_repeat, again.id) == (False, True, first.id)
    ledger.mark_sent(first)
    ledger.settle(first, cost_nano_usd=25, usage=Usage(1, 1))
    assert ledger.charge(reserve(ledger, 60, once=ONCE)).posted_nano_usd == 25
    assert standing(ledger, "user:anna") == (0, 25)


def test_the_same_key_for_another_call_is_a_mistake(open_ledger):
    ledger = open_ledger()
    reserve(ledger, 1, once=ONCE)
    with pytest.raises(KeyReusedError, match="batch_7,line 12"):
        reserve(ledger, 1, once=Once(ONCE.key, "another"))


def test_the_same_key_a_hundred_times_at_once_is_one_hold(open_ledger):
    ledger, found = open_ledger(per("day", 100)), []
    threads = [threading.Thread(target=lambda: found.append(reserve(ledger, 60, once=ONCE))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({hold.id for hold in found}) == 1
    assert sum(not hold.is_repeat for hold in found) == 1
    assert standing(ledger, "user:anna") == (60, 0)


def test_spending_is_told_by_everybody_who_has_paid(open_ledger):
    ledger = open_ledger()
    spend(ledger, 60, ANNA)
    spend(ledger, 40, BERT)
    ledger.record_free("minilm", kind="embed", usage=None, price={})
    assert [(t.name, t.calls, t.posted_nano_usd) for t in ledger.totals("user")] == [
        ("anna", 1, 60),
        ("bert", 1, 40),
        ("-", 1, 0),
    ]
    assert [(t.name, t.posted_nano_usd) for t in ledger.totals("group")] == [("staff", 100), ("hr", 60), ("-", 0)]
    assert [(t.name, t.posted_nano_usd) for t in ledger.totals("model")] == [("m", 100), ("minilm", 0)]
    assert [(t.name, t.posted_nano_usd) for t in ledger.totals("month")] == [("2026-11", 100)]
    assert ledger.totals("user", since_day="2026-11-23") == []


def test_books_that_were_tampered_with_are_found_out(tmp_path, clock):
    import sqlite3

    with closing(Ledger(tmp_path / "own.db", [per("day", 100)], clock=clock)) as ledger:
        spend(ledger, 60)
        with closing(sqlite3.connect(tmp_path / "own.db")) as raw, raw:
            raw.execute("UPDATE budget SET posted_nano_usd = 1 WHERE account = 'user:anna'")
        verdict = ledger.verify()
        assert verdict.wrong_holds == ()
        assert [name.split(" ")[0] for name in verdict.wrong_budgets] == ["user:anna"]
        with closing(sqlite3.connect(tmp_path / "own.db")) as raw, raw:
            raw.execute("UPDATE hold SET posted_nano_usd = 1")
        assert len(ledger.verify().wrong_holds) == 1
