"""All that is known of a model, on one card."""

from __future__ import annotations

from dataclasses import dataclass

from llmapp.models.catalog.abilities import Abilities, abilities_of
from llmapp.models.catalog.limits import ModelFacts, model_facts
from llmapp.models.catalog.own import OwnFacts
from llmapp.models.sizing.named import open_model
from llmapp.models.sizing.shape import ModelShape


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a model by its name; its price is known elsewhere."""

    name: str
    """As in the settings, e.g. ``openai:gpt-4o``."""
    provider: str
    limits: ModelFacts
    abilities: Abilities
    shape: ModelShape | None
    """Parameters and memory, of a model with open weights that is known here."""

    @property
    def is_known(self) -> bool:
        """Whether anything is known of it."""
        return bool(
            self.limits.source
            or self.abilities.source
            or self.abilities.caching_source
            or self.shape is not None
            or self.provider == "extractive"
        )


_NOTHING = OwnFacts()


def card(model: str, own: OwnFacts = _NOTHING) -> ModelCard:
    """What is known of a model.

    Args:
        model: As in the settings, e.g. ``openai:gpt-4o``, ``ollama:llama3.2``.
        own: What the user states of it.
    """
    provider, _, name = model.partition(":")
    abilities = own.abilities(abilities_of(provider, name))
    return ModelCard(model, provider, own.limits(model_facts(model)), abilities, open_model(model))
