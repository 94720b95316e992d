"""The floor: what must stand, counted before anything is chosen. A choice that is over the budget can always fall back to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmapp.errors import TokenBudgetExceededError
from llmapp.prompting.allocation.draft import Draft
from llmapp.prompting.allocation.filling import fill, in_order
from llmapp.prompting.allocation.parts import Section
from llmapp.prompting.allocation.recount import Recount
from llmapp.prompting.allocation.units import Unit

NO_LIMIT = 1 << 60
"""More tokens than any request has."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What must stand, and fits."""

    draft: Draft
    tokens: int
    """Of the whole request, counted."""


def lay_floor(
    queues: Mapping[str, Sequence[Unit]], *, budget_tokens: int, recount: Recount, fixed: Mapping[str, int]
) -> Floor:
    """Find what must stand: what is pinned, and the minimum of each section, with all that they require.

    A minimum is filled with the best units of its section. Where that is over the budget, with its smallest.

    Args:
        queues: Units of each section by its name, best first.
        budget_tokens: Tokens that the request may have.
        recount: Counts the request.
        fixed: Tokens of what is no item, by the name of its section; for the message of the error.

    Raises:
        TokenBudgetExceededError: The smaller of the two is over the budget.
    """
    best = _draft(queues)
    needed_tokens = recount(best.standing)
    if needed_tokens > budget_tokens and any(queue[0].section.min_tokens for queue in queues.values() if queue):
        smallest = _draft({name: sorted(queue, key=_size) for name, queue in queues.items()})
        if smallest.standing.keys() != best.standing.keys() and (tokens := recount(smallest.standing)) < needed_tokens:
            best, needed_tokens = smallest, tokens
    if needed_tokens > budget_tokens:
        asked = {name: best.got_tokens(name) for name in queues if best.got_tokens(name)}
        raise TokenBudgetExceededError(
            needed_tokens=needed_tokens,
            available_tokens=max(0, budget_tokens),
            sections={name: fixed.get(name, 0) + asked.get(name, 0) for name in {**fixed, **asked}},
        )
    best.left_tokens = budget_tokens - needed_tokens
    return Floor(best, needed_tokens)


def _draft(queues: Mapping[str, Sequence[Unit]]) -> Draft:
    draft = Draft(NO_LIMIT)
    for queue in queues.values():
        for unit in queue:
            if unit.is_pinned and unit not in draft.standing:
                draft.add(draft.bid(unit))
    for queue in queues.values():
        if queue and queue[0].section.min_tokens:
            _add_minimum(draft, queue, queue[0].section)
    return draft


def _add_minimum(draft: Draft, queue: Sequence[Unit], section: Section) -> None:
    most = dict.fromkeys((unit.section.name for other in queue for unit in (other, *other.needs)), NO_LIMIT)
    most[section.name] = NO_LIMIT if section.max_tokens is None else section.max_tokens
    for unit in queue:
        if draft.got_tokens(section.name) >= section.min_tokens:
            return
        fill(draft, in_order([unit]), most)
        if section.contiguous and unit not in draft.standing:
            return


def _size(unit: Unit) -> tuple[int, int]:
    return (0 if unit.section.contiguous else unit.tokens, unit.position)
