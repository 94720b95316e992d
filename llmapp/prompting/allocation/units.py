"""What stands or falls together: an item alone or a group, with all that it requires, in the order of their worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from llmapp.errors import PromptError
from llmapp.prompting.allocation.parts import Item, Section


@dataclass(eq=False, slots=True)
class Unit:
    """The least that can be chosen."""

    items: tuple[Item, ...]
    section: Section
    value: float | None
    """Of all items together; None where the order decides."""
    place: int
    """Of its section among the sections, from 0."""
    position: int = 0
    """In the order of sections and of worth, from 0."""
    needs: tuple[Unit, ...] = ()
    """Units of other items without which it may not stand, directly or through others."""
    is_possible: bool = True
    """Whether all that it requires is among the candidates."""
    whole: Unit | None = None
    """The unit of which this is a part; None where nothing was cut."""

    tokens: int = field(init=False)
    """Of its items, each alone."""

    def __post_init__(self) -> None:
        """Add up the tokens."""
        self.tokens = sum(item.tokens for item in self.items)

    @property
    def is_pinned(self) -> bool:
        """Whether one of its items must stand."""
        return any(item.pinned for item in self.items)

    @property
    def may_be_cut(self) -> bool:
        """Whether it is one item that requires no other."""
        return len(self.items) == 1 and not self.needs and self.is_possible

    def cut_to(self, part: Item) -> Unit:
        """The unit of a part of its item."""
        return Unit((part,), self.section, self.value, self.place, self.position, whole=self)


def units_of(items: Sequence[Item], sections: Sequence[Section]) -> list[Unit]:
    """All units, by section in the order of `sections`; within one best first.

    By value, then by score, then by id; those without a value behind, in the order in which they came. In a contiguous
    section the order in which they came is all.

    Raises:
        PromptError: Two items have one id, two sections one name, an item names no section, a group lies in two, or a
            pinned item requires what is not there.
    """
    places = {section.name: (index, section) for index, section in enumerate(sections)}
    if len(places) < len(sections):
        raise PromptError("two sections have the same name", hint="give each section a name of its own")
    found: list[tuple[tuple[object, ...], Unit]] = []
    for number, members in enumerate(_groups(items)):
        unit = _unit(members, places)
        found.append(((unit.place, *_worth(unit, number)), unit))
    found.sort(key=lambda pair: pair[0])
    units = [unit for _, unit in found]
    for position, unit in enumerate(units):
        unit.position = position
    _link(units)
    return units


def _groups(items: Sequence[Item]) -> Iterable[list[Item]]:
    """The items, those of a group together, in the order of their first."""
    groups: dict[object, list[Item]] = {}
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise PromptError(f"two items have the id {item.id}", hint="give each item an id of its own")
        seen.add(item.id)
        groups.setdefault(item if item.group is None else (item.group,), []).append(item)
    return groups.values()


def _unit(members: list[Item], places: dict[str, tuple[int, Section]]) -> Unit:
    name = members[0].section
    if name not in places:
        raise PromptError(f"item {members[0].id} is of section {name}, which is none", hint=f"one of {', '.join(places)}")
    place, section = places[name]
    if len(members) == 1:
        return Unit((members[0],), section, None if section.contiguous else members[0].value, place)
    if any(item.section != name for item in members):
        raise PromptError(f"group {members[0].group} lies in two sections", hint="keep a group within one section")
    values = [item.value for item in members if item.value is not None]
    if section.contiguous or len(values) < len(members):
        return Unit(tuple(members), section, None, place)
    return Unit(tuple(sorted(members, key=lambda item: item.id)), section, sum(values), place)


def _worth(unit: Unit, number: int) -> tuple[object, ...]:
    """The better, the smaller."""
    if unit.value is None:
        return (1, 0.0, 0.0, "", number)
    score = max((item.score for item in unit.items if item.score is not None), default=float("-inf"))
    return (0, -unit.value, -score, unit.items[0].id, 0)


def _link(units: Sequence[Unit]) -> None:
    """Find what each unit needs."""
    if not any(item.requires for unit in units for item in unit.items):
        return
    by_id = {item.id: unit for unit in units for item in unit.items}
    for unit in units:
        needs, missing = _closure(unit, by_id)
        if missing and unit.is_pinned:
            raise PromptError(
                f"pinned item {unit.items[0].id} requires {missing[0]}, which is not there", hint="add it to the items"
            )
        unit.needs, unit.is_possible = needs, not missing


def _closure(unit: Unit, by_id: dict[str, Unit]) -> tuple[tuple[Unit, ...], list[str]]:
    """All that a unit needs, in their order, and the ids that are not there."""
    found: set[Unit] = {unit}
    missing: list[str] = []
    queue = [unit]
    while queue:
        for item in queue.pop().items:
            for name in item.requires:
                needed = by_id.get(name)
                if needed is None:
                    missing.append(name)
                elif needed not in found:
                    found.add(needed)
                    queue.append(needed)
    found.remove(unit)
    return tuple(sorted(found, key=lambda needed: needed.position)), missing
