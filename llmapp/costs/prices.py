"""What a token costs: integer pico-USD per token, from the operator's declarations first, then from `genai-prices`.

One USD per million tokens is 1,000,000 pico-USD per token, so every published rate is a whole number here. A charge is
rounded up to a whole nano-USD once, over the sum of its parts. A model without a known price is an error; one that is
free is declared so. A rerank API may bill searches instead; that fee is declared only. Not known here: other fees that are
not by token (requests, audio), batch and priority tiers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from llmapp.errors import UnknownPriceError
from llmapp.types import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

_PICO_PER_NANO = 1_000
_PICO_PER_USD_PER_MILLION = 1_000_000
_NANO_PER_USD_PER_THOUSAND = 1_000_000
_FREE_PROVIDERS = frozenset({"extractive", "minilm", "ollama", "sentence-transformers"})

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


@dataclass(frozen=True, slots=True)
class Rates:
    """Pico-USD per token; None where no price is published."""

    input: int
    cached_input: int | None = None
    """Input that the provider had cached; None is charged as `input`."""
    cache_write: int | None = None
    """Input that the provider newly caches, at its longest lifetime; None is charged as `input`."""
    output: int | None = None
    """None for models that only read, such as embedders."""


@dataclass(frozen=True, slots=True)
class Tier:
    """The rates of a whole request whose input is longer than `above_input_tokens`."""

    above_input_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one model."""

    model: str
    rates: Rates
    source: str
    """Where the figures are from: ``llmapp.toml``, ``declared free``, or the package and its version."""
    tiers: tuple[Tier, ...] = ()
    """Rates of long requests, shortest first."""
    search_nano_usd: int = 0
    """Fee of a search of a rerank API, besides its tokens. Nano-USD."""

    @property
    def is_free(self) -> bool:
        """Whether it is known that no use of the model can cost anything."""
        every = (self.rates, *(tier.rates for tier in self.tiers))
        return not self.search_nano_usd and all(rates.output == 0 and not _highest(rates) for rates in every)

    def bound_nano_usd(self, *, input_tokens: int, output_tokens: int, searches: int = 0) -> int:
        """The most that a call of at most so many tokens and searches can cost: no cache discount, dearest tier in reach.

        Raises:
            UnknownPriceError: Output is asked for, and has no price.
        """
        reach = [self.rates, *(tier.rates for tier in self.tiers if input_tokens > tier.above_input_tokens)]
        dearest_input = max(max(rates.input, rates.cached_input or 0, rates.cache_write or 0) for rates in reach)
        dearest_output = max(self._output(rates) for rates in reach) if output_tokens else 0
        return _nano(input_tokens * dearest_input + output_tokens * dearest_output) + searches * self.search_nano_usd

    def cost_nano_usd(self, usage: Usage, *, searches: int = 0) -> int:
        """What a call has cost.

        Raises:
            UnknownPriceError: There was output, and it has no price.
        """
        rates = self.rates
        for tier in self.tiers:
            if usage.input_tokens > tier.above_input_tokens:
                rates = tier.rates
        plain = max(0, usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens)
        pico = plain * rates.input
        pico += usage.cache_read_tokens * _or(rates.cached_input, rates.input)
        pico += usage.cache_write_tokens * _or(rates.cache_write, rates.input)
        pico += usage.output_tokens * self._output(rates) if usage.output_tokens else 0
        return _nano(pico) + searches * self.search_nano_usd

    def _output(self, rates: Rates) -> int:
        if rates.output is None:
            raise UnknownPriceError(self.model, "output price")
        return rates.output


def declared_price(
    model: str,
    *,
    input_usd_per_million: Decimal,
    output_usd_per_million: Decimal | None = None,
    usd_per_thousand_searches: Decimal = Decimal(0),
) -> Price:
    """A price in USD per million tokens, as the operator writes it down; None for a model that only reads."""
    output = None if output_usd_per_million is None else _pico(output_usd_per_million)
    search_nano_usd = int((usd_per_thousand_searches * _NANO_PER_USD_PER_THOUSAND).to_integral_value(ROUND_CEILING))
    rates = Rates(_pico(input_usd_per_million), output=output)
    return Price(model, rates, "llmapp.toml", search_nano_usd=search_nano_usd)


def free_price(model: str) -> Price:
    """The price of a model that runs on the operator's own machines."""
    return Price(model, Rates(0, 0, 0, 0), "declared free")


class PriceBook:
    """Finds prices by model name, e.g. ``openai:gpt-4o``."""

    def __init__(self, declared: Mapping[str, Price] | None = None, *, local: Collection[str] = ()) -> None:
        """Keep what the operator has declared.

        Args:
            declared: Prices by model, with or without the provider; they win over every other source.
            local: Models that run on the operator's own machines and are free, beside ``extractive`` and ``ollama:*``.
        """
        self._declared = dict(declared or {})
        self._local = frozenset(local)
        self._found: dict[tuple[str, int], Price] = {}
        self._lock = threading.Lock()

    def price(self, model: str) -> Price:
        """The price of a model as of now.

        Raises:
            UnknownPriceError: No price is known; it is never taken as zero.
        """
        provider, _, name = model.partition(":")
        for key in (model, name):
            if key in self._declared:
                return self._declared[key]
        if provider in _FREE_PROVIDERS or not self._local.isdisjoint((model, name)):
            return free_price(model)
        return self._published(provider, name, model)

    def _published(self, provider: str, name: str, model: str) -> Price:
        # Prices change at dates and, with some providers, at hours of the day; so no answer is kept for longer than an hour.
        key = (model, int(time.time() // 3600))
        with self._lock:
            if key not in self._found:
                self._found[key] = _look_up(provider, name, model)
            return self._found[key]


def _look_up(provider: str, name: str, model: str) -> Price:
    from genai_prices.data_snapshot import get_snapshot  # 0.2 s that a free model must not pay

    provider_id = _PROVIDER_IDS.get(provider, provider)
    snapshot = get_snapshot()
    known = next((item for item in snapshot.providers if item.id == provider_id), None)
    found = known.find_model(name, all_providers=snapshot.providers) if known and name else None
    if found is None:
        raise UnknownPriceError(model)
    published = found.get_prices(datetime.now(UTC))
    rates = _rates(published, 0)
    if rates is None or not _highest(rates) or any(getattr(published, fee, None) is not None for fee in _FEES_BY_CALL):
        raise UnknownPriceError(model)  # published as 0 means unknown as well: free is what the operator declares
    tiers = tuple(
        Tier(start, longer) for start in _tier_starts(published) if (longer := _rates(published, start + 1)) is not None
    )
    return Price(model, rates, f"genai-prices {version('genai-prices')}", tiers=tiers)


def _rates(published: ModelPrice, input_tokens: int) -> Rates | None:
    """Rates of a request of that length; None when nothing is published for text, which is not the same as free."""

    def dearest(*keys: str) -> int | None:
        found = [_pico(_at(value, input_tokens)) for key in keys if (value := getattr(published, key, None)) is not None]
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


def _pico(usd_per_million: Decimal) -> int:
    """Whole pico-USD per token; six decimals first, which takes off float artefacts such as 0.18000000000000002."""
    rounded = Decimal(usd_per_million).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    if rounded < 0:
        raise ValueError("a price is not negative")
    return int(rounded * _PICO_PER_USD_PER_MILLION)


def _nano(pico: int) -> int:
    return -(-pico // _PICO_PER_NANO)


def _or(rate: int | None, otherwise: int) -> int:
    return otherwise if rate is None else rate


def _highest(rates: Rates) -> int:
    return max(rates.input, rates.cached_input or 0, rates.cache_write or 0, rates.output or 0)
