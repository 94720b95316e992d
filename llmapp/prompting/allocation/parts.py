"""What an allocation is made of: sections with their claims, items that may go in, and the choice that comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

from llmapp.errors import PromptError
from llmapp.types import Decision, SectionShare

JOINT_CHARS = 2
"""Passages so near to each other are one: a chunk leaves out the white space around it, a blank line at most."""

PINNED = "pinned"
MINIMUM = "minimum"
REQUIRED = "required"
FITS = "fits"
MERGED = "merged"
CUT = "cut"
DUPLICATE_TEXT = "duplicate text"
NOTHING_NEW = "nothing new"
REQUIREMENT_MISSING = "requirement missing"
BEHIND_A_GAP = "behind a gap"
GIVEN_BACK = "given back"
SECTION_FULL = "section full"
OVER_BUDGET = "over budget"

REASONS = {
    PINNED: "it always stands",
    MINIMUM: "it is of the best of a section that has a minimum",
    REQUIRED: "an item that was chosen requires it",
    FITS: "it was chosen and fits",
    MERGED: "it was chosen, and joins a passage of the same document that stands already",
    CUT: "it did not fit whole and stands in part",
    DUPLICATE_TEXT: "its section holds the same text already",
    NOTHING_NEW: "what was chosen before it says the same",
    REQUIREMENT_MISSING: "an item that it requires is not among the candidates",
    BEHIND_A_GAP: "its section has no gaps, and one before it did not fit",
    GIVEN_BACK: "it had been chosen, and the count of the whole request was over the budget",
    SECTION_FULL: "its section may not have more",
    OVER_BUDGET: "the budget has no room left for it",
}
"""Every reason of a `Decision` on an item, with its meaning. The first six stand in the prompt, the others do not."""

Stability: TypeAlias = Literal["static", "session", "volatile"]
Shrink: TypeAlias = Literal["drop", "sentences"]
Optimizer: TypeAlias = Literal["greedy", "exact"]


@dataclass(frozen=True, slots=True)
class Section:
    """A kind of parts of a prompt, with its claim on the budget."""

    name: str
    tier: int = 1
    """Sections are filled from the lowest tier on, and give back from the highest on."""
    weight: float = 1.0
    """Its part of what its tier has, in proportion to the others there, within minimum and maximum. From 0."""
    min_tokens: int = 0
    """Its best items stand until they come to so many tokens, or there are no more; else the budget is exceeded. Where its items
    are too large for both minimum and maximum, the minimum holds."""
    max_tokens: int | None = None
    """Most tokens of its items, whatever room there is; None is no such limit. Pinned items stand all the same."""
    max_share: float = 1.0
    """Largest part of the room that its items may take. From 0 to 1. The room is the budget less what is no item; of a
    static section it is the whole budget."""
    stability: Stability = "volatile"
    """How often its items change: never, with the conversation, or with every question. What a static section gets
    depends on static sections alone, so that the beginning of the prompt stays the same; give it a maximum."""
    shrink: Shrink = "drop"
    """What becomes of the best item that does not fit: it is left out, or cut: at the end of a sentence where that is near enough."""
    contiguous: bool = False
    """Whether the order of its items is fixed and the first that does not fit shuts out all behind it, so that no gap
    arises, but for an item that is pinned or that another one requires; else it is skipped."""
    copies: bool = False
    """Whether a text may stand that stands already, as where every document is to be heard; else the first of them stands."""

    def __post_init__(self) -> None:
        """Check the claim.

        Raises:
            PromptError: A number is out of its range, or the minimum is over the maximum.
        """
        if not (0 <= self.weight < math.inf and self.min_tokens >= 0 and 0 <= self.max_share <= 1):
            raise PromptError(
                f"section {self.name} has a claim out of range", hint="weight and min_tokens from 0, max_share from 0 to 1"
            )
        if self.stability not in get_args(Stability) or self.shrink not in get_args(Shrink):
            raise PromptError(
                f"section {self.name} has stability {self.stability!r} and shrink {self.shrink!r}",
                hint=f"stability is one of {', '.join(get_args(Stability))}; shrink of {', '.join(get_args(Shrink))}",
            )
        if self.max_tokens is not None and self.max_tokens < self.min_tokens:
            raise PromptError(f"section {self.name} has a minimum over its maximum", hint="raise max_tokens")


class Span(NamedTuple):
    """Where a text stands in its document."""

    document: str
    """Name of the document, unique among all candidates."""
    start_char: int
    end_char: int


@dataclass(frozen=True, eq=False, slots=True)
class Item:
    """A part that may be left out; two are never equal. Subclasses carry what is rendered."""

    id: str
    """Unique among the items."""
    section: str
    """Name of its section."""
    tokens: int
    """Tokens of the part alone, rendered."""
    value: float | None = None
    """What it adds to the answer, from 0: a *calibrated* number, such as the probability that it is relevant, of which
    twice as much is worth twice the tokens. None where there is a raw score only: then the order of the items decides,
    for tokens saved by raw scores are evidence lost (.54 to .58 of it kept, by order .74; measured 2026-11)."""
    score: float | None = None
    """As the search gave it; for the report, and between equal values."""
    text: str | None = None
    """An item whose text stands in its section already is left out; None never is."""
    group: str | None = None
    """Items of one group stand all or not at all. A group lies within one section."""
    requires: tuple[str, ...] = ()
    """Ids of items, of any section, without which it may not stand."""
    pinned: bool = False
    """Whether it must stand."""
    span: Span | None = None
    """Where it stands in its document, for those who render overlapping and adjacent items as one passage: then only new
    text is charged. None is charged whole."""
    frame_tokens: int = 0
    """Part of `tokens` that is not text but its frame, which an item that joins a passage does not need."""
    near_chars: int = JOINT_CHARS
    """An item joins a passage of the same document from which it is so many characters at most."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            PromptError: Tokens or value are below 0, the frame is larger than the whole, a number is none, or `requires` is a
                text.
        """
        if not isinstance(self.requires, tuple):
            raise PromptError(f"item {self.id} requires what is no tuple", hint="requires is a tuple of ids")
        is_worth = (self.value is None or 0 <= self.value < math.inf) and (self.score is None or not math.isnan(self.score))
        if not (0 <= self.frame_tokens <= self.tokens and is_worth):
            raise PromptError(
                f"item {self.id} has a number out of range",
                hint="tokens and value from 0, frame_tokens within tokens, no NaN and no infinite value",
            )


CountRequest: TypeAlias = Callable[[Sequence[Item]], int]
"""Renders the request with these items, and counts all of it. They come by section, best first."""
Similarity: TypeAlias = Callable[[Item, Item], float]
"""How far two items say the same, from 0 to 1."""
Shorten: TypeAlias = Callable[[Item, int], Item | None]
"""A part of an item that has at most so many tokens, with the same id and its own text, tokens and span; None where no
useful part does."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """A choice of items whose rendered request was counted and fits."""

    kept: tuple[Item, ...]
    """By section, in the order of the sections; within one, best first. One that was cut stands here as it was cut."""
    trimmed: tuple[Item, ...]
    """Those of `kept` that stand in part."""
    decisions: tuple[Decision, ...]
    """One for each item, in the same order; reasons are those of `REASONS`."""
    sections: tuple[SectionShare, ...]
    """One for each section, in their order."""
    used_tokens: int
    """Tokens of the whole request, counted."""
    counts: int
    """How often a whole request was counted."""

    @property
    def dropped(self) -> tuple[Decision, ...]:
        """The decisions on items that do not stand."""
        return tuple(decision for decision in self.decisions if decision.outcome == "dropped")
