"""The floor: what must stand, counted before anything is chosen. A choice that is over the budget can always fall back to it.

A minimum is filled with the best units of its section. Where that is over the budget, with those that come to the least, then
with the smallest, then with a part of the best, in a section that may be cut: the first that fits is the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from llmapp.errors import TokenBudgetExceededError
from llmapp.prompting.allocation.draft import Draft
from llmapp.prompting.allocation.filling import fill, in_order
from llmapp.prompting.allocation.parts import Section, Shorten
from llmapp.prompting.allocation.recount import Recount
from llmapp.prompting.allocation.units import Unit

NO_LIMIT = 1 << 60
"""More tokens than any request has."""

_Queues: TypeAlias = Mapping[str, Sequence[Unit]]
_Order: TypeAlias = Callable[[Draft, Sequence[Unit], int], Sequence[Unit]]
"""The units of a section in the order in which they are to fill what is left of its minimum. Tokens."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What must stand, and fits."""

    draft: Draft
    tokens: int
    """Of the whole request, counted."""


def lay_floor(
    queues: _Queues, *, budget_tokens: int, recount: Recount, fixed: Mapping[str, int], shorten: Shorten | None
) -> Floor:
    """Find what must stand: what is pinned, and the minimum of each section, with all that they require.

    Args:
        queues: Units of each section by its name, best first.
        budget_tokens: Tokens that the request may have.
        recount: Counts the request.
        fixed: Tokens of what is no item, by the name of its section; for the message of the error.
        shorten: Cuts an item; None cuts none.

    Raises:
        TokenBudgetExceededError: All that was found is over the budget.
    """
    floor: Floor | None = None
    for draft in _drafts(queues, shorten, recount, budget_tokens):
        tokens = recount(draft.standing)
        if floor is None or tokens < floor.tokens:
            floor = Floor(draft, tokens)
        if tokens <= budget_tokens:
            draft.left_tokens = budget_tokens - tokens
            return Floor(draft, tokens)
    if floor is None:
        raise AssertionError("there is always a first draft")
    asked = {name: tokens for name in queues if (tokens := floor.draft.got_tokens(name))}
    raise TokenBudgetExceededError(
        needed_tokens=floor.tokens,
        available_tokens=budget_tokens,
        sections={name: fixed.get(name, 0) + asked.get(name, 0) for name in {**fixed, **asked}},
    )


def _drafts(queues: _Queues, shorten: Shorten | None, recount: Recount, budget_tokens: int) -> Iterator[Draft]:
    """What may be the floor; the best first, each after it only where there are minimums and it is not what stood before."""
    seen: set[frozenset[Unit]] = set()
    for order in (_best_first, _least_sum, _smallest_first):
        draft = _draft(queues, order, shorten)
        if (standing := frozenset(draft.standing)) not in seen:
            seen.add(standing)
            yield draft
        if not any(queue[0].section.min_tokens for queue in queues.values() if queue):
            return
    if shorten is not None:
        draft = _draft(queues, _least_sum, None, is_left_out=_may_be_cut)
        draft.left_tokens = budget_tokens - recount(draft.standing)
        cuttable = [queue for queue in queues.values() if _may_be_cut(queue)]
        if cuttable and all(_cut_to_minimum(draft, queue, shorten, draft.left_tokens) for queue in cuttable):
            yield draft


def _draft(
    queues: _Queues,
    order: _Order,
    shorten: Shorten | None,
    *,
    is_left_out: Callable[[Sequence[Unit]], bool] = lambda _: False,
) -> Draft:
    """What is pinned, and the minimums of the sections that are not left out."""
    draft = Draft(NO_LIMIT)
    for queue in queues.values():
        for unit in queue:
            if unit.is_pinned and unit not in draft.standing:
                draft.add(draft.bid(unit))
    for queue in queues.values():
        if queue and queue[0].section.min_tokens and not is_left_out(queue):
            draft = _with_minimum(draft, queue, order, shorten)
    return draft


def _with_minimum(draft: Draft, queue: Sequence[Unit], order: _Order, shorten: Shorten | None) -> Draft:
    """Within the maximum of the section; where its units are too large for that, with a part, and at last beyond it."""
    section = queue[0].section
    missing_tokens = section.min_tokens - draft.got_tokens(section.name)
    most_tokens = NO_LIMIT if section.max_tokens is None else section.max_tokens
    trials = []
    for each in (order, _least_sum):
        trials.append(draft.copy())
        _fill(trials[-1], each(draft, queue, missing_tokens), most_tokens)
        if trials[-1].got_tokens(section.name) >= section.min_tokens:
            return trials[-1]
    room_tokens = most_tokens - trials[0].got_tokens(section.name)
    if shorten is not None and _may_be_cut(queue) and _cut_to_minimum(trials[0], queue, shorten, room_tokens):
        return trials[0]
    beyond = draft.copy()
    _fill(beyond, order(draft, queue, missing_tokens), NO_LIMIT)
    return beyond


def _fill(draft: Draft, queue: Sequence[Unit], most_tokens: int) -> None:
    section = queue[0].section if queue else Section("")
    most = dict.fromkeys((unit.section.name for other in queue for unit in (other, *other.needs)), NO_LIMIT)
    most[section.name] = most_tokens
    for unit in queue:
        if draft.got_tokens(section.name) >= section.min_tokens:
            return
        fill(draft, in_order([unit]), most)
        if section.contiguous and unit not in draft.standing:
            return


def _cut_to_minimum(draft: Draft, queue: Sequence[Unit], shorten: Shorten, most_tokens: int) -> bool:
    """Whether the section has its minimum, if need be with a part of the best unit that does not stand."""
    section = queue[0].section
    missing_tokens = section.min_tokens - draft.got_tokens(section.name)
    if missing_tokens <= 0:
        return True
    whole = next(
        (unit for unit in queue if unit.may_be_cut and unit not in draft.standing and not draft.repeats(unit)), None
    )
    part = None if whole is None else shorten(whole.items[0], most_tokens)
    if whole is None or part is None:
        return False
    bid = draft.bid(whole.cut_to(part))
    if not missing_tokens <= bid.tokens <= most_tokens:
        return False
    draft.add(bid)
    return True


def _may_be_cut(queue: Sequence[Unit]) -> bool:
    return bool(queue) and queue[0].section.min_tokens > 0 and queue[0].section.shrink == "sentences"


def _best_first(_draft: Draft, queue: Sequence[Unit], _missing_tokens: int) -> Sequence[Unit]:
    return queue


def _smallest_first(_draft: Draft, queue: Sequence[Unit], _missing_tokens: int) -> Sequence[Unit]:
    return queue if queue[0].section.contiguous else sorted(queue, key=lambda unit: (unit.tokens, unit.position))


def _least_sum(draft: Draft, queue: Sequence[Unit], missing_tokens: int) -> Sequence[Unit]:
    """First those whose tokens come to the least that is enough, by sums of subsets: bit n of a number says that n can be reached.

    The others follow, should these come to less beside each other, as overlapping spans and equal texts do.
    """
    free = [unit for unit in queue if unit not in draft.standing and unit.is_possible]
    if missing_tokens <= 0 or not free or queue[0].section.contiguous:
        return queue
    kept_bits = (1 << (missing_tokens + max(unit.tokens for unit in free) + 1)) - 1
    reached = [1]
    for unit in free:
        reached.append((reached[-1] | reached[-1] << unit.tokens) & kept_bits)
    enough = reached[-1] >> missing_tokens
    if not enough:
        return queue
    target = missing_tokens + (enough & -enough).bit_length() - 1
    chosen = []
    for unit, without in zip(reversed(free), reversed(reached[:-1]), strict=True):
        if not without >> target & 1:
            chosen.append(unit)
            target -= unit.tokens
    return [*reversed(chosen), *(unit for unit in _smallest_first(draft, queue, missing_tokens) if unit not in chosen)]
