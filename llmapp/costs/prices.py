"""What a token costs: integer pico-USD per token, and what a call costs or can cost at most.

One USD per million tokens is 1,000,000 pico-USD per token, so every published rate is a whole number here. A charge is
rounded up to a whole nano-USD once, over the sum of its parts. A rerank API may bill searches instead; that fee is declared
only. Not known here: other fees that are not by token (requests, audio). Prices are found by `price_book`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

from llmapp.errors import UnknownPriceError
from llmapp.types import Usage

_PICO_PER_NANO = 1_000
_PICO_PER_USD_PER_MILLION = 1_000_000
_NANO_PER_USD_PER_THOUSAND = 1_000_000


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

    @property
    def dearest_input(self) -> int:
        """The most that a token of input can cost, cached or not."""
        most = self.input
        if self.cached_input is not None and self.cached_input > most:
            most = self.cached_input
        if self.cache_write is not None and self.cache_write > most:
            most = self.cache_write
        return most


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
    """Where the figures are from: ``llmapp.toml``, ``declared free``, the package and its version, or a page and its date."""
    tiers: tuple[Tier, ...] = ()
    """Rates of long requests, shortest first."""
    search_nano_usd: int = 0
    """Fee of a search of a rerank API, besides its tokens. Nano-USD."""

    @property
    def is_free(self) -> bool:
        """Whether it is known that no use of the model can cost anything."""
        every = (self.rates, *(tier.rates for tier in self.tiers))
        return not self.search_nano_usd and all(rates.output == 0 and not rates.dearest_input for rates in every)

    def bound_nano_usd(self, *, input_tokens: int, output_tokens: int, searches: int = 0) -> int:
        """The most that a call of at most so many tokens and searches can cost: no cache discount, dearest tier in reach.

        Raises:
            UnknownPriceError: Output is asked for, and has no price.
        """
        dearest_input = self.rates.dearest_input
        dearest_output = self._output(self.rates) if output_tokens else 0
        for tier in self.tiers:
            if input_tokens > tier.above_input_tokens:
                dearest_input = max(dearest_input, tier.rates.dearest_input)
                dearest_output = max(dearest_output, self._output(tier.rates)) if output_tokens else 0
        return _nano(input_tokens * dearest_input + output_tokens * dearest_output) + searches * self.search_nano_usd

    def cost_nano_usd(self, usage: Usage, *, searches: int = 0) -> int:
        """What a call has cost.

        Raises:
            UnknownPriceError: There was output, and it has no price.
        """
        rates = self.rates_for(usage.input_tokens) if self.tiers else self.rates
        pico = usage.input_tokens * rates.input
        if usage.cache_read_tokens or usage.cache_write_tokens:
            plain = max(0, usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens)
            pico = plain * rates.input
            pico += usage.cache_read_tokens * _or(rates.cached_input, rates.input)
            pico += usage.cache_write_tokens * _or(rates.cache_write, rates.input)
        if usage.output_tokens:
            pico += usage.output_tokens * self._output(rates)
        return _nano(pico) + searches * self.search_nano_usd

    def rates_for(self, input_tokens: int) -> Rates:
        """The rates of a request with so much input: a long one costs those of its tier, as a whole."""
        rates = self.rates
        for tier in self.tiers:
            if input_tokens > tier.above_input_tokens:
                rates = tier.rates
        return rates

    def _output(self, rates: Rates) -> int:
        if rates.output is None:
            raise UnknownPriceError(self.model, "output price")
        return rates.output


def declared_price(
    model: str,
    *,
    input_usd_per_million: Decimal,
    output_usd_per_million: Decimal | None = None,
    cached_input_usd_per_million: Decimal | None = None,
    cache_write_usd_per_million: Decimal | None = None,
    usd_per_thousand_searches: Decimal = Decimal(0),
    source: str = "llmapp.toml",
) -> Price:
    """A price in USD per million tokens, as someone has written it down; output is None for a model that only reads."""
    rates = Rates(
        pico_usd(input_usd_per_million),
        *(
            None if each is None else pico_usd(each)
            for each in (cached_input_usd_per_million, cache_write_usd_per_million, output_usd_per_million)
        ),
    )
    search_nano_usd = int((usd_per_thousand_searches * _NANO_PER_USD_PER_THOUSAND).to_integral_value(ROUND_CEILING))
    return Price(model, rates, source, search_nano_usd=search_nano_usd)


def free_price(model: str) -> Price:
    """The price of a model that runs on the operator's own machines."""
    return Price(model, Rates(0, 0, 0, 0), "declared free")


def pico_usd(usd_per_million: Decimal) -> int:
    """Whole pico-USD per token; six decimals first, which takes off float artefacts such as 0.18000000000000002."""
    rounded = Decimal(usd_per_million).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    if rounded < 0:
        raise ValueError("a price is not negative")
    return int(rounded * _PICO_PER_USD_PER_MILLION)


def _nano(pico: int) -> int:
    return -(-pico // _PICO_PER_NANO)


def _or(rate: int | None, otherwise: int) -> int:
    return otherwise if rate is None else rate
