"""What a model can do besides answering."""

from __future__ import annotations

from dataclasses import dataclass

from llmapp.models.catalog.profiles import profile_of
from llmapp.models.catalog.published import published_model, source


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model can do; None where that is not known."""

    tools: bool | None = None
    structured_output: bool | None = None
    """Answers to a schema, seen to by the provider."""
    vision: bool | None = None
    caching: bool | None = None
    """Input that stands again costs less."""
    reasoning: bool | None = None
    released: str = ""
    """ISO date; empty where it is not known."""
    status: str = ""
    """E.g. ``deprecated``; empty where nothing is said."""
    source: str = ""
    """Where this is from; empty where nothing is known."""
    caching_source: str = ""
    """Where `caching` is from, which others know."""


def abilities_of(provider: str, name: str) -> Abilities:
    """What is published of a model."""
    profile, from_profile = profile_of(provider, name)
    price = published_model(provider, name)
    caching = None if price is None else price.is_cached or None
    return Abilities(
        profile.get("tool_calling"),
        profile.get("structured_output"),
        profile.get("image_inputs"),
        caching,
        profile.get("reasoning_output"),
        str(profile.get("release_date", "")),
        str(profile.get("status", "")),
        from_profile,
        source() if caching else "",
    )
