"""A choice in the making: what stands, and what it is reckoned to cost. Sums only choose; they prove nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from llmapp.prompting.allocation.coverage import Coverage, Passages
from llmapp.prompting.allocation.parts import Item
from llmapp.prompting.allocation.units import Unit


class Bid(NamedTuple):
    """A unit with those that it needs and that do not stand yet, at their price."""

    units: tuple[Unit, ...]
    """What it needs first, the unit itself last."""
    costs: tuple[Cost, ...]
    """Of each of the units."""
    tokens: int
    """Of all of them."""


class Cost(NamedTuple):
    """What a unit adds."""

    tokens: int
    by_item: tuple[int, ...]
    """Of each of its items, in their order."""
    joining: tuple[Item, ...] = ()
    """Those that join a passage that stands already."""


class Draft:
    """What stands so far, with what is left of the budget."""

    def __init__(self, left_tokens: int) -> None:
        """Begin with nothing."""
        self.left_tokens = left_tokens
        self.standing: dict[Unit, Cost] = {}
        """In the order in which they were chosen."""
        self.cut: set[Unit] = set()
        """Units of which a part stands."""
        self.value = 0.0
        """Of all that was added with a gain."""
        self._got: defaultdict[str, int] = defaultdict(int)
        self._coverage = Coverage()
        self._bids: dict[Unit, tuple[Passages | None, Bid]] = {}  # good for these passages; shared with copies
        self._texts: set[tuple[str, str | None]] = set()

    def copy(self) -> Draft:
        """Another one that holds the same."""
        other = Draft(self.left_tokens)
        other.standing, other.value = self.standing.copy(), self.value
        other.cut = self.cut.copy()
        other._got, other._texts = self._got.copy(), self._texts.copy()
        other._coverage, other._bids = self._coverage.copy(), self._bids
        return other

    def got_tokens(self, section: str) -> int:
        """What the units of a section are reckoned to cost."""
        return self._got[section]

    def repeats(self, unit: Unit) -> bool:
        """Whether a unit is one item whose text stands already in its section, which wants no copies."""
        item = unit.items[0]
        is_known = len(unit.items) == 1 and item.text is not None and (item.section, item.text) in self._texts
        return is_known and not unit.section.copies

    def bid(self, unit: Unit) -> Bid:
        """What a unit would cost now."""
        if not unit.needs and len(unit.items) == 1:
            return self._bid_alone(unit)
        units = (*(needed for needed in unit.needs if needed not in self.standing), unit)
        coverage = self._coverage.copy()
        costs = tuple(_cost(each, coverage) for each in units)
        return Bid(units, costs, sum(cost.tokens for cost in costs))

    def _bid_alone(self, unit: Unit) -> Bid:
        item = unit.items[0]
        passages = self._coverage.passages(item)
        known = self._bids.get(unit)
        if known is None or known[0] is not passages:
            cost = _cost_alone(item, self._coverage)
            known = self._bids[unit] = passages, Bid((unit,), (cost,), cost.tokens)
        return known[1]

    def has_room(self, bid: Bid, most_tokens: Mapping[str, int]) -> bool:
        """Whether a bid is within what is left, and within what each section may have."""
        if bid.tokens > self.left_tokens:
            return False
        if len(bid.units) == 1:
            name = bid.units[0].section.name
            return self._got[name] + bid.tokens <= most_tokens[name]
        asked: defaultdict[str, int] = defaultdict(int)
        for unit, cost in zip(bid.units, bid.costs, strict=True):
            asked[unit.section.name] += cost.tokens
        return all(self._got[name] + tokens <= most_tokens[name] for name, tokens in asked.items())

    def add(self, bid: Bid, *, gain: float = 0.0) -> None:
        """Let the units of a bid stand, and reckon their value with what they gain."""
        for unit, cost in zip(bid.units, bid.costs, strict=True):
            self.standing[unit] = cost
            self._got[unit.section.name] += cost.tokens
            if unit.whole is not None:
                self.cut.add(unit.whole)
            for item in unit.items:
                self._coverage.add(item)
                self._texts.add((item.section, item.text))
        self.left_tokens -= bid.tokens
        self.value += gain

    def remove(self, unit: Unit, *, gain: float) -> None:
        """Let a unit stand no more whose items have no spans, and take its gain off again."""
        cost = self.standing.pop(unit)
        self._got[unit.section.name] -= cost.tokens
        self._texts -= {(item.section, item.text) for item in unit.items}
        self.left_tokens += cost.tokens
        self.value -= gain

    def rebuilt(self, units: Iterable[Unit], *, left_tokens: int) -> Draft:
        """A draft of these units alone, each charged anew in the order of their positions."""
        other = Draft(left_tokens)
        for unit in sorted(units, key=lambda unit: unit.position):
            is_alone = len(unit.items) == 1
            cost = _cost_alone(unit.items[0], other._coverage) if is_alone else _cost(unit, other._coverage.copy())
            other.add(Bid((unit,), (cost,), 0))
        return other


def _cost_alone(item: Item, coverage: Coverage) -> Cost:
    tokens, joins = coverage.charge(item)
    return Cost(tokens, (tokens,), (item,) if joins else ())


def _cost(unit: Unit, coverage: Coverage) -> Cost:
    """The cost of a unit whose items are charged one behind the other; the coverage holds them afterwards."""
    by_item, joining = [], []
    for item in unit.items:
        tokens, joins = coverage.charge(item)
        by_item.append(tokens)
        if joins:
            joining.append(item)
        coverage.add(item)
    return Cost(sum(by_item), tuple(by_item), tuple(joining))
