"""Prices of `genai-prices`, the one door to it for money: its traps are closed here.

An empty price is unknown and not zero; one that is published as zero is unknown too, for free is what the operator declares. A
variant (batch, flex, priority) that a model does not list is unknown and not the standard price. An undated price is one of
today and of no earlier day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from llmapp.costs.prices import Price, Rates, Tier, pico_usd
from llmapp.errors import UnknownPriceError

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

Variant: TypeAlias = Literal["standard", "batch", "flex", "priority"]

_CONTEXTS = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
"""How `genai-prices` 0.2 writes them; ``service_tier = batch`` would be the standard price, without a word."""

_PROVIDER_IDS = {
    "azure_openai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "google_genai": "google",
    "google_vertexai": "google",
    "mistralai": "mistral",
    "xai": "x-ai",
}
"""Names of LangChain's providers where `genai-prices` has another one."""

_FEES_BY_CALL = frozenset({"requests_kcount"})


def published_price(
    model: str, when: date | datetime, variant: Variant = "standard", *, must_be_dated: bool = False
) -> Price:
    """The published price of a model.

    Args:
        model: Its name with the provider, e.g. ``openai:gpt-4o``.
        when: A moment, or a day (UTC), whose dearest hour counts.
        variant: The endpoint or service tier.
        must_be_dated: Whether a price without a date from which it holds is refused.

    Raises:
        UnknownPriceError: There is no such price.
    """
    found = _find(model)
    prices = (_price_at(model, found, moment, variant, must_be_dated=must_be_dated) for moment in _moments(found, when))
    return max(prices, key=lambda price: (price.rates.dearest_input, price.rates.output or 0))


def _find(model: str) -> ModelInfo:
    from genai_prices.data_snapshot import get_snapshot  # 0.2 s that a free model must not pay

    provider, _, name = model.partition(":")
    provider_id = _PROVIDER_IDS.get(provider, provider)
    snapshot = get_snapshot()
    known = next((item for item in snapshot.providers if item.id == provider_id), None)
    found = known.find_model(name, all_providers=snapshot.providers) if known and name else None
    if found is None:
        raise UnknownPriceError(model)
    return found


def _moments(found: ModelInfo, when: date | datetime) -> list[datetime]:
    """The moment; or of a day its beginning, or every hour of it where the price depends on the hour."""
    from genai_prices.types import ModelPrice, TimeOfDateConstraint

    if isinstance(when, datetime):
        return [when]
    midnight = datetime.combine(when, time(), UTC)
    constraints = () if isinstance(found.prices, ModelPrice) else [each.constraint for each in found.prices]
    is_hourly = any(isinstance(each, TimeOfDateConstraint) for each in constraints)
    return [midnight + timedelta(hours=hour) for hour in range(24 if is_hourly else 1)]


def _price_at(model: str, found: ModelInfo, when: datetime, variant: Variant, *, must_be_dated: bool) -> Price:
    if must_be_dated and not _is_dated(found, when):
        raise UnknownPriceError(model, f"price as of {when:%Y-%m-%d}")
    context = _CONTEXTS.get(variant)
    if context is not None and not _has_variant(found, context, when):
        raise UnknownPriceError(model, f"{variant} price")
    published = found.get_prices(when, context)
    rates = _rates(published, 0)
    if rates is None or not (rates.dearest_input or rates.output) or _has_fee_by_call(published):
        raise UnknownPriceError(model)
    tiers = tuple(
        Tier(start, longer) for start in _tier_starts(published) if (longer := _rates(published, start + 1)) is not None
    )
    return Price(model, rates, _source() if context is None else f"{_source()}, {variant}", tiers=tiers)


@cache
def _source() -> str:
    return f"genai-prices {version('genai-prices')}"


def _is_dated(found: ModelInfo, when: datetime) -> bool:
    from genai_prices.types import ModelPrice, StartDateConstraint

    if isinstance(found.prices, ModelPrice):
        return False
    in_force = (each for each in reversed(found.prices) if each.constraint is None or each.constraint.active(when))
    first = next(in_force, None)
    return first is not None and isinstance(first.constraint, StartDateConstraint)


def _has_variant(found: ModelInfo, context: dict[str, str], when: datetime) -> bool:
    return any(
        variant.when == context
        and (variant.constraint is None or variant.constraint.active(when))
        and getattr(variant.prices, "input_mtok", None) is not None
        for variant in found.price_variants or ()
    )


def _has_fee_by_call(published: ModelPrice) -> bool:
    return any(getattr(published, fee, None) is not None for fee in _FEES_BY_CALL)


def _rates(published: ModelPrice, input_tokens: int) -> Rates | None:
    """Rates of a request of that length; None when nothing is published for text, which is not the same as free."""

    def dearest(*keys: str) -> int | None:
        found = [pico_usd(_at(value, input_tokens)) for key in keys if (value := getattr(published, key, None)) is not None]
        return max(found) if found else None

    paid = dearest("input_mtok")
    if paid is None:
        return None
    return Rates(
        paid,
        dearest("cache_read_mtok"),
        dearest("cache_write_mtok", "cache_write_1h_mtok"),
        dearest("output_mtok", "output_reasoning_mtok"),
    )


def _tier_starts(published: ModelPrice) -> list[int]:
    return sorted({tier.start for value in vars(published).values() for tier in getattr(value, "tiers", ())})


def _at(value: Any, input_tokens: int) -> Decimal:
    price: Decimal = getattr(value, "base", value)
    for tier in getattr(value, "tiers", ()):
        if input_tokens > tier.start:
            price = tier.price
    return price
