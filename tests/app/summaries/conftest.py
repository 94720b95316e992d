"""A real catalog, and summarizers over it that are guarded and pay."""

import pytest
from summarizing import VECTOR, assemblers

from llmapp.app.summaries.summarizer import Summarizer
from llmapp.costs.guard import GuardedChatModel
from llmapp.costs.ledger import Ledger
from llmapp.costs.limits import Limit
from llmapp.costs.price_book import PriceBook
from llmapp.costs.prices import declared_price
from llmapp.costs.windows import Span
from llmapp.errors import ModelUnavailableError
from llmapp.testing.fakes import ByteCounter


@pytest.fixture
def put(catalog):
    return lambda *records: catalog.replace(records, {"k": VECTOR})


@pytest.fixture
def make(catalog, tmp_path):
    """Makes a summarizer over the catalog, guarded and priced at one dollar a million tokens."""
    opened = []

    def build(model, *, counter=None, budget_tokens=4_000, notes_tokens=None, day_nano_usd=None):
        counter = counter or ByteCounter()
        ledger = Ledger(tmp_path / f"ledger{len(opened)}.db", [Limit("application", "*", Span("day"), day_nano_usd)])
        opened.append(ledger)
        price = declared_price("reading", input_usd_per_million=1, output_usd_per_million=1)
        guarded = GuardedChatModel(
            inner=model, model="reading", ledger=ledger, prices=PriceBook({"reading": price}), counter=counter,
            max_output_tokens=800, translate=translated,
        )  # fmt: skip
        notes_tokens = notes_tokens or budget_tokens // 8
        sizes = {"budget_tokens": budget_tokens, "notes_tokens": notes_tokens}
        made = Summarizer(
            catalog, guarded, model_name="reading", price=price, of_documents=assemblers(counter, "documents", **sizes),
            of_notes=assemblers(counter, "notes", **sizes), notes_tokens=notes_tokens, summary_tokens=800,
            balances=ledger.balances,
        )  # fmt: skip
        return made, ledger

    yield build
    for ledger in opened:
        ledger.close()


def translated(error):
    return ModelUnavailableError(str(error))
