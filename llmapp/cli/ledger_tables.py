"""How spending, limits and invoices look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmapp.cli.ledger_shapes import usd

if TYPE_CHECKING:
    from llmapp.costs.ledger.reports import Total
    from llmapp.costs.limits import Limit
    from llmapp.costs.reconciling import Day
    from llmapp.costs.records import Balance

_MOST_ROWS = 40
_NEARLY = 0.8
_BAR_CHARS = 12


def print_totals(console: Console, totals: Sequence[Total], *, by: str, since: str, until: str) -> None:
    """Print what was spent, a row for each name, and the sum: of the calls, which may stand with several groups."""
    days = since if until >= "9999" else f"{since} to {until}"
    if not totals:
        console.print(f"nothing was called since {since} (UTC)")
        return
    table = _table(f"{by}", "calls", "input", "output", "spent", title=f"spent since {days} (UTC), by {by}")
    for total in totals[:_MOST_ROWS]:
        numbers = (f"{total.calls:,}", f"{total.usage.input_tokens:,}", f"{total.usage.output_tokens:,}")
        table.add_row(Text(total.name), *numbers, _dollars(total.posted_nano_usd))
    if by != "group":
        table.add_section()
        calls, spent = sum(total.calls for total in totals), sum(total.posted_nano_usd for total in totals)
        table.add_row(Text("all", style="bold"), f"{calls:,}", "", "", Text(_dollars(spent), style="bold"))
    console.print(table)
    _note(console, len(totals) > _MOST_ROWS, f"{len(totals):,} in all; --json has every one")
    presumed = sum(total.presumed_calls for total in totals)
    _note(console, presumed, f"{presumed:,} calls are charged at their hold: what they took is not known")
    overage = sum(total.overage_nano_usd for total in totals)
    _note(console, overage, f"{_dollars(overage)} was charged beyond what was held")


def print_balances(console: Console, balances: Sequence[Balance]) -> None:
    """Print how everybody stands who has a limit and has spent something."""
    limited = [balance for balance in balances if balance.limit.nano_usd is not None]
    if not limited:
        return
    table = _table("budget", "spent", "held", "limit", "", title="limits")
    for balance in limited[:_MOST_ROWS]:
        limit = balance.limit.nano_usd or 0
        share = (balance.posted_nano_usd + balance.held_nano_usd) / limit if limit else 1.0
        held = _dollars(balance.held_nano_usd) if balance.held_nano_usd else ""
        table.add_row(Text(balance.budget), _dollars(balance.posted_nano_usd), held, _dollars(limit), _bar(share))
    console.print(table)


def print_limits(console: Console, of_file: Sequence[Limit], set_here: Sequence[Limit]) -> None:
    """Print all limits, and where each was set."""
    if not of_file and not set_here:
        console.print("no limits: llmapp costs budgets set, or [budgets] in llmapp.toml")
        return
    table = _table("scope", "window", "limit", "from", title="limits that are set")
    for place, limits in (("llmapp.toml", of_file), ("set here", set_here)):
        for limit in limits:
            zone = "" if limit.span.timezone == "UTC" else f" {limit.span.timezone}"
            name = "" if limit.scope == "application" else f":{limit.name}"
            table.add_row(f"{limit.scope}{name}", f"{limit.span.per}{zone}", _dollars(limit.nano_usd or 0), place)
    console.print(table)


def print_reconciled(console: Console, days: Sequence[Day]) -> None:
    """Print what was billed and what was posted, day by day."""
    table = _table("day (UTC)", "billed", "posted", "off by", "", title="billed and posted")
    for day in days:
        style = "red" if day.is_short else "dim" if day.verdict == "agrees" else "yellow"
        off = _dollars(abs(day.off_nano_usd))
        sign = "-" if day.off_nano_usd < 0 else "+" if day.off_nano_usd else ""
        words = Text(day.verdict, style=style)
        table.add_row(day.day, _dollars(day.billed_nano_usd), _dollars(day.posted_nano_usd), f"{sign}{off}", words)
    console.print(table)


def _table(*columns: str, title: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), title=title, title_justify="left", title_style="bold")
    table.add_column(columns[0], overflow="fold")
    for name in columns[1:]:
        table.add_column(name, justify="right")
    return table


def _bar(share: float) -> Text:
    full = min(_BAR_CHARS, round(share * _BAR_CHARS))
    style = "red" if share >= 1 else "yellow" if share >= _NEARLY else "green"
    return Text("█" * full, style=style) + Text("░" * (_BAR_CHARS - full), style="dim") + Text(f" {share:4.0%}")


def _dollars(nano: int) -> str:
    amount = usd(nano)
    return f"${amount:,.2f}" if amount >= 100 or not nano else f"${amount:,.6f}"  # noqa: PLR2004


def _note(console: Console, is_so: object, words: str) -> None:
    if is_so:
        console.print(Text(f"  {words}", style="yellow"))
