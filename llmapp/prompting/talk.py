"""A conversation as candidates for a prompt: the newest turns by their claim, and what came before as a summary or in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from llmapp.errors import ModelError
from llmapp.frames import frame_summary
from llmapp.prompting.allocation import Item, Section
from llmapp.prompting.history import LOW_SHARE, Summaries, Turn, beginnings, turns_of
from llmapp.prompting.layout import TalkItem
from llmapp.prompting.sections import EARLIER, HISTORY, SUMMARY
from llmapp.protocols import TokenCounter
from llmapp.types import Message


@dataclass(frozen=True, slots=True)
class Talk:
    """What was said before."""

    items: Sequence[TalkItem]
    """The summary, if there is one, and the turns that may stand, newest first: earlier ones in blocks, then those since."""
    older: Sequence[TalkItem]
    """The turns before."""
    summary: Turn
    """Empty where there is none."""
    problem: str
    """Why there is no summary; empty where none is wanted, or there is one."""

    def notes(self, kept: Sequence[Item]) -> Iterator[str]:
        """What a reader of the answer should know: turns that the prompt holds neither whole nor in short."""
        standing = {item.id for item in kept}
        left_out = sum(item.id not in standing for item in self.items if item.section in {EARLIER, HISTORY})
        if not any(item.section == SUMMARY and item.id in standing for item in self.items):
            left_out += len(self.older)
        if left_out:
            turns = "the first turn" if left_out == 1 else f"the first {left_out} turns"
            why = f"; no summary of what was said: {self.problem}" if self.problem else ""
            yield f"left out for want of room: {turns} of the conversation{why}"


def talk_of(
    history: Sequence[Message],
    sections: Sequence[Section],
    *,
    counter: TokenCounter,
    budget_tokens: int,
    summaries: Summaries | None,
) -> Talk:
    """Cut a conversation at its watermarks.

    Args:
        history: Earlier turns, oldest first.
        sections: Those of the prompt; the maximum of the history is the high watermark.
        counter: Counts turns, and the request for a summary.
        budget_tokens: Most tokens of that request.
        summaries: Writes the summary; None leaves it out.

    Raises:
        PromptError: The history holds a system message.
        CostError: A summary could not be paid.
    """
    turns = turns_of(history)
    every = talk_items(HISTORY, "turn", turns, counter)
    high_tokens = next(section.max_tokens or 0 for section in sections if section.name == HISTORY)
    low_tokens = int(high_tokens * LOW_SHARE)
    begun = beginnings([item.tokens for item in every], high_tokens=high_tokens, low_tokens=low_tokens)
    older, newer = every[: begun[-1]], every[begun[-1] :]
    summary, problem = _written(turns, begun, counter, budget_tokens, summaries) if summaries and older else ((), "")
    items = talk_items(SUMMARY, "summary", [summary] if summary else [], counter)
    earlier: list[TalkItem] = []
    if summaries is None and not any(section.name == EARLIER and section.max_tokens == 0 for section in sections):
        older, earlier = [], _in_blocks(older, begun, newer)
    return Talk([*items, *reversed(earlier), *reversed(newer)], older, summary, problem)


def _in_blocks(older: Sequence[TalkItem], begun: Sequence[int], newer: Sequence[TalkItem]) -> list[TalkItem]:
    """Turns from before the beginning, those between two beginnings together: so what comes back moves as seldom as they do.

    None stands without all that are newer, for a conversation has no gap.
    """
    since = tuple(item.id for item in newer)
    return [
        replace(item, section=EARLIER, group=f"{EARLIER} {number}", requires=since if place == begin else ())
        for number, (begin, end) in enumerate(pairwise(begun), start=1)
        for place, item in enumerate(older[begin:end], start=begin)
    ]


def talk_items(section: str, name: str, talks: Sequence[Sequence[Message]], counter: TokenCounter) -> list[TalkItem]:
    """Messages that stand or fall together as items of a section, named by their numbers."""
    empty_tokens = counter.count_request(())
    return [
        TalkItem(
            id=f"{section} {number}",
            section=section,
            tokens=counter.count_request(messages) - empty_tokens,
            name=name if section == SUMMARY else f"{name} {number}",
            messages=tuple(messages),
            place=number,
        )
        for number, messages in enumerate(talks, start=1)
    ]


def _written(
    turns: Sequence[Turn], begun: Sequence[int], counter: TokenCounter, budget_tokens: int, summaries: Summaries
) -> tuple[Turn, str]:
    """The turns before the beginning in short, as a turn of its own, or what went wrong."""
    try:
        text = summaries.of(turns, begun, fits=lambda request: counter.count_request(request) <= budget_tokens)
    except ModelError as error:
        return (), error.message
    if not text:
        return (), "none was written"
    return (Message("user", frame_summary(text)), Message("assistant", "Noted.")), ""
