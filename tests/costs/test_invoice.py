import json
from contextlib import closing

import pytest

from llmapp.costs.invoice import read_invoice
from llmapp.costs.ledger import Ledger
from llmapp.costs.reconciling import compare
from llmapp.errors import CostError
from llmapp.types import Usage

DAY = "2026-11-22"
OPENAI = {  # as its reference shows it, with two line items
    "object": "page",
    "data": [
        {
            "object": "bucket",
            "start_time": 1_795_305_600,
            "end_time": 1_795_392_000,
            "results": [
                {"object": "organization.costs.result", "amount": {"value": 0.06, "currency": "usd"}, "line_item": item}
                for item in ("gpt-4o, input", "gpt-4o, output")
            ],
        }
    ],
    "has_more": False,
    "next_page": None,
}
ANTHROPIC = {
    "data": [
        {
            "starting_at": "2026-11-22T00:00:00Z",
            "ending_at": "2026-11-23T00:00:00Z",
            "results": [{"amount": "123.45", "currency": "USD", "model": "claude-sonnet-4-5", "cost_type": "tokens"}],
        }
    ],
    "has_more": False,
}


def written(tmp_path, text, name="costs.csv"):
    file = tmp_path / name
    file.write_text(text if isinstance(text, str) else json.dumps(text))
    return file


@pytest.mark.parametrize(
    ("report", "nano"), [(OPENAI, 120_000_000), (ANTHROPIC, 1_234_500_000), ([OPENAI, OPENAI], 240_000_000)]
)
def test_the_reports_of_the_providers_are_read_in_their_own_units(tmp_path, report, nano):
    assert read_invoice(written(tmp_path, report)) == {DAY: nano}


@pytest.mark.parametrize(
    "text",
    [
        "start_time,end_time,amount_value,amount_currency\n1795305600,1795392000,0.5,usd\n1795305600,1795392000,0.25,usd\n",
        "usage_date_utc,model,cost_usd\n2026-11-22,claude,0.75\n",
        "\ufeffChargePeriodStart,BilledCost,BillingCurrency\n2026-11-22T22:30:00-00:30,0.75,USD\n2026-11-23T01:00:00+02:00,0,USD\n",
        'date,cost\n2026-11-22,"$0.75"\n,9\n',
    ],
)
def test_a_csv_with_known_columns_is_read(tmp_path, text):
    assert read_invoice(written(tmp_path, text))[DAY] == 750_000_000


def test_columns_of_any_other_csv_are_named(tmp_path):
    file = written(tmp_path, 'when,total\n2026-11-22,"1,000.5"\n')
    with pytest.raises(CostError, match="when, total"):
        read_invoice(file)
    assert read_invoice(file, day_column="when", usd_column="total") == {DAY: 1_000_500_000_000}


@pytest.mark.parametrize(
    "text",
    [
        "date,cost,currency\n2026-11-22,1,EUR\n",
        "date,cost\nyesterday,1\n",
        "date,cost\n2026-11-22,much\n",
        '{"data": [{}]}',
        "[1]",
        "{",
        "",
    ],
)
def test_what_is_no_invoice_in_dollars_is_refused(tmp_path, text):
    with pytest.raises(CostError, match=r"costs\.csv"):
        read_invoice(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CostError, match="No such file"):
        read_invoice(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("billed", "verdict", "is_short"),
    [
        (1_000_000_000, "agrees", False),
        (1_005_000_000, "agrees", False),
        (1_200_000_000, "billed more", True),
        (0, "posted more", False),
    ],
)
def test_a_day_agrees_or_says_who_has_counted_more(tmp_path, clock, billed, verdict, is_short):
    with closing(Ledger(tmp_path / "ledger.db", clock=clock)) as ledger:
        for model in ("openai:gpt-4o", "anthropic:claude"):
            hold = ledger.reserve(model, kind="chat", amount_nano_usd=1_000_000_000, price={})
            ledger.mark_sent(hold)
            ledger.settle(hold, cost_nano_usd=1_000_000_000, usage=Usage(1, 1))
        (day,) = compare({DAY: billed}, ledger, provider="openai", tolerance=0.01)
        assert (day.posted_nano_usd, day.verdict, day.is_short) == (1_000_000_000, verdict, is_short)
        (both,) = compare({DAY: billed}, ledger, provider=None, tolerance=0.01)
        assert both.posted_nano_usd == 2_000_000_000
