"""The report of a prompt: what became of every candidate, and what each part takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from llmapp.prompting.allocation import REASONS as OF_ITEMS
from llmapp.prompting.allocation import Allocation
from llmapp.prompting.layout import Layout, SourceItem, TalkItem
from llmapp.types import Decision, Message, SectionShare

OLDER = "older than the conversation's beginning"
REASONS = {**OF_ITEMS, OLDER: "all turns came to more than the high watermark, and it is not of the newest"}
"""Every reason of a `Decision`, with its meaning."""

_SYSTEM, _QUESTION = "system", "question"
_Candidate = TalkItem | SourceItem


@dataclass(frozen=True, slots=True)
class Placement:
    """What each part adds to the request, in the order of the prompt."""

    of_system: int
    of_question: int
    """With the words of the template around it."""
    of_item: dict[str, int]
    """By the id of the item."""


def decisions_on(
    items: Sequence[_Candidate],
    allocation: Allocation,
    layout: Layout,
    *,
    fixed: dict[str, int],
    older: Sequence[TalkItem],
    placement: Placement | None,
) -> tuple[Decision, ...]:
    """One decision for each part, in the order of the prompt, the dropped last.

    Args:
        items: All candidates of the allocation.
        allocation: What was chosen.
        layout: How it stands in the prompt.
        fixed: Tokens of system and question.
        older: Turns that were no candidates.
        placement: What each takes in the prompt; None where that was not asked.
    """
    found = {
        item.id: replace(decision, item=item.name, placed_tokens=placement.of_item.get(item.id) if placement else None)
        for item, decision in zip(items, allocation.decisions, strict=True)
    }
    standing = {item.id for item in allocation.kept}
    talk = [found[item.id] for item in layout.talk(allocation.kept)]
    system = Decision(layout.template.identity, _SYSTEM, "kept", fixed[_SYSTEM], "pinned")
    question = Decision(_QUESTION, _QUESTION, "kept", fixed[_QUESTION], "pinned")
    if placement:
        system = replace(system, placed_tokens=placement.of_system)
        question = replace(question, placed_tokens=placement.of_question)
    dropped = [found[item.id] for item in items if item.id not in standing]
    cut_off = [Decision(item.name, item.section, "dropped", item.tokens, OLDER) for item in older]
    return (system, *talk, *_of_sources(allocation, layout, found), question, *dropped, *cut_off)


def shares_of(allocation: Allocation, *, fixed: dict[str, int], older: Sequence[TalkItem]) -> tuple[SectionShare, ...]:
    """What each section asked for and got, in the order of the prompt; what always stands is of tier 0."""
    system, question = (SectionShare(name, 0, *[fixed[name]] * 4) for name in (_SYSTEM, _QUESTION))
    older_tokens = sum(item.tokens for item in older)
    shares = [
        replace(share, asked_tokens=share.asked_tokens + older_tokens) if share.name == "history" else share
        for share in allocation.sections
    ]
    return (system, *shares, question)


def placement_of(allocation: Allocation, layout: Layout, count: Callable[[Sequence[Message]], int]) -> Placement:
    """Count the request as it grows, part by part: together they have the tokens of the whole."""
    steps = [(key, count(messages)) for key, messages in _growing(allocation, layout)]
    before = [0, *(tokens for _, tokens in steps)]
    added: dict[tuple[str, str], int] = {}
    for (key, tokens), earlier in zip(steps, before, strict=False):
        added[key] = added.get(key, 0) + tokens - earlier
    of_item = {name: tokens for (kind, name), tokens in added.items() if kind == "item"}
    return Placement(added[_SYSTEM, ""], added[_QUESTION, ""], of_item)


def _growing(allocation: Allocation, layout: Layout) -> Iterator[tuple[tuple[str, str], tuple[Message, ...]]]:
    """The request with more and more of its parts, and what has come last."""
    talk, passages = layout.talk(allocation.kept), layout.passages(allocation.kept)
    id_of = {item.part: item.id for item in allocation.kept if isinstance(item, SourceItem)}
    yield (_SYSTEM, ""), layout.head(())
    for number, item in enumerate(talk, start=1):
        yield ("item", item.id), layout.head(talk[:number])
    head = layout.head(talk)
    yield (_QUESTION, ""), (*head, layout.user((), is_asked=False))
    for number, passage in enumerate(passages):
        for parts in range(1, len(passage.parts) + 1):
            shown = [*passages[:number], passage.beginning(parts)]
            yield ("item", id_of[passage.parts[parts - 1]]), (*head, layout.user(shown, is_asked=False))
    yield (_QUESTION, ""), (*head, layout.user(passages))


def _of_sources(allocation: Allocation, layout: Layout, found: dict[str, Decision]) -> Iterator[Decision]:
    """Of a passage the best part is kept, the others are merged into it; one that is cut stays so called."""
    id_of = {item.part: item.id for item in allocation.kept if isinstance(item, SourceItem)}
    for passage in layout.passages(allocation.kept):
        for part in passage.parts:
            decision = found[id_of[part]]
            if decision.outcome == "kept" and part.rank != passage.rank:
                decision = replace(decision, outcome="merged", reason="merged")
            elif decision.outcome == "merged" and part.rank == passage.rank:
                decision = replace(decision, outcome="kept", reason="fits")
            yield decision
