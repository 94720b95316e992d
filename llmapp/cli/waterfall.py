"""How a prompt looks on a terminal: a waterfall of its parts, and the request itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from llmapp.app.shapes import labels
from llmapp.prompting import REASONS
from llmapp.prompting.views.bars import Bar, Group, claim, summary, waterfall

if TYPE_CHECKING:
    from llmapp.application import Preview
    from llmapp.types import Message

_BAR_CELLS = (12, 40)
"""Least and most width of the bars: a third of what other columns leave."""
_OUTCOME_CELLS = (22, 41)
"""Most width of outcomes, on a terminal that is not wide and on one that is; what is cut off stands below the table."""
_SCORES_FROM, _WIDE_FROM = 90, 120
"""Width of a terminal from which there is room for scores, and for what a part takes alone."""
_COLUMN_GAP = 3
_STYLES = {"kept": "cyan", "trimmed": "yellow", "merged": "green", "dropped": "red"}


def print_preview(console: Console, previewed: Preview, *, with_messages: bool) -> None:
    """Print what each section asked for and got, what became of every part, and the totals."""
    report = previewed.prompt.report
    groups = waterfall(report, labels(previewed.found))
    console.print(_sections(groups))
    bars = [bar for group in groups for bar in group.bars]
    console.print(_parts(bars, report.budget_tokens, console.width))
    for line in (*_meanings(bars), summary(report)):
        console.print(Padding(Text(line, style="dim"), (0, 2)))
    for note in previewed.found.notes:
        console.print(Text(f"  {note}", style="yellow"))
    if previewed.found.cost_usd:
        console.print(Text(f"  cost ${previewed.found.cost_usd:.6f}", style="dim"))
    for message in previewed.prompt.messages if with_messages else ():
        _print_message(console, message)


def _sections(groups: Sequence[Group]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("section", style="bold")
    table.add_column("claim")
    for name in ("asked", "offered", "got"):
        table.add_column(name, justify="right")
    for share in (group.share for group in groups):
        if share is not None:
            tokens = (share.asked_tokens, share.max_tokens, share.got_tokens)
            table.add_row(share.name, claim(share), *(f"{count:,}" for count in tokens), style="" if any(tokens) else "dim")
    return table


def _parts(bars: Sequence[Bar], budget_tokens: int, width: int) -> Table:
    """The waterfall: numbers have the width that they need, names and bars share the rest."""
    numbers = _numbers(width)
    cells = {name: max(len(name), *(len(text(bar)) for bar in bars)) for name, text in numbers.items()}
    outcome_cells = min(_OUTCOME_CELLS[width >= _WIDE_FROM], max(len(_outcome(bar)) for bar in bars))
    left = width - outcome_cells - sum(cells.values()) - _COLUMN_GAP * (3 + len(numbers)) - 1
    least, most = _BAR_CELLS
    bar_cells = min(most, max(least, left // 3))
    label_cells = min(max(cell_len(bar.label) for bar in bars), left - bar_cells)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("part", min_width=label_cells, no_wrap=True)
    table.add_column("outcome", width=outcome_cells, no_wrap=True, overflow="ellipsis")
    for name in numbers:
        table.add_column(name, width=cells[name], no_wrap=True, justify="right")
    table.add_column(f"of {budget_tokens:,}", width=bar_cells, no_wrap=True)
    for bar in bars:
        outcome = Text(_outcome(bar), style=_STYLES[bar.decision.outcome])
        shown = [text(bar) for text in numbers.values()]
        table.add_row(Text(_shortened(bar.label, label_cells)), outcome, *shown, _bar(bar, budget_tokens, bar_cells))
    return table


def _numbers(width: int) -> dict[str, Callable[[Bar], str]]:
    """The columns of numbers that there is room for, and what stands in them."""
    columns: dict[str, Callable[[Bar], str]] = {"tokens": lambda bar: f"{bar.tokens:,}"}
    if width >= _WIDE_FROM:
        columns["alone"] = lambda bar: f"{bar.decision.tokens:,}"
    if width >= _SCORES_FROM:
        columns["score"] = lambda bar: "" if bar.decision.score is None else f"{bar.decision.score:.4f}"
    return columns


def _outcome(bar: Bar) -> str:
    outcome, reason = bar.decision.outcome, bar.decision.reason
    return f"✗ {reason}" if outcome == "dropped" else f"✓ {outcome if reason in {'fits', outcome} else reason}"


def _meanings(bars: Sequence[Bar]) -> Iterator[str]:
    """What the outcomes mean, beyond that a part stands."""
    reasons = dict.fromkeys(bar.decision.reason for bar in bars)
    yield from (
        f"{reason}: {REASONS[reason]}" for reason in reasons if reason not in {"fits", "pinned"} and reason in REASONS
    )


def _shortened(label: str, cells: int) -> str:
    """The beginning and, which tells more, the end."""
    if cell_len(label) <= cells:
        return label
    head = set_cell_size(label, (cells - 1) // 4).rstrip()
    tail = set_cell_size(label[::-1], cells - 1 - cell_len(head))[::-1].lstrip()
    return f"{head}…{tail}"


def _bar(bar: Bar, budget_tokens: int, width: int) -> Text:
    """Full blocks for what stands, light ones for what would have come on top; at least one, at most to the edge."""
    scale = width / max(1, budget_tokens)
    start = min(width - 1, int(bar.start_tokens * scale))
    cells = min(width - start, max(1, round(bar.tokens * scale)))
    is_in = bar.decision.outcome != "dropped"
    return Text(" " * start + ("█" if is_in else "░") * cells, style=_STYLES[bar.decision.outcome])


def _print_message(console: Console, message: Message) -> None:
    console.print(Text(f"\n{message.role}", style="bold cyan"))
    console.print(Text(message.content))
    for call in message.tool_calls:
        console.print(Text(f"{call.name}({call.arguments})", style="green"))
