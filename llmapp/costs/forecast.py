"""What a workload costs at scale: a prediction, a thousand, a day, a month. Exact fractions of USD, so nothing overflows.

    prediction = (1 + retries) x ((1 - batch) x standard price + batch x batch price), of the tokens with their cached share

A month has 30.4 days. It is an expectation for planning; what the guard holds and charges is whole nano-USD, rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import ROUND_CEILING, Decimal, localcontext
from fractions import Fraction

from llmapp.costs.price_history import price_in_history
from llmapp.costs.prices import Price, Rates
from llmapp.errors import InvalidRequestError, UnknownPriceError
from llmapp.types import Usage

DAYS_PER_MONTH = Fraction(304, 10)
"""A twelfth of 365 days, rounded, as published forecasts have it."""
_PICO_PER_USD = 10**12
_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Workload:
    """What is asked, and how."""

    requests_per_day: int
    cached_share: Fraction | None = None
    """Part of the input that the provider has cached; None takes it as the usage has it."""
    retry_share: Fraction = Fraction(0)
    """Further attempts for each request, each at its full price."""
    batch_share: Fraction = Fraction(0)
    """Part of the requests that go to the batch endpoint."""

    def __post_init__(self) -> None:
        """See that the shares are shares."""
        shares = (self.cached_share or Fraction(0), self.batch_share)
        if self.requests_per_day < 0 or not all(0 <= each <= 1 for each in shares) or self.retry_share < 0:
            raise InvalidRequestError(
                "requests and retries are not negative, and a share is from 0 to 1", hint="see llmapp costs forecast --help"
            )


@dataclass(frozen=True, slots=True)
class Parts:
    """What a prediction costs, by what is paid for. USD."""

    input: Fraction
    cached_input: Fraction
    """Read from the provider's cache, or written to it."""
    output: Fraction
    retries: Fraction

    @property
    def total(self) -> Fraction:
        """All of it."""
        return self.input + self.cached_input + self.output + self.retries


@dataclass(frozen=True, slots=True)
class Column:
    """One kind of request."""

    name: str
    """``given``; or ``mean``, ``p50`` and ``p95`` of what was recorded, by cost."""
    parts: Parts
    usage: Usage
    """Tokens of the request; of ``mean`` rounded."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a workload costs on a model."""

    model: str
    as_of: date
    sources: tuple[str, ...]
    """Where the prices are from, the standard one first."""
    workload: Workload
    columns: tuple[Column, ...]
    notes: tuple[str, ...]

    def daily_usd(self, column: Column) -> Fraction:
        """What all requests of a day cost."""
        return column.parts.total * self.workload.requests_per_day

    def monthly_usd(self, column: Column) -> Fraction:
        """What all requests of a month cost."""
        return self.daily_usd(column) * DAYS_PER_MONTH


def forecast(price: Price, batch: Price | None, usages: Sequence[Usage], workload: Workload, *, as_of: date) -> Forecast:
    """What a workload costs.

    Args:
        price: The standard price of the model on that day.
        batch: The price of its batch endpoint; needed where a part goes there.
        usages: One for a request as it is planned; many for requests as they were recorded.
        workload: How often, and how.
        as_of: The day of the prices.

    Raises:
        UnknownPriceError: Output or the batch endpoint has no price.
    """
    if not usages or any(min(each.input_tokens, each.output_tokens) < 0 for each in usages):
        raise InvalidRequestError("a forecast needs requests whose tokens are not negative", hint="give --input-tokens")
    if workload.batch_share and batch is None:
        raise UnknownPriceError(price.model, "batch price")
    costed = sorted(((_parts(price, batch, each, workload), each) for each in usages), key=lambda pair: pair[0].total)
    columns = [Column("given", *costed[0])] if len(costed) == 1 else [
        Column("mean", _mean([parts for parts, _ in costed]), _mean_usage(usages)),
        *(Column(f"p{percent}", *costed[(len(costed) * percent + 99) // 100 - 1]) for percent in (50, 95)),
    ]  # fmt: skip
    found = price_in_history(price.model, as_of)
    notes = (found.note,) if found is not None and found.price == price and found.note else ()
    sources = (price.source, *((batch.source,) if batch is not None and workload.batch_share else ()))
    return Forecast(price.model, as_of, sources, workload, tuple(columns), notes)


def decimal_usd(amount: Fraction, places: int = 9) -> Decimal:
    """An amount with so many decimals, rounded up as the guard rounds."""
    with localcontext() as context:
        context.prec = _DIGITS
        exact = Decimal(amount.numerator) / Decimal(amount.denominator)
        return exact.quantize(Decimal(1).scaleb(-places), ROUND_CEILING)


def _parts(price: Price, batch: Price | None, usage: Usage, workload: Workload) -> Parts:
    standard = _attempt(price, usage, workload)
    share = workload.batch_share
    mixed = standard if not share or batch is None else [
        (1 - share) * one + share * other for one, other in zip(standard, _attempt(batch, usage, workload), strict=True)
    ]  # fmt: skip
    plain, cached, output = mixed
    return Parts(plain, cached, output, workload.retry_share * (plain + cached + output))


def _attempt(price: Price, usage: Usage, workload: Workload) -> list[Fraction]:
    """What plain input, cached input and output of one attempt cost. USD."""
    rates = price.rates_for(usage.input_tokens)
    if usage.output_tokens and rates.output is None:
        raise UnknownPriceError(price.model, "output price")
    read, written = _cached(usage, workload)
    cached = read * _rate(rates.cached_input, rates) + written * _rate(rates.cache_write, rates)
    pico = ((usage.input_tokens - read - written) * rates.input, cached, Fraction(usage.output_tokens * (rates.output or 0)))
    return [Fraction(each) / _PICO_PER_USD for each in pico]


def _cached(usage: Usage, workload: Workload) -> tuple[Fraction, Fraction]:
    """Input that is read from the cache, and that is written to it. Tokens."""
    if workload.cached_share is not None:
        return workload.cached_share * usage.input_tokens, Fraction(0)
    return Fraction(usage.cache_read_tokens), Fraction(usage.cache_write_tokens)


def _rate(rate: int | None, rates: Rates) -> int:
    return rates.input if rate is None else rate


def _mean(parts: Sequence[Parts]) -> Parts:
    return Parts(*(sum((getattr(each, field.name) for each in parts), Fraction()) / len(parts) for field in fields(Parts)))


def _mean_usage(usages: Sequence[Usage]) -> Usage:
    totals = (sum(getattr(each, field.name) for each in usages) for field in fields(Usage))
    return Usage(*(round(Fraction(total, len(usages))) for total in totals))
