"""The exact count of the whole request, which alone proves that a choice fits; and what is done when it does not.

Token counts do not add up, so nothing here assumes that they do, nor that fewer items have fewer tokens: a choice is
believed once it was counted. What is given back follows a fixed order, and the search ends at the floor at worst.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate, count

from llmapp.prompting.allocation.draft import Draft
from llmapp.prompting.allocation.parts import CountRequest, Item
from llmapp.prompting.allocation.units import Unit

GUESSES = 4
"""So often the number of units to give back is guessed, before it is searched by halves."""
PUT_BACK = 2
"""So often a unit that was given back is tried once more."""


class Recount:
    """Counts requests, and how many it has counted."""

    def __init__(self, count_request: CountRequest) -> None:
        """Take the counter."""
        self._count_request = count_request
        self.counts = 0

    def __call__(self, units: Iterable[Unit]) -> int:
        """Tokens of the whole request with the items of these units."""
        self.counts += 1
        return self._count_request(items_of(units))


def items_of(units: Iterable[Unit]) -> list[Item]:
    """Their items, by section and best first, in whatever order they were chosen."""
    return [item for unit in sorted(units, key=lambda unit: unit.position) for item in unit.items]


def repaired(
    draft: Draft, used_tokens: int, *, floor: Collection[Unit], floor_tokens: int, budget_tokens: int, recount: Recount
) -> tuple[Draft, int, list[Unit]]:
    """Give back units of a draft that is over the budget until its count fits.

    How many is guessed between two counts, as if they grew with the sums, and after `GUESSES` searched by halves: at most
    ``log2(n) + 5`` counts for n units. It ends where, as it seems, one less would not do.

    Returns:
        The draft without them, its count, and what was given back, the first given back first.
    """
    order = removal_order(draft, floor)
    costs = list(accumulate((sum(draft.standing[unit].tokens for unit in batch) for batch in order), initial=0))
    too_few, fits = 0, len(order)
    counted = {0: used_tokens, fits: floor_tokens}
    for tried in count():
        # What one token by the sums has come to, between the two counts that enclose the budget.
        scale = (counted[too_few] - counted[fits]) / max(1, costs[fits] - costs[too_few])
        if fits - too_few == 1 or (costs[fits] - costs[fits - 1]) * scale > budget_tokens - counted[fits]:
            break
        probe = (too_few + fits) // 2
        if tried < GUESSES and scale > 0:
            guess = bisect_left(costs, costs[too_few] + (counted[too_few] - budget_tokens) / scale)
            probe = min(max(guess, too_few + 1), fits - 1)
        counted[probe] = recount(draft.standing.keys() - _first(order, probe))
        if counted[probe] <= budget_tokens:
            fits = probe
        else:
            too_few = probe
    given_back = _first(order, fits)
    rest = draft.standing.keys() - given_back
    return draft.rebuilt(rest, left_tokens=budget_tokens - counted[fits]), counted[fits], given_back


def put_back(
    draft: Draft,
    used_tokens: int,
    given_back: Sequence[Unit],
    most_tokens: Mapping[str, int],
    *,
    budget_tokens: int,
    recount: Recount,
) -> tuple[Draft, int]:
    """Try once more what was given back, the last first, where by the sums there is room for it."""
    tries, shut = 0, set()
    for unit in reversed(given_back):
        if tries == PUT_BACK:
            break
        if unit in draft.standing or unit.section.name in shut:
            continue
        bid = draft.bid(unit)
        if draft.has_room(bid, most_tokens):
            tries += 1
            tokens = recount([*draft.standing, *bid.units])
            if tokens <= budget_tokens:
                draft.add(bid)
                used_tokens, draft.left_tokens = tokens, budget_tokens - tokens
                continue
        if unit.section.contiguous:
            shut.add(unit.section.name)
    return draft, used_tokens


def removal_order(draft: Draft, floor: Collection[Unit]) -> list[list[Unit]]:
    """What may be given back, the first to go first: each with all that need it and have not gone before.

    Static sections go last, then the lower tiers. In a section what is worth least for its tokens goes first, or what
    stands last where there are no values.
    """
    removable = [unit for unit in draft.standing if unit not in floor]
    removable.sort(key=lambda unit: _precedence(draft, unit))
    if not any(unit.needs for unit in removable):
        return [[unit] for unit in removable]
    order: list[list[Unit]] = []
    gone: set[Unit] = set()
    for unit in removable:
        if unit not in gone:
            order.append([other for other in removable if other not in gone and (unit in other.needs or other is unit)])
            gone.update(order[-1])
    return order


def _first(order: Sequence[Sequence[Unit]], number: int) -> list[Unit]:
    return [unit for batch in order[:number] for unit in batch]


def _precedence(draft: Draft, unit: Unit) -> tuple[float, ...]:
    section = unit.section
    density = -1.0 if unit.value is None else unit.value / max(1, draft.standing[unit].tokens)
    return (section.stability == "static", -section.tier, -unit.place, density, -unit.position)
