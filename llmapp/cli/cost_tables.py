"""How forecasts and comparisons look on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from llmapp.costs.forecast import DAYS_PER_MONTH, Column, Forecast, decimal_usd
from llmapp.costs.in_house import Comparison

_BAR_CELLS = 44
PARTS = (("input", "█", "blue"), ("cached_input", "▓", "cyan"), ("output", "▒", "green"), ("retries", "░", "yellow"))
"""Parts of a price, with their marks: each is told without its colour."""
_TOKENS_PER_MILLION = 10**6
_CENTS = 2
_DIGITS = 4
_LARGE_USD = 100


def money(amount: Fraction) -> str:
    """An amount of USD, rounded up: cents from a hundred dollars on, else all its decimals, or four digits where it has no end."""
    if amount >= _LARGE_USD:
        return f"${decimal_usd(amount, _CENTS):,f}"
    written = decimal_usd(amount)
    if Fraction(written) != amount:
        written = decimal_usd(amount, max(_CENTS, _DIGITS - 1 - written.adjusted()))
    whole, _, decimals = f"{written:f}".partition(".")
    return f"${whole}.{decimals.rstrip('0').ljust(_CENTS, '0')}"


def print_forecast(console: Console, found: Forecast, once: int | None) -> None:
    """Print what a workload costs, of what that is made, and where the prices are from."""
    _print_head(console, found)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for column in found.columns:
        table.add_column(title(column), justify="right", no_wrap=True)
    for name, amounts in _rows(found, once):
        table.add_row(f" {name}", *map(money, amounts))
    console.print(table)
    for column in found.columns:
        console.print(_bar(column))
    console.print(_dim("  ".join(f"{mark} {name.replace('_', ' ')}" for name, mark, _ in PARTS)))
    for note in found.notes:
        console.print(Padding(Text(note, style="yellow"), (0, 0, 0, 2)))


def print_comparison(console: Console, api: Forecast, found: Comparison) -> None:
    """Print from which volume GPUs of one's own are cheaper, and what both cost around it."""
    _print_head(console, api)
    usage = api.columns[0].usage
    per_million = Fraction(_TOKENS_PER_MILLION, usage.input_tokens + usage.output_tokens)
    console.print(_dim(f"API: {money(found.api_usd)} a request, {money(found.api_usd * per_million)} a million tokens"))
    console.print(
        _dim(
            f"in-house: {money(found.gpu_usd)} a GPU and month, {found.capacity:,} requests each; at full load "
            f"{money(found.full_load_usd)} a request, {money(found.full_load_usd * per_million)} a million tokens; "
            f"operations {money(found.operations_usd)} a month"
        )
    )
    console.print(Padding(_verdict(found), (1, 0, 0, 2)))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("requests a month", "API", "GPUs", "in-house", "cheaper"):
        table.add_column(name, justify="right", no_wrap=True)
    for volume in volumes(api, found):
        api_usd, own = found.api_usd * volume, found.own_usd(volume)
        cheaper = Text("API", style="yellow") if api_usd < own else Text("in-house", style="green")
        table.add_row(f"{volume:,}", money(api_usd), f"{found.gpus(volume):,}", money(own), cheaper)
    console.print(table)


def verdict(found: Comparison) -> str:
    """From which volume GPUs of one's own are cheaper, in a sentence or two."""
    first, always = found.break_even(), found.always_from()
    if first is None:
        return (
            f"never: a GPU at full load costs {money(found.full_load_usd)} a request, the API {money(found.api_usd)}; "
            "more volume needs more GPUs"
        )
    text = f"in-house from {first:,} requests a month on ({_daily(first)} a day, GPUs: {found.gpus(first):,})"
    if always is not None and always > first:
        text += f"; beyond a step the API can be cheaper again, up to {always:,} requests a month"
    return text


def title(column: Column) -> str:
    """What a column is of."""
    usage = column.usage
    tokens = f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"
    return tokens if column.name == "given" else f"{column.name}\n{tokens}"


def volumes(api: Forecast, found: Comparison) -> list[int]:
    """Volumes around what matters, in requests a month: the one that is planned, a GPU's, and the break-even."""
    planned = round(api.workload.requests_per_day * DAYS_PER_MONTH)
    first = found.break_even()
    around = [found.capacity, 10 * found.capacity] if first is None else [first // 2, first, 2 * first]
    return sorted({volume for volume in (*around, planned) if volume > 0})


def _print_head(console: Console, found: Forecast) -> None:
    workload = found.workload
    console.print(Text(f"  {found.model}", style="bold"))
    console.print(_dim(f"prices as of {found.as_of}: {'; '.join(found.sources)}"))
    shares = [
        f"{float(share):.0%} {name}"
        for share, name in (
            (workload.cached_share or 0, "of the input cached"),
            (workload.retry_share, "retries"),
            (workload.batch_share, "in batches"),
        )
        if share
    ]
    if shares:
        console.print(_dim(", ".join(shares)))


def _rows(found: Forecast, once: int | None) -> Iterator[tuple[str, list[Fraction]]]:
    requests = found.workload.requests_per_day
    yield "a prediction", [column.parts.total for column in found.columns]
    yield "1,000 predictions", [column.parts.total * 1_000 for column in found.columns]
    if once is not None:
        yield f"{once:,} predictions, once", [column.parts.total * once for column in found.columns]
    yield f"a day at {requests:,}", [found.daily_usd(column) for column in found.columns]
    yield "a month of 30.4 days", [found.monthly_usd(column) for column in found.columns]


def _bar(column: Column) -> Padding:
    total, bar, end, drawn = column.parts.total, Text(), Fraction(0), 0
    for name, mark, colour in PARTS:
        end += getattr(column.parts, name)
        cells = round(_BAR_CELLS * end / total) - drawn if total else 0
        bar.append(mark * cells, style=colour)
        drawn += cells
    return Padding(bar.append("" if column.name == "given" else f"  {column.name}", style="dim"), (0, 0, 0, 2))


def _verdict(found: Comparison) -> Text:
    return Text(verdict(found), style="bold red" if found.break_even() is None else "bold green")


def _daily(requests_per_month: int) -> str:
    return f"{round(requests_per_month / DAYS_PER_MONTH):,}"


def _dim(text: str) -> Padding:
    return Padding(Text(text, style="dim"), (0, 0, 0, 2))
