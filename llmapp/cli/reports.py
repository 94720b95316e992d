"""How syncs, plans, quarantine and purges look on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from llmapp.catalog.records import QuarantineRecord, RunRecord
    from llmapp.ingestion.planning import Action, IngestPlan
    from llmapp.ingestion.report import IngestReport
    from llmapp.purge import PurgeReport

_DONE = {
    "added": "added",
    "changed": "changed",
    "access_changed": "access changed",
    "deleted": "deleted",
    "unchanged": "unchanged",
    "upgraded": "cut and embedded anew",
    "still_quarantined": "waiting",
    "quarantined": "quarantined",
}
_PLANNED: dict[Action, str] = {
    "add": "to add",
    "change": "to change",
    "access": "access to change",
    "delete": "to delete",
    "quarantine": "to quarantine",
}
_ALL_SOURCES = "all sources"
_MOST_NAMED = 12
_NANO = 1_000_000_000


def print_reports(console: Console, reports: Sequence[IngestReport]) -> None:
    """Print what a sync did, a row for each source, and what an operator should know besides."""
    table = _table("source", "documents", "chunks", "tokens", "cost", "seconds")
    for report in reports:
        done = _summary({words: getattr(report, name) for name, words in _DONE.items()})
        if report.error:
            done.append(" · failed", style="red")
        numbers = (f"{report.chunks:,}", f"{report.embedded_tokens:,}", f"${report.cost_usd:.4f}", f"{report.seconds:.1f}")
        table.add_row(Text(report.source or _ALL_SOURCES, style="red" if report.error else ""), done, *numbers)
    console.print(table)
    for report in reports:
        for note in _notes(report):
            console.print(Text(f"  {report.source}: {note}", style="yellow"))


def _table(*columns: str, title: str | None = None) -> Table:
    """A table whose first two columns are words and whose others are numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), title=title, title_justify="left")
    table.add_column(columns[0], overflow="fold", max_width=28)
    table.add_column(columns[1], overflow="fold")
    for column in columns[2:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _summary(counts: Mapping[str, int]) -> Text:
    """What there is of, in words; what there is none of is left out."""
    text = Text()
    for words, count in counts.items():
        if count:
            text.append(", " if text else "")
            text.append(f"{count:,} {words}", style="red" if "quarantine" in words else "")
    return text or Text("nothing", style="dim")


def _notes(report: IngestReport) -> list[str]:
    said = {
        report.hidden: "can be read by nobody: neither they themselves nor the source's acl in llmapp.toml name anybody",
        report.still_quarantined: "failed before and wait in quarantine; see llmapp quarantine list",
        report.purged: "were purged and are kept out; remove them at their source too",
    }
    return [f"{count:,} documents {words}" for count, words in said.items() if count]


def print_quarantine(console: Console, records: Sequence[QuarantineRecord]) -> None:
    """Print the documents that were set aside, each with its reason; nothing when there are none."""
    for record in records[:_MOST_NAMED]:
        console.print(Text(f"  quarantined {record.uri}: {record.reason} ({record.code})", style="red"))
    if len(records) > _MOST_NAMED:
        console.print(Text(f"  … and {len(records) - _MOST_NAMED:,} more: llmapp quarantine list", style="red"))


def print_quarantine_table(console: Console, records: Sequence[QuarantineRecord]) -> None:
    """Print the quarantine as a table: what failed, where, why, how often, and when it is tried again."""
    if not records:
        console.print("nothing is in quarantine")
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("document", overflow="fold")
    table.add_column("stage")
    table.add_column("reason", ratio=1, overflow="fold")
    table.add_column("tries", justify="right")
    table.add_column("next try")
    for record in records:
        waits = {
            "never": "when it changes",
            "source": "by the source",
            "host": _short_time(record.next_try_at) or "next run",
        }
        reason = Text(f"{record.reason} ({record.code})")
        name = Text(f"{record.source}:{record.document_id}")
        table.add_row(name, record.stage, reason, str(record.attempts), waits[record.retry])
    console.print(table)


def print_plan(console: Console, plan: IngestPlan) -> None:
    """Print what an ingest would do, take and cost; nothing was changed."""
    table = _table("source", "documents", "texts", "tokens", title="Nothing was changed. An ingest now would do this:")
    for source in plan.sources:
        counts = {words: source.count(action) for action, words in _PLANNED.items()}
        counts |= {"unchanged": source.unchanged, "waiting": source.still_quarantined}
        texts = sum(change.embedded_texts for change in source.changes)
        tokens = sum(change.embedded_tokens for change in source.changes)
        table.add_row(
            Text(source.source, style="red" if source.error else ""), _summary(counts), f"{texts:,}", f"{tokens:,}"
        )
    if plan.upgrade.documents:
        again = plan.upgrade
        name, words = (
            Text(_ALL_SOURCES, style="yellow"),
            f"{again.documents:,} to cut and embed anew: other chunker or embedder",
        )
        table.add_row(name, words, f"{again.embedded_texts:,}", f"{again.embedded_tokens:,}")
    console.print(table)
    _print_details(console, plan)
    took = "nothing was measured yet" if plan.seconds is None else f"about {_duration(plan.seconds)}"
    console.print(f"  {plan.embedded_texts:,} texts, {plan.embedded_tokens:,} tokens: ${plan.cost_usd:.6f}, {took}")
    console.print(Text(f"  {plan.embedder}", style="dim"))


def _print_details(console: Console, plan: IngestPlan) -> None:
    for source in plan.sources:
        named = [change for change in source.changes if change.action in {"delete", "quarantine"}]
        for change in named[:_MOST_NAMED]:
            reason = f": {change.reason}" if change.reason else ""
            console.print(Text(f"  {change.action} {source.source}:{change.document_id}{reason}", style="red"))
        if len(named) > _MOST_NAMED:
            console.print(Text(f"  … and {len(named) - _MOST_NAMED:,} more; --json names all", style="red"))
        if source.needs_confirmation:
            share = f"{source.count('delete'):,} of {source.held:,} documents would be deleted"
            console.print(
                Text(f"  {source.source}: {share}; that takes --confirm-deletions {source.source}", style="yellow")
            )
        if source.error:
            console.print(Text(f"  {source.source}: {source.error}", style="red"))


def print_runs(console: Console, runs: Sequence[RunRecord]) -> None:
    """Print the last run of every source: how it ended, what it did, took and cost."""
    if not runs:
        return
    table = _table("source", "last run", "size", "tokens", "cost", "seconds")
    for run in runs:
        style = "" if run.status.startswith("completed") else "red"
        told = Text(f"{run.status.replace('_', ' ')}, {_short_time(run.started_at)}\n", style=style)
        told.append_text(_summary({words: run.counts.get(name, 0) for name, words in _DONE.items()}))
        stages = (f"{stage} {run.seconds.get(stage, 0.0):.1f}" for stage in ("read", "parse", "embed", "commit"))
        told.append("\n" + (run.error or " · ".join(stages) + " s"), style="red" if run.error else "dim")
        size, tokens = _size(run.counts.get("bytes", 0)), f"{run.counts.get('embedded_tokens', 0):,}"
        cost, total = f"${run.cost_nano_usd / _NANO:.4f}", f"{run.seconds.get('total', 0.0):.1f}"
        table.add_row(Text(run.source or _ALL_SOURCES), told, size, tokens, cost, total)
    console.print(table)


def print_purge(console: Console, report: PurgeReport) -> None:
    """Print what was searched after a purge, and what was found there."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"Purged {report.source}:{report.document_id}, {report.chunks:,} chunks",
        title_justify="left",
    )
    table.add_column("searched")
    table.add_column("for", justify="right")
    table.add_column("found", justify="right")
    for trace in report.traces:
        found = Text(f"{trace.found:,}", style="red" if trace.found else "green")
        table.add_row(trace.place, f"{trace.looked_for:,}", found if trace.looked_for else Text("–", style="dim"))
    console.print(table)
    console.print("  It is gone, and kept out." if report.is_gone else Text("  It is not gone everywhere.", style="red"))
    if report.not_searched:
        console.print(Text(f"  Not searched: {'; '.join(report.not_searched)}.", style="yellow"))
    if report.quoting_examples:
        numbers = ", ".join(map(str, report.quoting_examples))
        console.print(
            Text(f"  Examples may quote it, and stay until you take them out of their file: {numbers}.", style="yellow")
        )
    console.print(Text("  The next ingest writes the vector index anew; exact search serves until then.", style="dim"))


def _short_time(at: str) -> str:
    return at[:16].replace("T", " ")


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:,.1f} kB"  # noqa: PLR2004 - a tenth of one


def _duration(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.0f} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.0f} min" if hours < 1 else f"{hours:.1f} h"
