"""How the memory of a model looks on a terminal: a bar of weights, KV cache and overhead against the GPU."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from llmapp.models.sizing.fitting import Fit, FormatFit, Placement
from llmapp.models.sizing.quantities import GB, GIB, written
from llmapp.models.sizing.shape import ModelShape

_BAR_CELLS = 16
_PARTS = (("█", "blue"), ("▓", "green"), ("▒", "yellow"))
"""Marks of weights, KV cache and overhead: each is told without its colour."""
_VERDICTS = {"fits": ("fits", "green"), "tight": ("tight", "yellow"), "no": ("no", "red")}


def print_fit(console: Console, found: Fit) -> None:
    """Print what a model takes in every number format, and what the figures leave out."""
    shape, placement = found.shape, found.placement
    console.print(Text(f"  {shape.name}", style="bold"))
    for line in _facts(found):
        console.print(_dim(line))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("\n format", no_wrap=True, style="cyan")
    for name in ("weights\nGiB", "KV\nGiB", "overhead\nGiB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(f"\nof {placement.usable_bytes / GIB:,.1f} GiB", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("longest\ncontext", justify="right", no_wrap=True)
    for row in found.rows:
        table.add_row(*_cells(row, placement))
    console.print(table)
    for note in _notes(shape, placement):
        console.print(_dim(note))


def _dim(text: str) -> Padding:
    return Padding(Text(text, style="dim"), (0, 0, 0, 2))


def _facts(found: Fit) -> Iterator[str]:
    shape, placement = found.shape, found.placement
    if shape.parameters is not None:
        stored = f", stored as {shape.stored.form}" if shape.stored is not None else ""
        yield f"{shape.parameters:,} parameters{stored}, from {shape.source}"
    else:
        yield f"parameters not known: the files hold packed numbers; from {shape.source}"
    if found.kv_bytes_per_token is None:
        yield f"KV cache not computed: {shape.kv_note}"
    else:
        bound = "at most " if shape.kv_is_upper_bound else ""
        note = f" ({shape.kv_note})" if shape.kv_note else ""
        yield f"KV cache {bound}{found.kv_bytes_per_token:,} bytes a token{note}"
    yield (
        f"{placement.context_tokens:,} tokens x {placement.batch:,} at the same time, on a GPU of {written(placement.gpu_bytes)}"
        + (f", of which {placement.share:.0%}" if placement.share < 1 else "")
    )


def _cells(row: FormatFit, placement: Placement) -> tuple[str | Text, ...]:
    verdict, colour = _VERDICTS[row.verdict]
    least, most = row.least_overhead_bytes / GIB, row.most_overhead_bytes / GIB
    return (
        f" {row.format}",
        f"{row.weights_bytes / GIB:,.2f}",
        "?" if row.kv_bytes is None else f"{row.kv_bytes / GIB:,.2f}",
        f"{least:.1f}" if least == most else f"{least:.1f}-{most:.1f}",
        _bar(row, placement.usable_bytes),
        Text(verdict, style=colour),
        "?" if row.max_context_tokens is None else f"{row.max_context_tokens:,}" if row.max_context_tokens else "-",
    )


def _bar(row: FormatFit, usable_bytes: int) -> Text:
    """Weights, KV cache and the most overhead, in cells of the GPU; what is beyond it is cut and marked."""
    bar, end, drawn = Text(), 0, 0
    for (mark, colour), size in zip(_PARTS, (row.weights_bytes, row.kv_bytes or 0, row.most_overhead_bytes), strict=True):
        end += size
        cells = min(_BAR_CELLS, round(_BAR_CELLS * end / usable_bytes)) - drawn
        bar.append(mark * cells, style=colour)
        drawn += cells
    bar.append("·" * (_BAR_CELLS - drawn), style="dim")
    return bar.append("▶" if end > usable_bytes else " ", style="red")


def _notes(shape: ModelShape, placement: Placement) -> Iterator[str]:
    yield "█ weights  ▓ KV cache  ▒ overhead at most (activations, CUDA context and graphs)  ▶ more than there is"
    yield "tight: fits if the overhead is at its least. longest context: at this batch, with the most overhead"
    if shape.parameters is not None:
        billions = shape.parameters / GB
        yield (
            f'"1 GB per billion parameters" would be {billions:,.1f} GB: true of 8-bit weights, in decimal gigabytes, without KV '
            "cache, overhead and layers kept in 16 bits; 16 bits take 2, 4 bits 0.5 to 0.6; all experts of a mixture count"
        )
    yield "GB is 10^9 bytes, GiB is 2^30, 7.4 % more; a card sold as 24 GB mostly has about 24 GiB: then write --gpu 24GiB"
    if shape.max_context_tokens is not None and placement.context_tokens > shape.max_context_tokens:
        yield f"the model was made for {shape.max_context_tokens:,} tokens, not for {placement.context_tokens:,}"
