"""The report of a prompt: what became of every candidate, and what each part takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from llmapp.prompting.allocation import REASONS as OF_ITEMS
from llmapp.prompting.allocation import Allocation
from llmapp.prompting.layout import Layout, Request, SourceItem, TalkItem
from llmapp.types import Decision, Message, SectionShare

OLDER = "older than the conversation's beginning"
WITHIN = "cut within a sentence"
REASONS = {
    **OF_ITEMS,
    WITHIN: "as cut; no end of a sentence was near enough to what fits, and […] stands behind it",
    OLDER: "all turns came to more than the high watermark, and it is not of the newest",
}
"""Every reason of a `Decision`, with its meaning."""

_TOOLS, _SYSTEM, _QUESTION = "tools", "system", "question"
_ASKED = Message("user", "")
"""Behind a beginning of the request: the chat templates of many models refuse one in which nobody asks."""
_Candidate = TalkItem | SourceItem
Count: TypeAlias = Callable[[Sequence[Message]], int]
"""Counts a request, with its tools where it has some. Tokens."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What each part adds to the request, in the order of the prompt."""

    of_fixed: dict[str, int]
    """Of system, question with the words of the template around it, and tools; by their names."""
    of_item: dict[str, int]
    """By the id of the item."""


def decisions_on(
    items: Sequence[_Candidate],
    allocation: Allocation,
    request: Request,
    *,
    template: str,
    fixed: dict[str, int],
    older: Sequence[TalkItem],
    placement: Placement | None,
) -> tuple[Decision, ...]:
    """One decision for each part, in the order of the prompt, the dropped last.

    Args:
        items: All candidates of the allocation.
        allocation: What was chosen.
        request: How it stands in the prompt.
        template: Name and version.
        fixed: Tokens of tools, where there are any, system and question.
        older: Turns that were no candidates.
        placement: What each takes in the prompt; None where that was not asked.
    """
    decision_on = {decision.item: decision for decision in allocation.decisions}
    placed_tokens = placement.of_item if placement else {}
    found = {item.id: _named(decision_on[item.id], item.name, placed_tokens.get(item.id)) for item in items}
    for item in allocation.trimmed:
        if isinstance(item, SourceItem) and item.part.is_open:
            found[item.id] = replace(found[item.id], reason=WITHIN)
    standing = {item.id for item in allocation.kept}
    talk = [found[item.id] for item in request.talk]
    name_of = {_SYSTEM: template}
    *first, question = (
        Decision(
            name_of.get(name, name),
            name,
            "kept",
            tokens,
            "pinned",
            placed_tokens=placement.of_fixed[name] if placement else None,
        )
        for name, tokens in fixed.items()
    )
    dropped = [found[item.id] for item in items if item.id not in standing]
    cut_off = [Decision(item.name, item.section, "dropped", item.tokens, OLDER) for item in older]
    return (*first, *talk, *_of_sources(allocation, request, found), question, *dropped, *cut_off)


def _named(d: Decision, name: str, placed_tokens: int | None) -> Decision:
    # Not by `replace`, which takes three times as long: there may be thousands.
    return Decision(name, d.section, d.outcome, d.tokens, d.reason, d.score, d.marginal_tokens, placed_tokens)


def shares_of(allocation: Allocation, *, fixed: dict[str, int], older: Sequence[TalkItem]) -> tuple[SectionShare, ...]:
    """What each section asked for and got, in the order of the prompt; what always stands is of tier 0."""
    *first, question = (SectionShare(name, 0, *[tokens] * 4) for name, tokens in fixed.items())
    older_tokens = sum(item.tokens for item in older)
    shares = [
        replace(share, asked_tokens=share.asked_tokens + older_tokens) if share.name == "history" else share
        for share in allocation.sections
    ]
    return (*first, *shares, question)


def head_tokens(*heads: tuple[Message, ...], count: Count, tools_tokens: int) -> list[int]:
    """Tokens of beginnings of the request, tools included, whatever is asked behind them.

    Args:
        heads: The messages that it begins with; each is counted once.
        count: Counts a request with its tools.
        tools_tokens: Those of the tools.
    """
    asked_tokens = count((_ASKED,))
    tokens = {head: max(0, count((*head, _ASKED)) - asked_tokens) + tools_tokens for head in set(heads)}
    return [tokens[head] for head in heads]


def placement_of(allocation: Allocation, request: Request, layout: Layout, count: Count, *, tools_tokens: int) -> Placement:
    """Count the request as it grows, part by part: together they have the tokens of the whole."""
    added = {(_TOOLS, ""): tools_tokens}
    earlier = tools_tokens
    for key, messages in _growing(allocation, request, layout):
        tokens = count(messages)
        added[key] = added.get(key, 0) + tokens - earlier
        earlier = tokens
    of_item = {name: tokens for (kind, name), tokens in added.items() if kind == "item"}
    return Placement({kind: tokens for (kind, name), tokens in added.items() if not name}, of_item)


def _growing(
    allocation: Allocation, request: Request, layout: Layout
) -> Iterator[tuple[tuple[str, str], tuple[Message, ...]]]:
    """The request with more and more of its parts, and what has come last."""
    talk, passages = request.talk, request.passages
    id_of = {item.part.rank: item.id for item in allocation.kept if isinstance(item, SourceItem)}
    yield (_QUESTION, ""), (_ASKED,)
    yield (_SYSTEM, ""), (*layout.head(()), _ASKED)
    for number, item in enumerate(talk, start=1):
        yield ("item", item.id), (*layout.head(talk[:number]), _ASKED)
    head = layout.head(talk)
    yield (_QUESTION, ""), (*head, layout.user((), is_asked=False))
    for number, passage in enumerate(passages):
        for parts in range(1, len(passage.parts) + 1):
            shown = [*passages[:number], passage.beginning(parts)]
            yield ("item", id_of[passage.parts[parts - 1].rank]), (*head, layout.user(shown, is_asked=False))
    yield (_QUESTION, ""), request.messages


def _of_sources(allocation: Allocation, request: Request, found: dict[str, Decision]) -> Iterator[Decision]:
    """Of a passage the best part is kept, the others are merged into it; one that is cut stays so called."""
    id_of = {item.part.rank: item.id for item in allocation.kept if isinstance(item, SourceItem)}
    for passage in request.passages:
        for part in passage.parts:
            decision = found[id_of[part.rank]]
            if decision.outcome == "kept" and part.rank != passage.rank:
                decision = replace(decision, outcome="merged", reason="merged")
            elif decision.outcome == "merged" and part.rank == passage.rank:
                decision = replace(decision, outcome="kept", reason="fits")
            yield decision
