"""What the user states of a model, on top of what is published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmapp.models.catalog.abilities import Abilities
    from llmapp.models.catalog.limits import ModelFacts

OWN = "llmapp.toml"


@dataclass(frozen=True, slots=True)
class OwnFacts:
    """What the user states of a model; None leaves it to the other sources."""

    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: bool | None = None
    structured_output: bool | None = None
    vision: bool | None = None
    caching: bool | None = None

    def limits(self, facts: ModelFacts) -> ModelFacts:
        """The limits with one's own on top."""
        own = {name: value for name in ("context_window_tokens", "max_output_tokens") if (value := getattr(self, name))}
        return replace(facts, **own, source=_on_top(facts.source)) if own else facts

    def abilities(self, facts: Abilities) -> Abilities:
        """The abilities with one's own on top."""
        names = ("tools", "structured_output", "vision")
        if own := {name: value for name in names if (value := getattr(self, name)) is not None}:
            facts = replace(facts, **own, source=_on_top(facts.source))
        return facts if self.caching is None else replace(facts, caching=self.caching, caching_source=OWN)


def _on_top(source: str) -> str:
    return f"{OWN}; else {source}" if source else OWN
