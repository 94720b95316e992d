"""Processes that spend, and are killed; started from a server that has imported everything already."""

import multiprocessing
import os
import random
from contextlib import closing
from pathlib import Path

from llmapp.costs.ledger import Ledger
from llmapp.costs.limits import Limit
from llmapp.costs.paying import Payer, paid_by
from llmapp.costs.windows import Span
from llmapp.errors import BudgetExceededError
from llmapp.types import Usage

COST = 1_000
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["llmapp.costs.ledger", "llmapp.catalog.postgres"])


def total(nano_usd, scope="application"):
    return Limit(scope, "*", Span("total"), nano_usd)


def race(place, limit, tries, results):
    """Spend `COST` each time until `tries` are over, as a user of one group; tell what was posted and what was refused."""
    posted = refused = 0
    with (
        closing(Ledger(place, [total(limit), total(limit, "group")])) as ledger,
        paid_by(Payer(user="anna", groups=("hr",))),
    ):
        for _ in range(tries):
            try:
                hold = ledger.reserve("m", kind="chat", amount_nano_usd=COST, price={})
            except BudgetExceededError:
                refused += 1
                continue
            ledger.mark_sent(hold)
            posted += ledger.settle(hold, cost_nano_usd=COST, usage=Usage(1, 1)).posted_nano_usd
    results.put((posted, refused))


def spend_and_be_killed(place, limit, bill, seed):
    """Spend what a provider bills, until killed or refused; the provider writes its own bill before it answers."""
    chance = random.Random(seed)
    with closing(Ledger(place, [total(limit)], lease_s=1.0)) as ledger:
        provider = os.open(bill, os.O_WRONLY | os.O_APPEND)
        while True:
            amount = chance.randrange(1, COST)
            try:
                hold = ledger.reserve("m", kind="chat", amount_nano_usd=amount, price={})
            except BudgetExceededError:
                return
            ledger.mark_sent(hold)
            cost = chance.randrange(amount + 1)
            os.write(provider, f"{cost:>8}\n".encode())
            ledger.settle(hold, cost_nano_usd=cost, usage=Usage(1, 1))


def billed(bill):
    """What the provider says."""
    return sum(map(int, Path(bill).read_text().split()))
