"""Forecasts: published figures from our own dated prices, and their invariants."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.costs.forecast import Workload, decimal_usd, forecast
from llmapp.costs.price_book import PriceBook
from llmapp.costs.prices import Price, Rates
from llmapp.errors import InvalidRequestError, UnknownPriceError
from llmapp.types import Usage

MAY_2023 = date(2023, 5, 17)
BILLION = 10**9
TODAY = date(2026, 11, 24)


def of_2023(model, input_tokens, output_tokens=0, requests=1):
    price = PriceBook().price(f"openai:{model}", as_of=MAY_2023)
    return forecast(price, None, [Usage(input_tokens, output_tokens)], Workload(requests), as_of=MAY_2023)


def test_ten_thousand_in_and_two_hundred_out_of_gpt_4_32k_cost_62_4_cents():
    found = of_2023("gpt-4-32k", 10_000, 200, requests=10 * BILLION)
    (column,) = found.columns
    assert column.parts.total == Fraction("0.624")
    assert (column.parts.input, column.parts.output) == (Fraction("0.6"), Fraction("0.024"))
    assert column.parts.total * 20 * 25 == 312
    assert found.daily_usd(column) == 6_240_000_000  # more nano-USD than 63 bits hold in two days
    assert found.monthly_usd(column) == Fraction("189696000000")


def test_four_tenths_of_a_cent_ten_billion_times_a_day_are_forty_million():
    found = of_2023("gpt-3.5-turbo", 2_000, requests=10 * BILLION)
    (column,) = found.columns
    assert column.parts.total == Fraction("0.004")
    assert found.daily_usd(column) == 40_000_000
    assert of_2023("gpt-3.5-turbo", 4_000).columns[0].parts.total == Fraction("0.008")
    assert "they cost $0.008, and $0.004 is 2k tokens" in found.notes[0]


def test_a_negotiated_price_is_not_told_what_a_published_one_is():
    mine = Price("openai:gpt-3.5-turbo", Rates(1, output=1), "llmapp.toml")
    assert forecast(mine, None, [Usage(1, 1)], Workload(1), as_of=MAY_2023).notes == ()


def test_the_price_of_the_guard_is_that_of_the_forecast_rounded_up():
    price = PriceBook().price("anthropic:claude-sonnet-4-5")
    for usage in (Usage(1_234, 567, 800, 100), Usage(300_000, 9), Usage(3, 0)):
        found = forecast(price, None, [usage], Workload(1), as_of=TODAY)
        assert decimal_usd(found.columns[0].parts.total) == Decimal(price.cost_nano_usd(usage)) / BILLION


def test_shares_of_cache_retries_and_batch_change_what_they_are_of():
    standard = Price("m", Rates(2_000_000, 200_000, 2_500_000, 8_000_000), "standard")
    half = Price("m", Rates(1_000_000, 100_000, 1_250_000, 4_000_000), "half")
    usage = [Usage(1_000_000, 500_000)]

    def total(**shares):
        workload = Workload(1, **{name: Fraction(value) for name, value in shares.items()})
        return forecast(standard, half, usage, workload, as_of=TODAY).columns[0].parts.total

    assert total() == 6
    assert total(cached_share="0.5") == 4 + 1 + Fraction("0.1")
    assert total(retry_share="0.1") == Fraction("6.6")
    assert total(batch_share="1") == 3
    assert total(batch_share="0.5", retry_share="1") == 9


def test_a_batch_share_without_a_batch_price_is_refused():
    price = Price("m", Rates(1, output=1), "x")
    with pytest.raises(UnknownPriceError, match="batch price"):
        forecast(price, None, [Usage(1, 1)], Workload(1, batch_share=Fraction(1)), as_of=TODAY)


def test_output_without_a_price_is_refused_and_not_free():
    with pytest.raises(UnknownPriceError, match="output price"):
        forecast(Price("m", Rates(1), "x"), None, [Usage(1, 1)], Workload(1), as_of=TODAY)


@pytest.mark.parametrize(
    "wrong",
    [{"batch_share": Fraction(2)}, {"cached_share": Fraction(-1)}, {"retry_share": Fraction(-1)}, {"requests_per_day": -1}],
)
def test_a_share_that_is_none_is_refused(wrong):
    with pytest.raises(InvalidRequestError):
        Workload(**({"requests_per_day": 1} | wrong))


def test_recorded_requests_are_told_by_mean_median_and_95th_of_a_hundred():
    price = Price("m", Rates(1_000_000, output=1_000_000), "x")
    usages = [Usage(tokens, 0) for tokens in range(100, 0, -1)]
    found = forecast(price, None, usages, Workload(1), as_of=TODAY)
    assert {column.name: column.parts.total * 10**6 for column in found.columns} == {
        "mean": Fraction("50.5"),
        "p50": 50,
        "p95": 95,
    }


def test_amounts_are_rounded_up_at_any_size():
    assert decimal_usd(Fraction(1, 3), 3) == Decimal("0.334")
    assert decimal_usd(Fraction(10**30 + 1, 10**3), 2) == Decimal("1000000000000000000000000000.01")


_rate = st.integers(0, 10**8)
_usages = st.lists(
    st.tuples(*[st.integers(0, 10**6)] * 4).map(lambda drawn: Usage(drawn[0] + drawn[2] + drawn[3], *drawn[1:])),
    min_size=1,
    max_size=20,
)
_shares = st.fractions(0, 1, max_denominator=100)


@given(st.builds(Rates, _rate, st.none() | _rate, st.none() | _rate, _rate), _usages, _shares, _shares)
def test_every_column_is_the_sum_of_its_parts_and_lies_between_the_ends(rates, usages, retries, batch):
    price = Price("m", rates, "x")
    workload = Workload(10**10, retry_share=retries, batch_share=batch)
    found = forecast(price, price, usages, workload, as_of=TODAY)
    exact = sorted(price.cost_nano_usd(usage) for usage in usages)
    for column in found.columns:
        nano = column.parts.total / (1 + retries) * BILLION
        assert exact[0] - 1 <= nano <= exact[-1]
        assert found.monthly_usd(column) == found.daily_usd(column) * Fraction("30.4")
