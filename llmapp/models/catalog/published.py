"""What the data of `genai-prices` says of models besides their prices; money has a door of its own to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version

UNLISTED = frozenset({"extractive", "ollama", "openai-compatible", ""})
"""Providers whose models are the operator's own; their names say nothing, and the data takes 0.2 s to load."""

PROVIDERS = {
    "anthropic": "anthropic",
    "azure_openai": "azure",
    "bedrock_converse": "aws",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "google_genai": "google",
    "groq": "groq",
    "mistralai": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
    "together": "together",
    "xai": "x-ai",
}
"""Providers as the settings name them, with their names in that data."""


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A model in that data."""

    context_window_tokens: int | None
    is_cached: bool
    """Whether input that the provider has cached has a price of its own."""


@cache
def published_model(provider: str, name: str) -> PublishedModel | None:
    """What is said of a model; None where it is not listed."""
    if provider in UNLISTED:
        return None
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, found = get_snapshot().find_provider_model(name, None, PROVIDERS.get(provider, provider), None)
    except LookupError:
        return None
    prices = found.get_prices(datetime.now(UTC))
    return PublishedModel(found.context_window, getattr(prices, "cache_read_mtok", None) is not None)


def published_names(provider: str) -> list[str]:
    """The models of a provider, in the order of that data; none where it is not listed."""
    from genai_prices.data_snapshot import get_snapshot

    wanted = PROVIDERS.get(provider)
    return [model.id for each in get_snapshot().providers if each.id == wanted for model in each.models]


@cache
def source() -> str:
    """The package and its version."""
    return f"genai-prices {version('genai-prices')}"
