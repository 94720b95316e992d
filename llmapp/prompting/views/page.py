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
_STYLE = """
main { max-width: 84rem; } th, td { overflow-wrap: break-word; }
.static { fill: var(--soft); } .kept { fill: var(--one); } .merged, .trimmed { fill: var(--good); }
.dropped { fill: none; stroke: var(--bad); stroke-dasharray: 3 2; } .edge { stroke: var(--line); } .bars { width: 260px; min-width: 130px; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.5 ui-monospace, monospace; margin: .4rem 0; }
details { border: 1px solid var(--line); border-radius: 8px; padding: .6rem 1rem; margin: .6rem 0; } summary { cursor: pointer; }
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
        el("h1", question),
        el("p", summary(prompt.report)),
        el("h2", "Sections"),
        _sections(groups),
        el("h2", "Parts"),
        _parts(groups, scale_tokens),
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


def _parts(groups: tuple[Group, ...], scale_tokens: int) -> Element:
    rows: list[list[Element | str]] = []
    for group in groups:
        for bar in group.bars:
            d = bar.decision
            tokens = [_number(count) for count in (d.tokens, d.marginal_tokens, d.placed_tokens)]
            score = "" if d.score is None else f"{d.score:.4f}"
            outcome = el("b", d.outcome, class_="bad" if d.outcome == "dropped" else "good")
            rows.append([_bar(bar, scale_tokens), group.section, bar.label, outcome, d.reason, *tokens, score])
    head = ["tokens of the budget", "section", "part", "outcome", "why", "alone", "adds", "in place", "score"]
    return table(head, rows, numbers=frozenset(range(5, 9)))


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
    return el("details", el("summary", message.role), el("pre", message.content), *calls)


def _number(tokens: int | None) -> str:
    return "" if tokens is None else f"{tokens:,}"
