"""The steps of an allocation, from the floor to the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import get_args

from llmapp.errors import PromptError
from llmapp.prompting.allocation.caps import Claim, shares
from llmapp.prompting.allocation.choice import choose
from llmapp.prompting.allocation.draft import Draft
from llmapp.prompting.allocation.filling import fill, gains_of
from llmapp.prompting.allocation.floor import NO_LIMIT, Floor, lay_floor
from llmapp.prompting.allocation.parts import (
    Allocation,
    CountRequest,
    Item,
    Optimizer,
    Section,
    Shorten,
    Similarity,
)
from llmapp.prompting.allocation.recount import Recount, put_back, repaired
from llmapp.prompting.allocation.report import Result, report_on
from llmapp.prompting.allocation.units import Unit, units_of

MIN_USEFUL_TOKENS = 24
"""No item is cut to add less: about a sentence. At 300 tokens .749 of the evidence is kept so, with 40 .743, with 12 .745, with
nothing cut .736; chosen on the questions that it is measured on (benchmarks/prompt_packing.py, 2026-11)."""
CUT_TRIES = 4
"""So many of the best that do not fit are tried: one may have no place to be cut, as a long table has none."""
GROWN = 2
"""So often a request that was counted cheaper than by the sums is filled up and counted again."""


def allocate(
    items: Sequence[Item],
    *,
    sections: Sequence[Section],
    budget_tokens: int,
    count_request: CountRequest,
    fixed: Mapping[str, int] | None = None,
    similarity: Similarity | None = None,
    shorten: Shorten | None = None,
    optimizer: Optimizer = "greedy",
    min_useful_tokens: int = MIN_USEFUL_TOKENS,
) -> Allocation:
    """Choose items for a prompt whose whole request fits the budget, by its exact count.

    The same input gives the same choice; so do items in another order, where they have values.

    Args:
        items: All that may go in; those of a section without values best first.
        sections: All sections, in the order of the prompt.
        budget_tokens: Tokens that the request may have.
        count_request: Counts the request with some items. Called for the floor, for the choice, and where sums were wrong
            for what is tried instead: seldom more than three times in all, at most ``log2(len(items)) + 10``.
        fixed: Tokens of what always stands and is no item, by the name of its section; for the message of the error.
        similarity: How far two items say the same; items with values count for what is new in them. None: all is new.
        shorten: Cuts an item; None leaves out what does not fit whole, whatever its section says.
        optimizer: ``greedy``, or ``exact`` for the optimum of each section whose items have values and whose costs add up.
        min_useful_tokens: Fewer tokens of an item are not worth cutting it.

    Raises:
        TokenBudgetExceededError: What must stand is over the budget.
        PromptError: Items or sections contradict each other, or the budget is below 0.
    """
    if budget_tokens < 0:
        raise PromptError(f"the budget is {budget_tokens:,} tokens", hint="a budget is 0 or more")
    if optimizer not in get_args(Optimizer):
        raise PromptError(f"there is no optimizer {optimizer!r}", hint=f"one of {', '.join(get_args(Optimizer))}")
    units = units_of(items, sections)
    queues: dict[str, list[Unit]] = {section.name: [] for section in sections}
    for unit in units:
        queues[unit.section.name].append(unit)
    recount = Recount(count_request)
    floor = lay_floor(queues, budget_tokens=budget_tokens, recount=recount, fixed=fixed or {}, shorten=shorten)
    most_tokens = _most_tokens(sections, floor, budget_tokens)
    run = _Run(sections, queues, most_tokens, similarity, shorten, optimizer, min_useful_tokens)
    draft, caps = run.chosen(floor.draft, budget_tokens)
    draft, used_tokens, given_back = run.proved(draft, floor, budget_tokens, recount)
    return report_on(Result(draft, floor, caps, given_back, used_tokens, recount.counts, similarity), units, sections)


def _most_tokens(sections: Sequence[Section], floor: Floor, budget_tokens: int) -> dict[str, int]:
    """What each section may have at most, by its own claim."""
    of_items = sum(cost.tokens for cost in floor.draft.standing.values())
    room_tokens = max(0, floor.draft.left_tokens + of_items)
    return {
        section.name: _most(section, budget_tokens if section.stability == "static" else room_tokens) for section in sections
    }


def _most(section: Section, room_tokens: int) -> int:
    # A whole share is no limit: by the sums, items may come to more than the room and fit all the same.
    share = int(room_tokens * section.max_share) if section.max_share < 1 else NO_LIMIT
    return share if section.max_tokens is None else min(share, section.max_tokens)


@dataclass(frozen=True, slots=True)
class _Run:
    """One allocation, from the floor to a choice that was counted."""

    sections: Sequence[Section]
    queues: Mapping[str, Sequence[Unit]]
    most_tokens: Mapping[str, int]
    similarity: Similarity | None
    shorten: Shorten | None
    optimizer: Optimizer
    min_useful_tokens: int

    def chosen(self, draft: Draft, budget_tokens: int) -> tuple[Draft, dict[str, int]]:
        """The choice by the sums, and the cap that each section had."""
        static = [section for section in self.sections if section.stability == "static"]
        caps = {section.name: self._can_use(section) for section in static}
        fixed = draft.copy()
        fixed.left_tokens = budget_tokens
        for section in static:
            fixed = self._section(fixed, section, caps)
        fits = budget_tokens - fixed.left_tokens <= draft.left_tokens
        if fits:
            fixed.left_tokens += draft.left_tokens - budget_tokens
            draft = fixed
        shared = [section for section in self.sections if not (fits and section.stability == "static")]
        for _, tier in groupby(sorted(shared, key=lambda section: section.tier), key=lambda section: section.tier):
            draft = self._tier(draft, list(tier), caps)
        self._pass_on(draft)
        return draft, caps

    def proved(self, draft: Draft, floor: Floor, budget_tokens: int, recount: Recount) -> tuple[Draft, int, list[Unit]]:
        """A choice whose request was counted and fits, its count, and what it took to make it fit."""
        if draft.standing.keys() == floor.draft.standing.keys():
            return self._grown(draft, floor.tokens, budget_tokens, recount)
        used_tokens = recount(draft.standing)
        if used_tokens <= budget_tokens:
            return self._grown(draft, used_tokens, budget_tokens, recount)
        draft, used_tokens, given_back = repaired(
            draft,
            used_tokens,
            floor=floor.draft.standing.keys(),
            floor_tokens=floor.tokens,
            budget_tokens=budget_tokens,
            recount=recount,
        )
        draft, used_tokens = put_back(
            draft, used_tokens, given_back, self.most_tokens, budget_tokens=budget_tokens, recount=recount
        )
        return draft, used_tokens, given_back

    def _tier(self, draft: Draft, tier: Sequence[Section], caps: dict[str, int]) -> Draft:
        claims = [
            Claim(section.weight, has := draft.got_tokens(section.name), max(has, self._can_use(section)))
            for section in tier
        ]
        caps |= dict(zip([section.name for section in tier], shares(claims, draft.left_tokens), strict=True))
        for section in tier:
            draft = self._section(draft, section, caps)
        return draft

    def _section(self, draft: Draft, section: Section, caps: Mapping[str, int]) -> Draft:
        queue = self.queues[section.name]
        if not queue:
            return draft
        most = {**self.most_tokens, section.name: caps[section.name]}
        return choose(draft, queue, most, similarity=self.similarity, optimizer=self.optimizer)

    def _can_use(self, section: Section) -> int:
        """What the section may have, or what its items come to if that is less."""
        asked = sum(unit.tokens for unit in self.queues[section.name])
        return min(asked, self.most_tokens[section.name])

    def _pass_on(self, draft: Draft) -> None:
        """Give what is left to whole items, tier by tier, and then to the best that does not fit in each section."""
        volatile = sorted((s for s in self.sections if s.stability != "static"), key=lambda section: section.tier)
        for section in volatile:
            fill(draft, gains_of(draft, self.queues[section.name], self.similarity), self.most_tokens)
        for section in volatile:
            if section.shrink == "sentences":
                self._cut(draft, section)

    def _cut(self, draft: Draft, section: Section) -> None:
        """Let a part of the best item stand that does not fit whole, and can be cut."""
        room_tokens = min(draft.left_tokens, self.most_tokens[section.name] - draft.got_tokens(section.name))
        if self.shorten is None or room_tokens < self.min_useful_tokens or draft.cut.intersection(self.queues[section.name]):
            return
        out = (unit for unit in self.queues[section.name] if unit not in draft.standing and not draft.repeats(unit))
        for unit in islice(out, 1 if section.contiguous else CUT_TRIES):
            if not unit.may_be_cut:
                continue
            # Where its beginning stands already, a longer part costs no more than the room.
            saved_tokens = unit.tokens - draft.bid(unit).tokens
            for most_tokens in dict.fromkeys((room_tokens + saved_tokens, room_tokens)):
                part = self.shorten(unit.items[0], most_tokens)
                if part is None:
                    continue
                bid = draft.bid(unit.cut_to(part))
                if bid.tokens >= self.min_useful_tokens and draft.has_room(bid, self.most_tokens):
                    draft.add(bid)
                    return

    def _grown(self, draft: Draft, used_tokens: int, budget_tokens: int, recount: Recount) -> tuple[Draft, int, list[Unit]]:
        """Fill up a request that has more room than the sums said."""
        for _ in range(GROWN):
            draft.left_tokens = budget_tokens - used_tokens
            larger = draft.copy()
            self._pass_on(larger)
            if len(larger.standing) == len(draft.standing):
                break
            tokens = recount(larger.standing)
            if tokens > budget_tokens:
                break
            draft, used_tokens = larger, tokens
        return draft, used_tokens, []
