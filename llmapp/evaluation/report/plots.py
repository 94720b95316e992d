"""The plots: inline SVG in the colours of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element

import numpy as np

from llmapp.evaluation.statistics import Interval
from llmapp.pages import el

_WIDTH, _HEIGHT = 380.0, 190.0
_LEFT, _BOTTOM, _TOP = 34.0, 24.0, 14.0
_BINS = 10


def histogram(title: str, values: Sequence[float], *, most: float, label: Callable[[float], str]) -> Element:
    """How many of `values` lie where, in ten bins from 0 to `most`, each with its count; what is larger is in the last one.

    Args:
        title: Above the plot.
        values: Not negative.
        most: End of the scale; positive.
        label: How a value is written at the scale.
    """
    counts, edges = np.histogram(np.minimum(values, most), bins=_BINS, range=(0.0, most))
    highest = max(1, int(counts.max()))
    step = (_WIDTH - _LEFT) / _BINS
    parts = []
    for number, count in enumerate(counts):
        height = (_HEIGHT - _BOTTOM - _TOP) * int(count) / highest
        x, y = _LEFT + number * step, _HEIGHT - _BOTTOM - height
        parts.append(el("rect", x=x + 1.5, y=y, width=step - 3, height=height, rx=2, class_="bar"))
        if count:
            parts.append(el("text", f"{count:,}", x=x + step / 2, y=y - 3, text_anchor="middle"))
    ticks = [(_LEFT + step * number, label(float(edges[number]))) for number in range(0, _BINS + 1, 2)]
    return _figure(title, parts, ticks)


def curve(title: str, points: Sequence[tuple[int, float]]) -> Element:
    """A share by depth; the depths stand at equal distances, the share is written at each."""
    step = (_WIDTH - _LEFT - 24) / max(1, len(points) - 1)
    places = [(_LEFT + 8 + number * step, _at(share)) for number, (_, share) in enumerate(points)]
    parts = [el("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places), class_="curve")]
    for (x, y), (_, share) in zip(places, points, strict=True):
        below = share > 0.9  # noqa: PLR2004 - too near the top edge for a label above
        parts.append(el("circle", cx=x, cy=y, r=3, class_="bar"))
        parts.append(el("text", f"{share:.2f}", x=x, y=y + (15 if below else -7), text_anchor="middle"))
    ticks = [(x, str(depth)) for (x, _), (depth, _) in zip(places, points, strict=True)]
    scale = [el("text", f"{share:.1f}", x=_LEFT - 8, y=_at(share) + 4, text_anchor="end") for share in (0.0, 0.5, 1.0)]
    grid = [el("line", x1=_LEFT, x2=_WIDTH, y1=_at(share), y2=_at(share), class_="axis") for share in (0.5, 1.0)]
    return _figure(title, [*grid, *scale, *parts], ticks)


def whisker(interval: Interval) -> Element:
    """A mean with its interval on a scale from 0 to 1."""
    low, mean, high = (4 + 142 * min(1.0, max(0.0, value)) for value in (interval.low, interval.mean, interval.high))
    parts = [
        el("line", x1=4, x2=146, y1=9, y2=9, class_="axis"),
        el("line", x1=low, x2=high, y1=9, y2=9, class_="whisker"),
        el("circle", cx=mean, cy=9, r=4, class_="bar"),
    ]
    return el("svg", *parts, viewBox="0 0 150 18", role="img", aria_label=f"{interval.low:.3f} to {interval.high:.3f}")


def _at(share: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * share


def _figure(title: str, parts: Sequence[Element], ticks: Sequence[tuple[float, str]]) -> Element:
    base = _HEIGHT - _BOTTOM
    axis = el("line", x1=_LEFT, x2=_WIDTH, y1=base, y2=base, class_="axis")
    labels = [
        el("text", text, x=min(x, _WIDTH - 2), y=_HEIGHT - 8, text_anchor="end" if x >= _WIDTH - 2 else "middle")
        for x, text in ticks
    ]
    svg = el("svg", axis, *parts, *labels, viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}", role="img", aria_label=title)
    return el("figure", el("figcaption", title), svg)
