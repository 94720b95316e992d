"""Many processes, killed processes, full disks, locked and lost databases."""

import os
import random
import resource
import sqlite3
import time
from contextlib import closing, suppress

import psycopg
import pytest
from costs.racers import COST, billed, processes, race, spend_and_be_killed, total

from llmapp.catalog import sqlite
from llmapp.costs.ledger import Ledger
from llmapp.errors import BudgetExceededError, CostError
from llmapp.types import Usage

RACERS = 32
KILLS = int(os.environ.get("LEDGER_KILLS", "40"))
"""200 of them have been run; see architecture/costs.md."""


def reserve(ledger, amount):
    return ledger.reserve("m", kind="chat", amount_nano_usd=amount, price={})


def fill(ledger):
    for _ in range(1_000):
        reserve(ledger, 1)


def wait_for_more(bill):
    """Until somebody has been billed for something."""
    size, until = bill.stat().st_size, time.monotonic() + 10
    while bill.stat().st_size == size and time.monotonic() < until:
        time.sleep(0.001)


def committed(ledger):
    with suppress(BudgetExceededError):  # opening sweeps; a reservation does so too
        ledger.release(reserve(ledger, 0))
    balance = next(one for one in ledger.balances() if one.limit.span.per == "total")
    return balance.held_nano_usd, balance.posted_nano_usd


@pytest.mark.parametrize("limit", [RACERS * 3 * COST, RACERS * 4 * COST])
def test_32_processes_neither_overspend_one_budget_nor_are_refused_what_fits(ledger_place, limit):
    Ledger(ledger_place).close()
    results = processes.SimpleQueue()
    racers = [processes.Process(target=race, args=(ledger_place, limit, 4, results)) for _ in range(RACERS)]
    for racer in racers:
        racer.start()
    found = [results.get() for _ in racers]
    for racer in racers:
        racer.join()
    assert sum(posted for posted, _ in found) == limit
    assert sum(refused for _, refused in found) == RACERS * 4 - limit // COST
    with closing(Ledger(ledger_place)) as ledger:
        assert ledger.verify().is_right
        assert committed(ledger) == (0, limit)


def test_what_a_provider_bills_is_posted_however_often_processes_are_killed(ledger_place, tmp_path):
    bill, limit, chance = tmp_path / "bill", KILLS * 1_000 * COST, random.Random(7)
    bill.touch()
    Ledger(ledger_place).close()

    def start(number):
        process = processes.Process(target=spend_and_be_killed, args=(ledger_place, limit, str(bill), number))
        process.start()
        return process

    workers = [start(number) for number in range(4)]
    for number in range(KILLS):
        wait_for_more(bill)
        time.sleep(chance.uniform(0, 0.02))
        place = chance.randrange(len(workers))
        workers[place].kill()
        workers[place].join()
        workers[place] = start(100 + number)
    for worker in workers:
        worker.kill()
        worker.join()
    time.sleep(1.1)  # the leases of the dead run out
    with closing(Ledger(ledger_place, [total(limit)])) as ledger:
        held, posted = committed(ledger)
        assert held == 0
        assert 0 < billed(bill) <= posted <= limit
        assert ledger.verify().is_right
        assert {row["state"] for row in ledger.entries()} <= {"posted", "presumed", "voided"}


def test_a_full_disk_refuses_calls_and_loses_none(tmp_path):
    path = tmp_path / "ledger.db"
    with closing(Ledger(path, [total(10**9)])) as ledger:
        sent = reserve(ledger, 700)
        ledger.mark_sent(sent)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        size_bytes = max(file.stat().st_size for file in tmp_path.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
        try:
            with pytest.raises(CostError, match="ledger cannot be used"):
                fill(ledger)
            with pytest.raises(CostError, match="ledger cannot be used"):
                ledger.settle(sent, cost_nano_usd=500, usage=Usage(1, 1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert ledger.settle(sent, cost_nano_usd=500, usage=Usage(1, 1)).posted_nano_usd == 500
        assert ledger.verify().is_right


def test_a_locked_database_refuses_calls_until_it_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.1)
    path = tmp_path / "ledger.db"
    with closing(Ledger(path)) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CostError, match="locked"):
            reserve(ledger, 1)
        other.execute("ROLLBACK")
        reserve(ledger, 1)


def test_a_server_that_hangs_up_refuses_one_call_at_most(new_database):
    url = new_database()
    with closing(Ledger(url, [total(1_000)])) as ledger:
        hold = reserve(ledger, 600)
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with suppress(CostError):
            ledger.mark_sent(hold)
        ledger.mark_sent(hold)
        assert ledger.settle(hold, cost_nano_usd=500, usage=Usage(1, 1)).posted_nano_usd == 500


def test_a_server_that_isolates_strictly_is_asked_again(new_database):
    url = new_database()
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
        name = server.execute("SELECT current_database()").fetchone()[0]
        server.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    Ledger(url).close()
    results = processes.SimpleQueue()
    racers = [processes.Process(target=race, args=(url, 30 * COST, 10, results)) for _ in range(4)]
    for racer in racers:
        racer.start()
    found = [results.get() for _ in racers]
    for racer in racers:
        racer.join()
    assert sum(posted for posted, _ in found) == 30 * COST


def test_the_journal_of_postgres_can_neither_be_changed_nor_shortened(new_database):
    url = new_database()
    with closing(Ledger(url)) as ledger:
        reserve(ledger, 5)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
        for statement in ("UPDATE journal SET held_nano_usd = 0", "DELETE FROM journal", "TRUNCATE journal"):
            with pytest.raises(psycopg.Error, match="append-only"):
                server.execute(statement)


def test_the_ledgers_of_several_machines_are_carried_over_once(tmp_path, new_database, clock):
    url, files = new_database(), [tmp_path / "one.db", tmp_path / "two.db"]
    for file in files:
        with closing(Ledger(file, clock=clock)) as ledger:
            ledger.mark_sent(reserve(ledger, 100))
            ledger.mark_sent(reserve(ledger, 100))
            ledger.set_limit(total(450))
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(files[0])) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)
    for file in (*files, copy):  # the copy is the file of a process that was killed before it could rename it
        with closing(Ledger(url, clock=clock, former=file)) as ledger:
            assert not file.exists()
    with closing(Ledger(url, clock=clock, former=files[0])) as ledger:
        assert committed(ledger) == (400, 0)
        with pytest.raises(BudgetExceededError):
            reserve(ledger, 51)
        clock.now += 1_000
        assert ledger.sweep() == 4
        assert committed(ledger) == (0, 400)
        assert ledger.verify().is_right
