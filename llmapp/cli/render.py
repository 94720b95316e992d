"""How answers, hits and the state of an application look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from llmapp.app.summaries.result import Summary, SummaryPlan
    from llmapp.application import Status
    from llmapp.catalog.records import FieldRecord
    from llmapp.types import Answer, Citation, Found, PromptReport

_QUOTE_CHARS = 280


def print_answer(console: Console, answer: Answer, *, question: str | None = None) -> None:
    """Print an answer with its citations, and what it took: tokens, money, time."""
    if question:
        console.print(Text(f"  {question}", style="bold"))
    _print_cited(console, answer.text, answer.citations)
    if answer.queries:
        console.print(Text(f"  searched for: {' · '.join(answer.queries)}", style="dim"))
    for note in answer.notes:
        console.print(Text(f"  {note}", style="yellow"))
    console.print(Text(f"  {report_line(answer.report)}", style="dim"))
    console.print(Text(f"  cost ${answer.cost_usd:.6f} · {answer.timings_s['total']:.2f} s · {answer.model}", style="dim"))


def print_summary(console: Console, summary: Summary) -> None:
    """Print a summary with its citations, and what it took."""
    _print_cited(console, summary.text, summary.citations)
    for note in summary.notes:
        console.print(Text(f"  {note}", style="yellow"))
    rounds = f" in {summary.rounds} round{'s' * (summary.rounds != 1)} of notes" if summary.rounds else ""
    tokens = f"{summary.usage.input_tokens:,} tokens read, {summary.usage.output_tokens:,} written"
    console.print(
        Text(f"  {_many(summary.documents, 'document')} · {_asked(len(summary.requests))}{rounds} · {tokens}", style="dim")
    )
    console.print(
        Text(f"  cost ${summary.cost_usd:.6f} · {summary.timings_s['total']:.2f} s · {summary.model}", style="dim")
    )


def plan_line(plan: SummaryPlan) -> str:
    """What a summary takes, in a line."""
    about, cents = "" if plan.is_exact else "about ", ceil(100 * plan.most_usd)
    more = f", with rounds of notes at most {plan.most_requests:,}" if plan.most_requests > plan.requests else ""
    cost = f"costs at most {about}${cents / 100:.2f}" if cents else "costs nothing"
    read = f"{_many(plan.documents, 'document')}, {about}{plan.tokens:,} tokens, {_asked(plan.requests)}"
    return f"{read}{more}; asking {plan.model} {cost}"


def report_line(report: PromptReport) -> str:
    """The token report of a prompt in a line."""
    about = "" if report.is_exact else "about "
    return (
        f"prompt {about}{report.used_tokens:,} of {report.budget_tokens:,} tokens, "
        f"{report.kept} sources kept, {report.dropped} dropped"
    )


def place(citation: Citation) -> str:
    """Where in the document: the page, else the heading."""
    return f"page {citation.page}" if citation.page is not None else citation.heading


def print_found(console: Console, found: Found) -> None:
    """Print hits as a table, best first, what was left out, and what it has cost where it cost something."""
    table = Table(box=box.SIMPLE_HEAD, show_lines=False)
    table.add_column("#", justify="right", style="cyan")
    table.add_column("score", justify="right")
    table.add_column("document", overflow="fold")
    table.add_column("text", ratio=1)
    for hit in found.hits:
        where = f" · page {hit.chunk.page}" if hit.chunk.page is not None else ""
        text = " ".join(hit.chunk.text.split())
        table.add_row(str(hit.rank), f"{hit.score:.4f}", Text(hit.chunk.uri + where), Text(_shorten(text, _QUOTE_CHARS)))
    console.print(table if found.hits else Text("Nothing found.", style="yellow"))
    for note in found.notes:
        console.print(Text(f"  {note}", style="yellow"))
    if found.cost_usd:
        console.print(Text(f"  cost ${found.cost_usd:.6f}", style="dim"))


def print_fields(console: Console, fields: Sequence[FieldRecord]) -> None:
    """Print the fields that a filter may name, and how many documents have them."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("field", style="cyan", overflow="fold")
    table.add_column("documents by kind of value")
    for field in fields:
        table.add_row(Text(field.name), ", ".join(f"{kind} {count:,}" for kind, count in field.documents.items()))
    console.print(table if fields else Text("There are no documents yet.", style="yellow"))


def print_status(console: Console, status: Status) -> None:
    """Print what the application holds and whether all of it works."""
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="cyan")
    table.add_column()
    for name, value in status.rows():
        table.add_row(name, Text(value, style="yellow" if name == "degraded" else ""))
    console.print(table)


def _print_cited(console: Console, text: str, citations: Iterable[Citation]) -> None:
    parts = [Text(text), *map(_citation, citations)]
    console.print(Panel(Group(*parts), border_style="cyan", box=box.ROUNDED, padding=(0, 1)))


def _asked(requests: int) -> str:
    return _many(requests, "request")


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _citation(citation: Citation) -> Text:
    where = place(citation)
    line = Text(f"\n[{citation.number}] ", style="cyan")
    line.append(citation.title, style="bold")
    line.append(f" · {where}" if where else "", style="green")
    line.append(f"  {citation.uri}\n", style="dim")
    line.append(f"    “{_shorten(' '.join(citation.quote.split()), _QUOTE_CHARS)}”", style="italic")
    return line


def _shorten(text: str, limit_chars: int) -> str:
    return text if len(text) <= limit_chars else text[: limit_chars - 1].rstrip() + "…"
