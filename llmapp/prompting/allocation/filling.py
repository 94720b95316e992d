"""Fills a section: its units in an order of worth, each that has room."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from llmapp.prompting.allocation.draft import Draft
from llmapp.prompting.allocation.parts import Similarity
from llmapp.prompting.allocation.units import Unit


class Gain(NamedTuple):
    """A unit with what it would add to the value of a draft."""

    unit: Unit
    value: float


def fill(draft: Draft, gains: Iterator[Gain], most_tokens: Mapping[str, int]) -> None:
    """Add each unit that has room, in order; in a contiguous section up to the first that has none.

    Args:
        draft: Is added to.
        gains: Units of one section, see `in_order` and `by_novelty`.
        most_tokens: What each section may have, by name.
    """
    for unit, gain in gains:
        if unit in draft.cut and unit.section.contiguous:  # the rest of it would be a gap
            return
        if unit in draft.standing or unit in draft.cut or not unit.is_possible:
            continue
        bid = draft.bid(unit)
        has_room = draft.has_room(bid, most_tokens)
        if not has_room and not unit.section.contiguous:
            continue
        if draft.repeats(unit):
            continue
        if not has_room:
            return
        draft.add(bid, gain=gain)


def in_order(queue: Sequence[Unit]) -> Iterator[Gain]:
    """The units as they stand, each with its own value."""
    for unit in queue:
        yield Gain(unit, unit.value or 0.0)


def gains_of(
    draft: Draft, queue: Sequence[Unit], similarity: Similarity | None, *, per_token: bool = False
) -> Iterator[Gain]:
    """The units of a section in the order in which they are to be tried.

    Args:
        draft: What stands.
        queue: The units, best first.
        similarity: Of two items; None takes each for new, and so does a section that has items without values.
        per_token: Whether values are divided by tokens for the order.
    """
    if similarity is not None and is_calibrated(queue):
        return by_novelty(draft, queue, similarity, per_token=per_token)
    if per_token:
        queue = sorted(queue, key=lambda unit: (-_worth(unit, unit.value or 0.0, per_token=True), unit.position))
    return in_order(queue)


def is_calibrated(queue: Sequence[Unit]) -> bool:
    """Whether every unit of a section has a value."""
    return all(unit.value is not None for unit in queue)


def by_novelty(draft: Draft, queue: Sequence[Unit], similarity: Similarity, *, per_token: bool) -> Iterator[Gain]:
    """Units by what they add to those that stand by then: their value times how far they are from the nearest of them.

    Maximal marginal relevance (Carbonell and Goldstein 1998) as a product. A unit that says what another says does not come.

    Args:
        draft: Is read again before each unit, for what has come to stand.
        queue: Units of one section, each with a value.
        similarity: Of two items.
        per_token: Whether the gain is divided by the tokens of the unit, for the order; the gain given is whole.
    """
    nearest = dict.fromkeys(queue, 0.0)
    compared = dict.fromkeys(queue, 0)
    names = {unit.section.name for unit in queue}
    standing: list[Unit] = []
    seen = -1
    heap = [(-_worth(unit, unit.value or 0.0, per_token=per_token), unit.position, unit) for unit in queue]
    heapq.heapify(heap)
    while heap:
        worth, _, unit = heapq.heappop(heap)
        if seen != (seen := len(draft.standing)):
            standing = [other for other in draft.standing if other.section.name in names]
        for other in standing[compared[unit] :]:
            nearest[unit] = max(nearest[unit], likeness(unit, other, similarity))
        compared[unit] = len(standing)
        if nearest[unit] >= 1:
            continue
        gain = (unit.value or 0.0) * (1.0 - nearest[unit])
        now = -_worth(unit, gain, per_token=per_token)
        if now > worth:
            heapq.heappush(heap, (now, unit.position, unit))
        else:
            yield Gain(unit, gain)


def _worth(unit: Unit, gain: float, *, per_token: bool) -> float:
    return gain / max(1, unit.tokens) if per_token else gain


def likeness(unit: Unit, other: Unit, similarity: Similarity) -> float:
    """How far a unit says what another does: the nearest of their items."""
    return max(similarity(item, standing) for item in unit.items for standing in other.items)
