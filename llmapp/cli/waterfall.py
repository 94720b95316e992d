"""How a prompt looks on a terminal: a waterfall of its parts, and the request itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmapp.app.shapes import labels
from llmapp.prompting.views.bars import Bar, Group, summary, waterfall

if TYPE_CHECKING:
    from llmapp.application import Preview
    from llmapp.types import Message

_BAR_CELLS = 24
_WIDE_CELLS = 110
"""Width of a terminal from which there is room for bars."""
_LABEL_CELLS = 16
"""Least width of the names of parts."""
_TOKEN_COLUMNS = {"alone": 7, "adds": 7, "in place": 8, "score": 7}
_STYLES = {"kept": "cyan", "trimmed": "yellow", "merged": "green", "dropped": "red"}


def print_preview(console: Console, previewed: Preview, *, with_messages: bool) -> None:
    """Print what each section asked for and got, what became of every part, and the totals."""
    report = previewed.prompt.report
    groups = waterfall(report, labels(previewed.found))
    console.print(_sections(groups))
    console.print(_parts(groups, report.budget_tokens, console.width))
    console.print(Text(f"  {summary(report)}", style="dim"))
    for note in previewed.found.notes:
        console.print(Text(f"  {note}", style="yellow"))
    if previewed.found.cost_usd:
        console.print(Text(f"  cost ${previewed.found.cost_usd:.6f}", style="dim"))
    for message in previewed.prompt.messages if with_messages else ():
        _print_message(console, message)


def _sections(groups: Sequence[Group]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("section", style="bold")
    for name in ("tier", "asked", "at least", "at most", "got"):
        table.add_column(name, justify="right")
    for share in (group.share for group in groups):
        if share is not None:
            tokens = (share.asked_tokens, share.min_tokens, share.max_tokens, share.got_tokens)
            table.add_row(share.name, str(share.tier), *(f"{count:,}" for count in tokens))
    return table


def _parts(groups: Sequence[Group], budget_tokens: int, width: int) -> Table:
    """The waterfall; the names of parts have what the other columns leave of `width`."""
    outcomes = max((len(_outcome(bar)) for group in groups for bar in group.bars), default=0)
    columns = {"outcome": outcomes, **_TOKEN_COLUMNS}
    if has_bars := width >= _WIDE_CELLS:
        columns[f"of {budget_tokens:,} tokens"] = _BAR_CELLS
    table = Table(box=box.SIMPLE_HEAD)
    left = width - sum(columns.values()) - 3 * len(columns) - 4
    table.add_column("part", width=max(_LABEL_CELLS, left), no_wrap=True, overflow="ellipsis")
    for name, cells in columns.items():
        table.add_column(name, width=cells, no_wrap=True, justify="right" if name in _TOKEN_COLUMNS else "left")
    for group in groups:
        for bar in group.bars:
            table.add_row(*_row(bar), *([_bar(bar, budget_tokens)] if has_bars else []))
    return table


def _row(bar: Bar) -> list[Text | str]:
    d = bar.decision
    tokens = ["" if count is None else f"{count:,}" for count in (d.tokens, d.marginal_tokens, d.placed_tokens)]
    score = "" if d.score is None else f"{d.score:.4f}"
    return [Text(bar.label), Text(_outcome(bar), style=_STYLES[d.outcome]), *tokens, score]


def _outcome(bar: Bar) -> str:
    outcome, reason = bar.decision.outcome, bar.decision.reason
    return outcome if reason in {"fits", outcome} else f"{outcome}: {reason}"


def _bar(bar: Bar, budget_tokens: int) -> Text:
    """Full blocks for what stands, light ones for what would have come on top; at least one, at most to the edge."""
    scale = _BAR_CELLS / max(1, budget_tokens)
    start = min(_BAR_CELLS - 1, int(bar.start_tokens * scale))
    cells = min(_BAR_CELLS - start, max(1, round(bar.tokens * scale)))
    is_in = bar.decision.outcome != "dropped"
    return Text(" " * start + ("█" if is_in else "░") * cells, style=_STYLES[bar.decision.outcome])


def _print_message(console: Console, message: Message) -> None:
    console.print(Text(f"\n{message.role}", style="bold cyan"))
    console.print(Text(message.content))
    for call in message.tool_calls:
        console.print(Text(f"{call.name}({call.arguments})", style="green"))
