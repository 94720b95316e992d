from contextlib import closing
from decimal import Decimal

import pytest

from llmapp.costs.embedding import GuardedEmbedder
from llmapp.costs.ledger import Ledger
from llmapp.costs.limits import Limit
from llmapp.costs.prices import declared_price, free_price
from llmapp.costs.windows import Span
from llmapp.errors import BudgetExceededError, EmbedderError
from llmapp.testing.fakes import HashEmbedder

PAID = declared_price("openai:text-embedding-3-small", input_usd_per_million=Decimal("0.02"))


@pytest.fixture
def ledger(tmp_path):
    with closing(Ledger(tmp_path / "ledger.db", [Limit("application", "*", Span("day"), 200)])) as opened:
        yield opened


def test_a_free_batch_is_one_row_and_no_money(ledger):
    inner = HashEmbedder()
    guarded = GuardedEmbedder(inner, ledger=ledger, price=free_price(inner.identity))
    assert guarded.embed_documents(["a b", "c"]).shape == (2, inner.dim)
    assert (guarded.embed_query("a b") == inner.embed_query("a b")).all()
    (spend,) = ledger.spend()
    assert (spend.kind, spend.calls, spend.posted_nano_usd) == ("embed", 2, 0)


def test_a_paid_batch_is_charged_by_the_tokens_of_its_own_tokenizer(ledger):
    guarded = GuardedEmbedder(HashEmbedder(), ledger=ledger, price=PAID)
    guarded.embed_documents(["a b", "c"])
    (spend,) = ledger.spend()
    assert spend.usage.input_tokens == (2 + 2) + (1 + 2)
    assert spend.posted_nano_usd == 7 * 20


def test_a_paid_batch_beyond_the_budget_is_not_embedded(ledger):
    inner = HashEmbedder()
    with pytest.raises(BudgetExceededError):
        GuardedEmbedder(inner, ledger=ledger, price=PAID).embed_documents(["one two three four five six seven eight nine"])
    assert inner.embedded == []


def test_a_paid_batch_that_fails_is_charged_at_its_hold(ledger):
    inner = HashEmbedder(max_tokens=4)
    with pytest.raises(EmbedderError):
        GuardedEmbedder(inner, ledger=ledger, price=PAID).embed_documents(["one two three"])
    assert ledger.spend()[0].presumed_calls == 1


def test_it_presents_itself_as_the_embedder_that_it_wraps(ledger):
    inner = HashEmbedder()
    guarded = GuardedEmbedder(inner, ledger=ledger, price=PAID)
    assert (guarded.identity, guarded.dim, guarded.max_tokens, guarded.tokenizer) == (
        inner.identity,
        inner.dim,
        inner.max_tokens,
        inner.tokenizer,
    )
