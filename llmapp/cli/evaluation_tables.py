"""How evaluations look on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmapp.evaluation.measures import HEADLINES

if TYPE_CHECKING:
    from llmapp.evaluation.answers import AnswerReport
    from llmapp.evaluation.baselines import Gate
    from llmapp.evaluation.leave_one_out import Gain
    from llmapp.evaluation.retrieval import RetrievalReport
    from llmapp.evaluation.statistics import Comparison, Interval

_WORST = 5
_SURE = 0.05


def print_retrieval(console: Console, report: RetrievalReport) -> None:
    """Print how a search has done: every measure with its interval."""
    median_s, slow_s = report.seconds
    console.print(Text(f"\n  {report.dataset}", style="bold"), end="")
    console.print(
        Text(f"  {len(report.rankings):,} questions over {report.documents:,} documents in {report.chunks:,} chunks")
    )
    _print_measures(console, {name: each for name, each in report.scores.intervals().items() if name in HEADLINES})
    console.print(Text(f"  a search took {1e3 * median_s:.1f} ms (p50), {1e3 * slow_s:.1f} ms (p95)", style="dim"))
    for warning in (*report.warnings, *report.incomplete):
        console.print(Text(f"  {warning}", style="yellow"))


def print_answers(console: Console, report: AnswerReport) -> None:
    """Print how questions were answered: measures, who was answered and refused, money, tokens and time."""
    console.print(Text(f"\n  {report.dataset}", style="bold"), end="")
    console.print(Text(f"  {len(report.asked):,} questions asked of {report.settings['model']}"))
    _print_measures(console, report.scores.intervals())
    refusing = report.abstention
    table = _table("", "answered", "refused")
    table.add_row("can be answered", f"{refusing.answered:,}", f"{refusing.wrongly_refused:,}")
    table.add_row("cannot be answered", f"{refusing.wrongly_answered:,}", f"{refusing.refused:,}")
    console.print(table)
    figures = {"precision": refusing.precision, "recall": refusing.recall, "F1": refusing.f1}
    said = ", ".join(f"{name} {'–' if value is None else f'{value:.3f}'}" for name, value in figures.items())
    console.print(Text(f"  refusing: {said}"))
    median_s, slow_s = report.seconds
    usage = report.usage
    console.print(
        Text(
            f"  ${report.cost_usd:.6f} · {usage.input_tokens:,} tokens read, {usage.output_tokens:,} written"
            f" · {median_s:.2f} s (p50), {slow_s:.2f} s (p95)",
            style="dim",
        )
    )
    for warning in (*report.warnings, *report.incomplete):
        console.print(Text(f"  {warning}", style="yellow"))
    for failure in report.failures[:_WORST]:
        console.print(Text(f"  failed: {failure.question.text}: {failure.error}", style="red"))
    if len(report.failures) > _WORST:
        console.print(Text(f"  … and {len(report.failures) - _WORST:,} more failed", style="red"))


def print_comparison(console: Console, report: RetrievalReport, other: RetrievalReport) -> None:
    """Print what differs between two settings, and whether that is more than chance."""
    changed = [key for key in report.settings if report.settings[key] != other.settings.get(key)]
    for key in changed:
        console.print(Text(f"  {key}: {report.settings[key]} → {other.settings.get(key)}", style="bold"))
    if not changed:
        console.print(Text("  the two settings are the same", style="yellow"))
    compared = report.scores.against(other.scores)
    print_differences(console, {name: each for name, each in compared.items() if name in HEADLINES})


def print_gain(console: Console, gain: Gain) -> None:
    """Print what worked examples gain: first without any, second with all but the one whose question is asked."""
    shown = sum(pair.shown for pair in gain.pairs) / len(gain.pairs)
    console.print(Text(f"\n  {len(gain.pairs):,} examples, each left out once", style="bold"), end="")
    console.print(Text(f"  asked of {gain.model}; {shown:.1f} others in a prompt"))
    print_differences(console, gain.measures)
    console.print(Text(f"  ${gain.cost_usd:.6f}", style="dim"))
    for warning in gain.warnings:
        console.print(Text(f"  {warning}", style="yellow"))


def print_differences(console: Console, compared: Mapping[str, Comparison]) -> None:
    """Print comparisons by measure: difference, interval, p, and how many questions gain or lose."""
    table = _table("measure", "first", "second", "change", "95 % interval", "p", "better", "worse")
    for name, each in compared.items():
        style = "" if each.p >= _SURE else "green" if each.difference > 0 else "red"
        interval = f"{each.low:+.4f} … {each.high:+.4f}"
        difference = Text(f"{each.difference:+.4f}", style=style)
        table.add_row(
            name,
            f"{each.before:.4f}",
            f"{each.after:.4f}",
            difference,
            interval,
            f"{each.p:.4f}",
            f"{each.better:,}",
            f"{each.worse:,}",
        )
    console.print(table)


def print_gate(console: Console, gate: Gate, tolerance: float, texts: Mapping[str, str]) -> None:
    """Print what has dropped, which settings differ, and the questions that lost most.

    Args:
        console: Where to.
        gate: The comparison.
        tolerance: Of the baseline.
        texts: Questions by id.
    """
    table = _table("measure", "baseline", "now", "change", "p", "")
    for name, verdict in gate.verdicts.items():
        each = verdict.comparison
        state = Text(verdict.drop, style="red") if verdict.drop else Text("holds", style="green")
        figures = (f"{each.before:.4f}", f"{each.after:.4f}", f"{each.difference:+.4f}", f"{each.p:.4f}")
        table.add_row(name, *figures, state)
    console.print(table)
    for key, (before, after) in gate.changed_settings.items():
        console.print(Text(f"  {key}: {before} → {after}", style="bold"))
    for loss in gate.worse[:_WORST]:
        console.print(
            Text(f"  {loss.measure} {loss.before:.2f} → {loss.after:.2f}  {texts.get(loss.question, loss.question)}")
        )
    words = "dropped" if gate.has_dropped else "held"
    console.print(Text(f"  {words} (tolerance {tolerance:g})", style="red" if gate.has_dropped else "green"))


def print_worst(console: Console, report: RetrievalReport) -> None:
    """Print the questions that were found worst, with what came instead."""
    worst = report.worst(_WORST)
    if worst:
        console.print(Text("  found worst", style="bold"))
    for ranking, value in worst:
        console.print(Text(f"  {value:.2f}  {ranking.question.text}"))
        console.print(Text(f"        expected {', '.join(ranking.expected)}", style="green"))
        first = ranking.found[0] if ranking.found else None
        console.print(Text(f"        found    {f'{first.name}  {first.title}' if first else 'nothing'}", style="dim"))


def _print_measures(console: Console, measures: Mapping[str, Interval]) -> None:
    table = _table("measure", "mean", "95 % interval", "questions")
    for name, interval in measures.items():
        table.add_row(name, f"{interval.mean:.4f}", f"{interval.low:.4f} … {interval.high:.4f}", f"{interval.count:,}")
    console.print(table)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    table.add_column(columns[0], style="cyan", no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table
