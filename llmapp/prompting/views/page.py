"""A prompt as an HTML page: what each section asked for and got, what became of every part, and the messages themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from llmapp.pages import el, page, table
from llmapp.prompting.views.bars import Bar, Group, claim, summary, waterfall

if TYPE_CHECKING:
    from llmapp.types import Message, Prompt

_WIDTH, _HEIGHT = 260.0, 14.0
_SHOWN_LEFT_OUT = 12
"""Parts that were left out stand open up to so many, else behind a click."""
_GLANCE_CHARS = 120
_STYLE = """
main { max-width: 84rem; } th, td { overflow-wrap: normal; }
.static { fill: var(--soft); } .kept { fill: var(--one); } .merged, .trimmed { fill: var(--good); }
.dropped { fill: none; stroke: var(--bad); stroke-dasharray: 3 2; } .edge { stroke: var(--line); } td .bars { width: 260px; min-width: 130px; }
.part { width: 40%; overflow-wrap: anywhere; min-width: 11rem; } .part span { display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 2; overflow: hidden; } .fate { white-space: nowrap; } .fate b { margin-right: .4rem; font-weight: 600; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.5 ui-monospace, monospace; margin: .4rem 0; }
details { border: 1px solid var(--line); border-radius: 8px; padding: .6rem 1rem; margin: .6rem 0; }
summary { cursor: pointer; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } summary b { margin-right: .6rem; }
@media (max-width: 60rem) {
  .parts thead { display: none; } .parts, .parts tbody { display: block; }
  .parts tr { display: grid; grid-template-columns: 1fr 1fr 1fr 1fr; gap: .1rem .8rem; padding: .6rem 0; border-bottom: 1px solid var(--line); }
  .parts td { display: block; border: 0; padding: 0; } .parts .part, .parts .bar, .parts .fate { grid-column: 1 / -1; width: auto; }
  .parts .part { order: -2; font-weight: 600; } .parts .bar { order: -1; } td .bars { width: 100%; } .parts .section { display: none; }
  .parts .fate { white-space: normal; } .parts .number { text-align: left; } .parts .number::before { content: attr(data-name) " "; color: var(--soft); }
  .parts .number:empty { display: none; }
}
@media (max-width: 30rem) {
  main { padding: 1.2rem .8rem 3rem; } h1 { font-size: 1.25rem; } table:not(.parts) { font-size: 12px; }
  th, td { padding: .35rem .2rem; } .parts tr { grid-template-columns: 1fr 1fr; }
}
"""


def prompt_page(prompt: Prompt, *, question: str, labels: Mapping[str, str] | None = None) -> str:
    """A whole document in light and dark, without a script and without anything from outside.

    Args:
        prompt: With its report.
        question: Stands at the top.
        labels: How a person knows an item, by its name in the report.
    """
    groups = waterfall(prompt.report, labels)
    scale_tokens = max(1, prompt.report.budget_tokens, prompt.report.used_tokens)
    return page(
        question,
        el("h1", question, dir="auto"),
        el("p", summary(prompt.report)),
        el("h2", "Sections"),
        _sections(groups),
        el("h2", "Parts"),
        _parts(_standing(groups), scale_tokens),
        *_left_out(groups, scale_tokens),
        el("h2", "Request"),
        *(_message(message) for message in prompt.messages),
        style=_STYLE,
    )


def _sections(groups: tuple[Group, ...]) -> Element:
    rows: list[list[Element | str]] = [
        [s.name, claim(s), *(f"{tokens:,}" for tokens in (s.asked_tokens, s.max_tokens, s.got_tokens))]
        for s in (group.share for group in groups)
        if s is not None
    ]
    return table(["section", "claim", "asked", "offered", "got"], rows, numbers=frozenset(range(2, 5)))


_Row = tuple[str, Bar]
"""A part with the name of its section."""


def _standing(groups: tuple[Group, ...]) -> list[_Row]:
    return [(group.section, bar) for group in groups for bar in group.bars if bar.decision.outcome != "dropped"]


def _left_out(groups: tuple[Group, ...], scale_tokens: int) -> list[Element]:
    rows = [(group.section, bar) for group in groups for bar in group.bars if bar.decision.outcome == "dropped"]
    if not rows:
        return []
    is_open = {"open": ""} if len(rows) <= _SHOWN_LEFT_OUT else {}
    return [el("details", el("summary", el("b", "left out"), f"{len(rows):,}"), _parts(rows, scale_tokens), **is_open)]


def _parts(rows: list[_Row], scale_tokens: int) -> Element:
    names = ("tokens of the budget", "section", "part", "outcome", *_NUMBERS)
    head = el("tr", *(el("th", name, class_="number" if name in _NUMBERS else "text") for name in names))
    body = el("tbody", *(_part(section, bar, scale_tokens) for section, bar in rows))
    return el("table", el("thead", head), body, class_="parts")


_NUMBERS = ("alone", "adds", "in place", "score")


def _part(section: str, bar: Bar, scale_tokens: int) -> Element:
    d = bar.decision
    score = "" if d.score is None else f"{d.score:.4f}"
    numbers = (*(_number(count) for count in (d.tokens, d.marginal_tokens, d.placed_tokens)), score)
    outcome = el("b", d.outcome, class_="bad" if d.outcome == "dropped" else "good")
    return el(
        "tr",
        el("td", _bar(bar, scale_tokens), class_="bar"),
        el("td", section, class_="section"),
        el("td", el("span", bar.label, title=bar.label, dir="auto"), class_="part"),
        el("td", outcome, el("span", d.reason, class_="soft"), class_="fate"),
        *(el("td", each, class_="number", data_name=name) for name, each in zip(_NUMBERS, numbers, strict=True)),
    )


def _bar(bar: Bar, scale_tokens: int) -> Element:
    start = _WIDTH * min(bar.start_tokens, scale_tokens) / scale_tokens
    width = min(_WIDTH - start, max(1.0, _WIDTH * bar.tokens / scale_tokens))
    kind = "static" if bar.decision.reason == "pinned" else bar.decision.outcome
    return el(
        "svg",
        el("line", x1=0, x2=_WIDTH, y1=_HEIGHT - 0.5, y2=_HEIGHT - 0.5, class_="edge"),
        el("rect", x=start, y=2, width=max(0.0, width), height=_HEIGHT - 4, class_=kind),
        viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}",
        role="img",
        aria_label=f"{bar.tokens:,} tokens from {bar.start_tokens:,}",
        class_="bars",
    )


def _message(message: Message) -> Element:
    calls = [el("pre", f"{call.name}({call.arguments})") for call in message.tool_calls]
    glance = " ".join(message.content[: 2 * _GLANCE_CHARS].split())[:_GLANCE_CHARS]
    head = el("summary", el("b", message.role), el("span", glance, class_="soft", dir="auto"))
    return el("details", head, el("pre", message.content, dir="auto"), *calls)


def _number(tokens: int | None) -> str:
    return "" if tokens is None else f"{tokens:,}"
