"""Forecasts and comparisons as HTML pages with a plot: inline SVG, no scripts."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from xml.etree.ElementTree import Element

from llmapp.cli.cost_tables import PARTS, money, title, verdict, volumes
from llmapp.costs.forecast import DAYS_PER_MONTH, Forecast
from llmapp.costs.in_house import Comparison
from llmapp.pages import el, page, table

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640.0, 300.0, 84.0, 40.0, 16.0
_TICKS = 4
_MOST_STEPS = 200
"""More steps than that are not told apart on a plot; so many are drawn."""
_STYLE = """
.input { fill: #2f6fb5; } .cached_input { fill: #63b3c4; } .output { fill: #2b8a5b; } .retries { fill: #c9a227; }
.own { fill: none; stroke: var(--good); stroke-width: 2; } .dot { fill: var(--bad); }
"""


def forecast_page(found: Forecast) -> str:
    """A forecast: what a prediction is made of, and what it comes to."""
    head = ["", *(title(column) for column in found.columns)]
    rows: list[list[Element | str]] = [
        ["a prediction", *(money(column.parts.total) for column in found.columns)],
        ["1,000 predictions", *(money(column.parts.total * 1_000) for column in found.columns)],
        [f"a day at {found.workload.requests_per_day:,}", *(money(found.daily_usd(column)) for column in found.columns)],
        [f"a month of {float(DAYS_PER_MONTH)} days", *(money(found.monthly_usd(column)) for column in found.columns)],
    ]
    return page(
        f"What {found.model} costs",
        *_head(found),
        el("h2", "A prediction, by what is paid for"),
        _stacks(found),
        el("h2", "At scale"),
        table(head, rows, numbers=frozenset(range(1, len(head)))),
        *(el("p", note, class_="warn") for note in found.notes),
        style=_STYLE,
    )


def comparison_page(api: Forecast, found: Comparison) -> str:
    """A comparison: both lines by volume, and both at the volumes that matter."""
    rows: list[list[Element | str]] = [
        [f"{volume:,}", money(found.api_usd * volume), f"{found.gpus(volume):,}", money(found.own_usd(volume))]
        for volume in volumes(api, found)
    ]
    return page(
        f"{api.model} or GPUs of one's own",
        *_head(api),
        el("p", verdict(found), class_="bad" if found.break_even() is None else "good"),
        el("h2", "USD a month, by requests a month"),
        _staircase(api, found),
        table(["requests a month", "API", "GPUs", "in-house"], rows, numbers=frozenset(range(4))),
        style=_STYLE,
    )


def _head(found: Forecast) -> list[Element]:
    return [el("h1", found.model), el("p", f"prices as of {found.as_of}: {'; '.join(found.sources)}")]


def _stacks(found: Forecast) -> Element:
    """A bar for each column, on one scale."""
    most = max(column.parts.total for column in found.columns) or Fraction(1)
    parts, height = [], 34.0
    for number, column in enumerate(found.columns):
        x, y = _LEFT, 8 + height * number
        parts.append(el("text", column.name, x=_LEFT - 8, y=y + 16, text_anchor="end"))
        for name, _, _ in PARTS:
            width = float(getattr(column.parts, name) / most) * (_WIDTH - _LEFT - 120)
            parts.append(el("rect", x=x, y=y, width=width, height=22, class_=name))
            x += width
        parts.append(el("text", money(column.parts.total), x=x + 6, y=y + 16))
    bottom = 8 + height * len(found.columns)
    for number, (name, _, _) in enumerate(PARTS):
        parts.append(el("rect", x=_LEFT + 110 * number, y=bottom + 6, width=10, height=10, class_=name))
        parts.append(el("text", name.replace("_", " "), x=_LEFT + 110 * number + 15, y=bottom + 15))
    return _figure(parts, bottom + 26, "what a prediction is made of")


def _staircase(api: Forecast, found: Comparison) -> Element:
    """The API's line and the staircase of the GPUs, up to twice the largest volume that matters."""
    most = 2 * max(volumes(api, found))
    own = _steps(found, most)
    highest = max(found.api_usd * most, *(amount for _, amount in own))

    def at(volume: int, amount: Fraction) -> str:
        x = _LEFT + float(Fraction(volume, most)) * (_WIDTH - _LEFT - 12)
        y = _HEIGHT - _BOTTOM - float(amount / highest) * (_HEIGHT - _BOTTOM - _TOP)
        return f"{x:.1f},{y:.1f}"

    parts = _axes(most, highest)
    parts.append(el("polyline", points=f"{at(0, Fraction(0))} {at(most, found.api_usd * most)}", class_="curve"))
    parts.append(el("polyline", points=" ".join(at(*point) for point in own), class_="own"))
    if (first := found.break_even()) is not None:
        x, _, y = at(first, found.own_usd(first)).partition(",")
        parts.append(el("circle", cx=x, cy=y, r=4.0, class_="dot"))
        parts.append(el("text", f"{first:,}", x=float(x) + 7, y=float(y) + 14))
    parts.append(el("text", "blue: API · green: in-house", x=_LEFT, y=_HEIGHT - 4))
    return _figure(parts, _HEIGHT, "USD a month by requests a month")


def _steps(found: Comparison, most: int) -> Sequence[tuple[int, Fraction]]:
    """Corners of the staircase."""
    corners = []
    count = found.gpus(most)
    for step in range(0, count, max(1, count // _MOST_STEPS)):
        start, end = step * found.capacity, min(most, (step + 1) * found.capacity)
        corners += [(volume, found.own_usd(step * found.capacity + 1)) for volume in (start, end)]
    return corners


def _axes(most: int, highest: Fraction) -> list[Element]:
    base, parts = _HEIGHT - _BOTTOM, []
    for tick in range(_TICKS + 1):
        x = _LEFT + (_WIDTH - _LEFT - 12) * tick / _TICKS
        y = base - (base - _TOP) * tick / _TICKS
        parts.append(el("line", x1=_LEFT, x2=_WIDTH - 12, y1=y, y2=y, class_="axis"))
        parts.append(el("text", money(highest * tick / _TICKS), x=_LEFT - 6, y=y + 4, text_anchor="end"))
        parts.append(el("text", f"{most * tick // _TICKS:,}", x=min(x, _WIDTH - 40), y=base + 18, text_anchor="middle"))
    return parts


def _figure(parts: Sequence[Element], height: float, label: str) -> Element:
    return el("figure", el("svg", *parts, viewBox=f"0 0 {_WIDTH:.0f} {height:.0f}", role="img", aria_label=label))
