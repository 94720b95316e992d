"""Which models there are, by provider."""

from __future__ import annotations

from llmapp.models.catalog.profiles import profiles_of
from llmapp.models.catalog.published import PROVIDERS, published_names


def providers() -> tuple[str, ...]:
    """Providers whose models can be listed, by name."""
    return tuple(sorted(PROVIDERS))


def names_of(provider: str) -> tuple[str, ...]:
    """The models of a provider as the settings name them, by name; none where it is not listed."""
    names = {*profiles_of(provider), *published_names(provider)}
    return tuple(f"{provider}:{name}" for name in sorted(names))
