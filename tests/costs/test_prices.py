from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.costs.price_book import PriceBook
from llmapp.costs.prices import Price, Rates, Tier, declared_price, free_price
from llmapp.errors import UnknownPriceError
from llmapp.types import Usage

_rate = st.integers(0, 200_000_000)
_rates = st.builds(Rates, _rate, st.none() | _rate, st.none() | _rate, _rate)
_prices = st.builds(
    lambda rates, tiers: Price("m", rates, "test", tiers=tuple(sorted(tiers, key=lambda tier: tier.above_input_tokens))),
    _rates,
    st.lists(st.builds(Tier, st.integers(1, 300_000), _rates), max_size=2),
)


def test_ten_thousand_in_and_two_hundred_out_of_gpt_4_32k_cost_62_4_cents_exactly():
    price = PriceBook().price("openai:gpt-4-32k")
    assert price.cost_nano_usd(Usage(input_tokens=10_000, output_tokens=200)) == 624_000_000
    assert price.bound_nano_usd(input_tokens=10_000, output_tokens=200) == 624_000_000
    assert price.source.startswith("genai-prices ")


def test_long_requests_are_priced_as_a_whole_at_the_higher_tier():
    price = PriceBook().price("anthropic:claude-sonnet-4-5")
    (tier,) = price.tiers
    assert price.cost_nano_usd(Usage(300_000, 0)) == 300_000 * tier.rates.input // 1000
    assert price.cost_nano_usd(Usage(tier.above_input_tokens, 0)) == tier.above_input_tokens * price.rates.input // 1000


def test_cached_input_is_cheaper_and_counted_once():
    price = Price("m", Rates(4_000_000, 1_000_000, 5_000_000, 8_000_000), "test")
    assert price.cost_nano_usd(Usage(1_000, 100, cache_read_tokens=600, cache_write_tokens=100)) == (
        300 * 4_000 + 600 * 1_000 + 100 * 5_000 + 100 * 8_000
    )


@pytest.mark.parametrize(
    "model", ["openai:gpt-4-my-private", "openai-compatible:qwen3", "gpt-4o", "nobody:x", "perplexity:sonar"]
)
def test_an_unknown_price_is_refused(model):
    with pytest.raises(UnknownPriceError) as refused:
        PriceBook().price(model)
    assert refused.value.model == model


def test_a_model_that_is_listed_without_figures_is_unknown_and_not_free():
    with pytest.raises(UnknownPriceError):
        PriceBook().price("github-copilot:gpt-4o")


@pytest.mark.parametrize("model", ["extractive", "ollama:llama3.2:3b", "openai-compatible:qwen3"])
def test_local_models_are_free_by_declaration(model):
    price = PriceBook(local=["openai-compatible:qwen3"]).price(model)
    assert price.is_free
    assert price.source == "declared free"


def test_a_declared_price_wins_with_and_without_the_provider():
    mine = declared_price("gpt-4o", input_usd_per_million=Decimal("0.3"), output_usd_per_million=Decimal(1))
    assert PriceBook({"gpt-4o": mine}).price("openai:gpt-4o") is mine
    assert PriceBook({"openai:gpt-4o": mine}).price("openai:gpt-4o") is mine


def test_float_artefacts_of_published_prices_are_rounded_off():
    assert declared_price("m", input_usd_per_million=Decimal("0.18000000000000002")).rates.input == 180_000
    with pytest.raises(ValueError, match="negative"):
        declared_price("m", input_usd_per_million=Decimal(-1))


def test_output_without_a_price_is_an_error_and_not_free():
    embedder = declared_price("openai:e", input_usd_per_million=Decimal("0.02"))
    assert embedder.bound_nano_usd(input_tokens=1_000, output_tokens=0) == 20_000
    with pytest.raises(UnknownPriceError, match="no output price is known for openai:e") as refused:
        embedder.cost_nano_usd(Usage(10, 1))
    assert refused.value.model == "openai:e"
    assert '[prices."openai:e"]' in refused.value.hint


def test_free_is_free_whatever_is_used():
    assert free_price("m").cost_nano_usd(Usage(10**9, 10**9)) == 0
    assert free_price("m").bound_nano_usd(input_tokens=10**9, output_tokens=10**9) == 0


def test_free_input_alone_does_not_make_a_model_free():
    assert not declared_price("m", input_usd_per_million=Decimal(0)).is_free
    assert declared_price("m", input_usd_per_million=Decimal(0), output_usd_per_million=Decimal(0)).is_free


@given(_prices, st.integers(0, 400_000), st.integers(0, 50_000), st.data())
def test_the_bound_is_never_below_the_cost_of_any_use_within_it(price, input_tokens, output_tokens, data):
    used = data.draw(st.integers(0, input_tokens))
    read = data.draw(st.integers(0, used))
    written = data.draw(st.integers(0, used - read))
    usage = Usage(used, data.draw(st.integers(0, output_tokens)), read, written)
    assert price.cost_nano_usd(usage) <= price.bound_nano_usd(input_tokens=input_tokens, output_tokens=output_tokens)


_flat = st.builds(lambda rates: Price("m", rates, "test"), _rates)


@st.composite
def _usages(draw):
    read, written = draw(st.integers(0, 100_000)), draw(st.integers(0, 100_000))
    return Usage(read + written + draw(st.integers(0, 100_000)), draw(st.integers(0, 50_000)), read, written)


@given(_flat, _usages(), _usages())
def test_more_tokens_never_cost_less(price, usage, more):
    assert price.cost_nano_usd(usage + more) >= price.cost_nano_usd(usage)


@given(_flat, _usages(), _usages())
def test_the_sum_of_the_parts_is_the_whole_to_a_nano_dollar(price, one, other):
    parts = price.cost_nano_usd(one) + price.cost_nano_usd(other)
    assert 0 <= parts - price.cost_nano_usd(one + other) <= 1
