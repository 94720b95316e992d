"""Says of every item what became of it and why, and of every section what it asked for and got."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from llmapp.prompting.allocation import parts
from llmapp.prompting.allocation.draft import Draft
from llmapp.prompting.allocation.filling import likeness
from llmapp.prompting.allocation.floor import Floor
from llmapp.prompting.allocation.parts import Allocation, Item, Section, Similarity
from llmapp.prompting.allocation.recount import items_of
from llmapp.prompting.allocation.units import Unit
from llmapp.types import Decision, Outcome, SectionShare


@dataclass(frozen=True, slots=True)
class Result:
    """What an allocation has come to."""

    draft: Draft
    """What stands."""
    floor: Floor
    """What had to stand."""
    caps: Mapping[str, int]
    """The cap that each section had, by name."""
    given_back: Collection[Unit]
    """What had been chosen and was taken out again; some of it may stand all the same."""
    used_tokens: int
    """The count of the request."""
    counts: int
    """How often one was counted."""
    similarity: Similarity | None
    """Of two items, by which those with values were chosen."""


def report_on(result: Result, units: Sequence[Unit], sections: Sequence[Section]) -> Allocation:
    """The allocation, with a decision on every item.

    Args:
        result: What it has come to.
        units: All units, by position.
        sections: All sections, in the order of the prompt.
    """
    stands = {unit.whole or unit: unit for unit in result.draft.standing}
    why = _Why(result)
    decisions = [line for unit in units for line in why.lines(unit, stands.get(unit))]
    return Allocation(
        kept=tuple(items_of(result.draft.standing)),
        trimmed=tuple(items_of(unit for unit in result.draft.standing if unit.whole)),
        decisions=tuple(decisions),
        sections=tuple(_share(section, units, result) for section in sections),
        used_tokens=result.used_tokens,
        counts=result.counts,
    )


def _share(section: Section, units: Sequence[Unit], result: Result) -> SectionShare:
    got = result.draft.got_tokens(section.name)
    return SectionShare(
        name=section.name,
        tier=section.tier,
        asked_tokens=sum(item.tokens for unit in units if unit.section is section for item in unit.items),
        min_tokens=section.min_tokens,
        max_tokens=max(result.caps[section.name], got),
        got_tokens=got,
    )


class _Why:
    """Finds the reasons; asked for the units in order of their positions."""

    def __init__(self, result: Result) -> None:
        self._draft = result.draft
        self._floor = result.floor.draft.standing
        self._given_back = {unit.whole or unit for unit in result.given_back}
        self._needed = {needed for unit in self._draft.standing for needed in unit.needs}
        self._gaps: set[str] = set()
        self._similarity = result.similarity

    def lines(self, unit: Unit, standing: Unit | None) -> list[Decision]:
        """The decisions on the items of a unit, `standing` being itself or its part."""
        if standing is None:
            reason = self._against(unit)
            return [_line(item, "dropped", reason) for item in unit.items]
        if standing is not unit and unit.section.contiguous:
            self._gaps.add(unit.section.name)
        cost = self._draft.standing[standing]
        lines = []
        for item, tokens in zip(standing.items, cost.by_item, strict=True):
            outcome, reason = self._for(unit, item, is_cut=standing is not unit, joins=item in cost.joining)
            lines.append(_line(item, outcome, reason, tokens))
        return lines

    def _for(self, unit: Unit, item: Item, *, is_cut: bool, joins: bool) -> tuple[Outcome, str]:
        if is_cut:
            return "trimmed", parts.CUT
        reason = parts.FITS
        if item.pinned:
            reason = parts.PINNED
        elif unit in self._needed:
            reason = parts.REQUIRED
        elif unit in self._floor:
            reason = parts.MINIMUM
        elif joins:
            reason = parts.MERGED
        return ("merged" if joins else "kept"), reason

    def _against(self, unit: Unit) -> str:
        if not unit.is_possible:
            return parts.REQUIREMENT_MISSING
        if self._draft.repeats(unit):
            return parts.DUPLICATE_TEXT
        is_behind = unit.section.name in self._gaps
        if unit.section.contiguous:
            self._gaps.add(unit.section.name)
        if self._says_nothing_new(unit):
            return parts.NOTHING_NEW
        if unit in self._given_back:
            return parts.GIVEN_BACK
        if is_behind:
            return parts.BEHIND_A_GAP
        is_over = self._draft.bid(unit).tokens > self._draft.left_tokens
        return parts.OVER_BUDGET if is_over else parts.SECTION_FULL

    def _says_nothing_new(self, unit: Unit) -> bool:
        if self._similarity is None or unit.value is None:
            return False
        beside = (other for other in self._draft.standing if other.section is unit.section)
        return any(likeness(unit, other, self._similarity) >= 1 for other in beside)


def _line(item: Item, outcome: Outcome, reason: str, marginal_tokens: int | None = None) -> Decision:
    return Decision(item.id, item.section, outcome, item.tokens, reason, item.score, marginal_tokens)
