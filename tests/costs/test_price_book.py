"""Where prices come from, and the traps of published ones."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import StartDateConstraint

from llmapp.costs.price_book import PriceBook
from llmapp.costs.price_history import dated_prices, price_in_history
from llmapp.costs.prices import declared_price
from llmapp.costs.published_prices import published_price
from llmapp.errors import UnknownPriceError
from llmapp.types import Usage

TODAY = datetime.now(UTC).date()
MAY_2023 = date(2023, 5, 17)
BOOK = PriceBook()


def published():
    return [(provider.id, model) for provider in get_snapshot().providers for model in provider.models]


def usd(price, input_tokens, output_tokens=0, **cached):
    return Decimal(price.cost_nano_usd(Usage(input_tokens, output_tokens, **cached))) / 10**9


@pytest.mark.parametrize(
    ("model", "input_tokens", "output_tokens", "cost_usd"),
    [
        ("openai:gpt-4-32k", 10_000, 200, "0.624"),
        ("openai:gpt-4", 10_000, 200, "0.312"),
        ("openai:gpt-3.5-turbo", 4_000, 0, "0.008"),  # not $0.004, which is what 2,000 cost
        ("openai:gpt-3.5-turbo", 2_000, 0, "0.004"),
        ("openai:text-embedding-ada-002", 1_000, 0, "0.0004"),
    ],
)
def test_the_prices_of_may_2023_are_those_of_llm_numbers(model, input_tokens, output_tokens, cost_usd):
    price = BOOK.price(model, as_of=MAY_2023)
    assert usd(price, input_tokens, output_tokens) == Decimal(cost_usd)
    assert "llm-numbers" in price.source


def test_the_ratios_of_llm_numbers_follow():
    turbo, ada = (BOOK.price(f"openai:{name}", as_of=MAY_2023) for name in ("gpt-3.5-turbo", "text-embedding-ada-002"))
    assert turbo.rates.output == 5 * ada.rates.input
    assert BOOK.price("openai:gpt-4-32k", as_of=MAY_2023).rates.output == 60 * turbo.rates.output


def test_every_dated_price_has_a_source_a_day_it_was_read_and_days_that_do_not_overlap():
    rows = dated_prices()
    for row in rows:
        assert row.price.source.startswith("https://")
        assert row.since < (row.until or row.read) <= row.read <= TODAY
    for row in rows:
        others = [each for each in rows if each.price.model == row.price.model and each is not row]
        assert not any(each.since <= row.since < (each.until or each.read) for each in others)


def test_a_price_holds_from_its_first_day_to_the_one_before_the_next():
    assert price_in_history("openai:gpt-3.5-turbo", date(2023, 6, 12)).price.rates.input == 2_000_000
    assert price_in_history("openai:gpt-3.5-turbo", date(2023, 6, 13)).price.rates.input == 1_500_000
    assert price_in_history("openai:gpt-3.5-turbo", date(2023, 11, 6)) is None
    assert price_in_history("openai:gpt-4", date(2023, 5, 7)) is None


def test_a_model_has_no_price_before_it_existed_though_the_package_gives_one():
    before = datetime(2023, 4, 1, tzinfo=UTC)
    theirs = genai_prices.calc_price(
        genai_prices.Usage(input_tokens=1_000), "gpt-4o", provider_id="openai", genai_request_timestamp=before
    )
    assert theirs.total_price > 0
    with pytest.raises(UnknownPriceError, match="no price as of 2023-04-01 is known for openai:gpt-4o"):
        BOOK.price("openai:gpt-4o", as_of=before.date())


def test_a_published_price_with_a_first_day_is_known_from_that_day_only():
    checked = 0
    for provider, model in published():
        starts = [each.constraint for each in model.prices] if isinstance(model.prices, list) else []
        dated = [each.start_date for each in starts if isinstance(each, StartDateConstraint) and each.start_date < TODAY]
        if not dated:
            continue
        try:
            published_price(f"{provider}:{model.id}", dated[0], must_be_dated=True)
        except UnknownPriceError:
            continue  # empty, or by another unit than tokens
        with pytest.raises(UnknownPriceError, match="as of"):
            published_price(f"{provider}:{model.id}", min(dated) - timedelta(days=1), must_be_dated=True)
        checked += 1
    assert checked > 50


def test_today_is_as_now_or_dearer_at_another_hour():
    for model in ("openai:gpt-4o", "anthropic:claude-sonnet-4-5", "deepseek:deepseek-chat"):
        assert BOOK.price(model, as_of=TODAY).rates.input >= BOOK.price(model).rates.input


def test_every_empty_price_is_unknown_and_not_zero():
    empty = [
        f"{provider}:{model.id}"
        for provider, model in published()
        if not any(value is not None for value in vars(model.get_prices(datetime.now(UTC))).values())
    ]
    assert len(empty) >= 100
    for model in empty:
        if model.partition(":")[0] != "ollama":
            with pytest.raises(UnknownPriceError):
                BOOK.price(model)


def test_no_published_model_is_free_unless_it_is_declared():
    for provider, model in published():
        try:
            price = published_price(f"{provider}:{model.id}", datetime.now(UTC))
        except UnknownPriceError:
            continue
        assert not price.is_free, model.id


def test_the_batch_price_is_half_and_a_misspelt_one_is_not_taken_silently():
    usage = genai_prices.Usage(input_tokens=100_000, output_tokens=1_000)
    misspelt = genai_prices.calc_price(usage, "gpt-5", provider_id="openai", price_context={"service_tier": "batch"})
    assert misspelt.total_price == Decimal("0.135")
    assert usd(BOOK.price("openai:gpt-5", variant="batch"), 100_000, 1_000) == Decimal("0.0675")
    assert BOOK.price("openai:gpt-5", variant="batch").source.endswith(", batch")
    with pytest.raises(UnknownPriceError, match="no priority price"):
        BOOK.price("openai:gpt-3.5-turbo", variant="priority")
    with pytest.raises(UnknownPriceError, match="no batch price") as refused:
        BOOK.price("openai:gpt-4-32k", variant="batch")
    assert "batch_output_usd_per_million" in refused.value.hint


def test_a_variant_is_not_known_before_it_was():
    with pytest.raises(UnknownPriceError):
        BOOK.price("openai:gpt-5", variant="batch", as_of=date(2026, 1, 1))


def test_negotiated_rates_win_on_every_day_and_have_a_batch_price_only_where_one_is_declared():
    mine = declared_price("openai:gpt-4", input_usd_per_million=Decimal(1), output_usd_per_million=Decimal(2))
    half = declared_price("openai:gpt-4", input_usd_per_million=Decimal("0.5"), output_usd_per_million=Decimal(1))
    book = PriceBook({"openai:gpt-4": mine}, declared_batch={"openai:gpt-4": half})
    assert book.price("openai:gpt-4", as_of=MAY_2023) is mine
    assert book.price("openai:gpt-4", as_of=date(1999, 1, 1)) is mine
    assert book.price("openai:gpt-4", variant="batch") is half
    with pytest.raises(UnknownPriceError, match="flex"):
        book.price("openai:gpt-4", variant="flex")
    with pytest.raises(UnknownPriceError, match="batch"):
        PriceBook({"openai:gpt-4": mine}).price("openai:gpt-4", variant="batch")


def test_negotiated_rates_of_cached_input_are_charged(tmp_path):
    from llmapp.bootstrap.models import price_book
    from llmapp.config import load_settings

    (tmp_path / "llmapp.toml").write_text(
        '[prices."openai:gpt-4o"]\ninput_usd_per_million = 2\noutput_usd_per_million = 8\n'
        "cached_input_usd_per_million = 0.5\ncache_write_usd_per_million = 3\nbatch_input_usd_per_million = 1\n"
        "batch_output_usd_per_million = 4\n",
        encoding="utf-8",
    )
    book = price_book(load_settings(tmp_path))
    price = book.price("openai:gpt-4o")
    assert usd(price, 1_000_000, 0, cache_read_tokens=400_000, cache_write_tokens=100_000) == Decimal("1.5")
    assert usd(book.price("openai:gpt-4o", variant="batch"), 1_000_000, 1_000_000) == 5


def test_our_integers_are_the_packages_decimals_over_all_models():
    usage = Usage(123_457, 6_789, cache_read_tokens=23_456)
    theirs = genai_prices.Usage(input_tokens=123_457, output_tokens=6_789, cache_read_tokens=23_456)
    compared = 0
    for provider, model in published():
        try:
            price = published_price(f"{provider}:{model.id}", datetime.now(UTC))
            ours = price.cost_nano_usd(usage)
        except UnknownPriceError:
            continue
        standard = model.get_prices(datetime.now(UTC))
        fields = {name for name, value in vars(standard).items() if value is not None}
        if not fields <= {"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok"}:
            continue
        exact = standard.calc_price(theirs)["total_price"] * 10**9
        assert exact - 1 <= ours <= exact + 1, model.id
        compared += 1
    assert compared > 1_000
