"""A report as a waterfall: each part of the prompt begins where the one before it ends, up to the budget.

Terminal and page draw the same bars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llmapp.types import Decision, PromptReport, SectionShare


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of the prompt, or one that was left out."""

    decision: Decision
    label: str
    """How a person knows it."""
    start_tokens: int
    """Tokens of the parts before it; of what was left out, all that the prompt uses: there it would have come on top."""
    tokens: int
    """What it adds: in place where that was measured, else as it was reckoned when it was chosen, else alone."""


@dataclass(frozen=True, slots=True)
class Group:
    """A section with its parts."""

    section: str
    share: SectionShare | None
    """None where the report tells of none."""
    bars: tuple[Bar, ...]
    """In the order of the prompt, what was left out last; empty where a section had no candidate."""


def waterfall(report: PromptReport, labels: Mapping[str, str] | None = None) -> tuple[Group, ...]:
    """The sections of a prompt, in the order of its report, with their bars.

    Args:
        report: Of the prompt.
        labels: How a person knows an item, by its name in the report; others are called by that name.
    """
    shares = {share.name: share for share in report.sections}
    groups: dict[str, list[Bar]] = {name: [] for name in shares}
    start_tokens = 0
    for decision in report.decisions:
        is_in = decision.outcome != "dropped"
        bar = Bar(
            decision,
            label=(labels or {}).get(decision.item, decision.item),
            start_tokens=start_tokens if is_in else report.used_tokens,
            tokens=_added_tokens(decision),
        )
        groups.setdefault(decision.section, []).append(bar)
        start_tokens += bar.tokens if is_in else 0
    return tuple(Group(name, shares.get(name), tuple(bars)) for name, bars in groups.items())


def claim(share: SectionShare) -> str:
    """What a section may have, in words."""
    if share.tier == 0:
        return "always whole"
    return f"tier {share.tier}" + (f", at least {share.min_tokens:,}" if share.min_tokens else "")


def summary(report: PromptReport) -> str:
    """The totals in a line: used, budget, reserve, exactness, what a provider may have cached."""
    counted = f"counted by {report.counter}" if report.is_exact else f"at most, as {report.counter} estimates"
    free = f"{report.budget_tokens - report.used_tokens:,} free"
    reserved = f"{report.reserved_output_tokens:,} kept for the answer"
    parts = [
        f"{report.used_tokens:,} of {report.budget_tokens:,} tokens, {counted}",
        free,
        reserved,
        _cached(report),
        report.template,
    ]
    return " · ".join(part for part in parts if part)


def _cached(report: PromptReport) -> str:
    """What a provider may have cached: for every question, and for the next of the conversation where that is more."""
    static, reusable = report.static_prefix_tokens, report.reusable_prefix_tokens
    parts = [f"{static:,} the same for every question"] if static else []
    parts += [f"{reusable:,} for the next of the conversation"] if reusable > static else []
    return f"the first {', '.join(parts)}" if parts else ""


def _added_tokens(decision: Decision) -> int:
    known = (decision.placed_tokens, decision.marginal_tokens, decision.tokens)
    return next(tokens for tokens in known if tokens is not None)
