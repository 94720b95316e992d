from contextlib import closing
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.costs.ledger import Ledger
from llmapp.costs.limits import Limit
from llmapp.costs.prices import declared_price, free_price
from llmapp.costs.reranking import GuardedScorer, most_searches, most_tokens
from llmapp.costs.spending import counted
from llmapp.costs.windows import Span
from llmapp.errors import BudgetExceededError, RerankerError
from llmapp.types import Relevance

BY_TOKEN = declared_price("m", input_usd_per_million=Decimal("0.05"))
BY_SEARCH = declared_price("m", input_usd_per_million=Decimal(0), usd_per_thousand_searches=Decimal(2))


class Provider:
    name = "api:m"

    def __init__(self, *, tokens=None, searches=None, error=None):
        self.billed = (tokens, searches)
        self.error = error
        self.calls = 0

    def score(self, query, passages):
        self.calls += 1
        if self.error:
            raise self.error
        return Relevance(tuple(1.0 for _ in passages), *self.billed)


@pytest.fixture
def ledger(tmp_path):
    with closing(Ledger(tmp_path / "ledger.db", [Limit("application", "*", Span("day"), 10_000_000)])) as opened:
        yield opened


def ask(ledger, provider, price, passages=("a", "b")):
    with counted() as spending:
        GuardedScorer(provider, ledger=ledger, price=price).score("q", passages)
    return spending.nano_usd


def test_tokens_are_charged_as_the_provider_bills_them(ledger):
    assert ask(ledger, Provider(tokens=10), BY_TOKEN) == 10 * 50
    (spend,) = ledger.spend()
    assert (spend.kind, spend.calls, spend.posted_nano_usd, spend.usage.input_tokens) == ("rerank", 1, 500, 10)


def test_searches_are_charged_as_the_provider_bills_them(ledger):
    assert ask(ledger, Provider(searches=3), BY_SEARCH) == 3 * 2_000_000


@pytest.mark.parametrize(
    ("price", "billed"), [(BY_TOKEN, {"searches": 1}), (BY_SEARCH, {"tokens": 5})], ids=["tokens", "searches"]
)
def test_a_provider_that_does_not_say_what_it_bills_is_charged_at_worst(ledger, price, billed):
    bound = price.bound_nano_usd(input_tokens=most_tokens("q", "ab"), output_tokens=0, searches=most_searches("q", "ab"))
    assert ask(ledger, Provider(**billed), price) == bound
    assert ledger.spend()[0].presumed_calls == 1


@pytest.mark.parametrize("price", [BY_TOKEN, BY_SEARCH, free_price("m")], ids=["tokens", "searches", "free"])
def test_a_count_that_cannot_be_true_is_as_none(ledger, price):
    charged = ask(ledger, Provider(tokens=10**30, searches=10**30), price)
    assert charged == ask(ledger, Provider(), price)
    assert all(balance.held_nano_usd == 0 for balance in ledger.balances())


def test_what_could_pass_the_budget_is_not_sent(ledger):
    provider = Provider(searches=1)
    with pytest.raises(BudgetExceededError):
        ask(ledger, provider, BY_SEARCH, ["x"] * 501)
    assert provider.calls == 0


def test_a_refusal_costs_nothing_and_silence_costs_the_hold(ledger):
    with pytest.raises(RerankerError):
        ask(ledger, Provider(error=RerankerError("no", status_code=401)), BY_SEARCH)
    assert ledger.balances()[0].posted_nano_usd == 0
    with pytest.raises(RerankerError):
        ask(ledger, Provider(error=RerankerError("broke off")), BY_SEARCH)
    assert ledger.balances()[0].posted_nano_usd == 2_000_000


@given(st.text(max_size=50), st.lists(st.text(max_size=2_000), min_size=1, max_size=20))
def test_the_bounds_hold_for_any_tokenizer_that_gives_a_token_for_a_byte(query, passages):
    sizes = [len(passage.encode()) for passage in passages]
    asked = len(query.encode())
    assert most_tokens(query, passages) >= sum(size + asked for size in sizes)
    parts = sum(max(1, -(-size // (500 - asked))) for size in sizes)
    assert most_searches(query, passages) >= -(-parts // 100)


def test_a_fee_for_searches_is_never_free():
    assert not declared_price(
        "m", input_usd_per_million=Decimal(0), output_usd_per_million=Decimal(0), usd_per_thousand_searches=Decimal("0.01")
    ).is_free


def test_a_ledger_of_before_keeps_what_it_holds(tmp_path):
    import sqlite3
    from importlib import resources

    path = tmp_path / "old.db"
    old = sqlite3.connect(path)
    old.executescript((resources.files("llmapp.costs.migrations") / "0001_ledger.sql").read_text())
    old.execute("PRAGMA user_version = 1")
    old.execute(
        "INSERT INTO hold (id, kind, model, state, held_nano_usd, posted_nano_usd, price, day, created_at, expires_at, ended_at)"
        " VALUES ('h', 'embed', 'm', 'posted', 7, 7, '{}', '2026-11-01', 1, 2, 2)"
    )
    old.execute("INSERT INTO budget (id, posted_nano_usd) VALUES ('total', 7)")
    old.execute(
        "INSERT INTO journal (at, hold_id, budget_id, event, held_nano_usd, posted_nano_usd) VALUES (1, 'h', 'total', 'posted', 0, 7)"
    )
    old.commit()
    old.close()
    with closing(Ledger(path)) as ledger:
        assert [(spend.kind, spend.posted_nano_usd) for spend in ledger.spend()] == [("embed", 7)]
        assert ask(ledger, Provider(tokens=10), BY_TOKEN) == 500
