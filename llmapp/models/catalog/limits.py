"""The limits of a chat model by its name: its context window, its output limit, and how its tokens are counted.

Ours stand here with their source and date, for what others lack or have rounded; then come the profiles of LangChain's packages,
then the data of `genai-prices`. A model that nobody knows has no limits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from llmapp.models.catalog.profiles import profile_of
from llmapp.models.catalog.published import published_model, source


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model."""

    counter: str
    """The name by which its token counter is found: mostly its own, else that of a model with the same encoding."""
    context_window_tokens: int | None = None
    """Tokens that it takes, input and output together; None where that is not known."""
    max_output_tokens: int | None = None
    """Most tokens of an answer; None where that is not known."""
    source: str = ""
    """Where the limits are from; empty where there are none."""


_OPENAI = "OpenAI's model pages, as langchain-openai 1.7.3 carries them (2026-11)"
_OWN: tuple[tuple[re.Pattern[str], int, int], ...] = (
    (re.compile(r"gpt-4o(-mini)?(-\d{4}-\d\d-\d\d)?$"), 128_000, 16_384),
    (re.compile(r"gpt-4\.1(-mini|-nano)?(-\d{4}-\d\d-\d\d)?$"), 1_047_576, 32_768),
    (re.compile(r"gpt-5(\.1|-mini|-nano)?(-\d{4}-\d\d-\d\d)?$"), 400_000, 128_000),
    (re.compile(r"o[134](-mini)?(-\d{4}-\d\d-\d\d)?$"), 200_000, 100_000),
    (re.compile(r"gpt-4-turbo(-\d{4}-\d\d-\d\d)?$"), 128_000, 4_096),
    (re.compile(r"gpt-3\.5-turbo$"), 16_385, 4_096),
)
"""Names of OpenAI's models, with window and output limit. Tokens."""


@cache
def model_facts(model: str) -> ModelFacts:
    """What is known of a chat model.

    Args:
        model: As in the settings, e.g. ``openai:gpt-4o``, ``openrouter:openai/gpt-4o``, ``ollama:llama3.2``.
    """
    provider, _, name = model.partition(":")
    maker, _, bare = name.rpartition("/")
    counter = bare if maker == "openai" else model
    if provider in {"openai", "azure_openai"} or maker == "openai":
        for pattern, window, output in _OWN:
            if pattern.match(bare):
                return ModelFacts(counter, window, output, _OPENAI)
    return _published(provider, name, counter)


def _published(provider: str, name: str, counter: str) -> ModelFacts:
    profile, from_profile = profile_of(provider, name)
    # A profile gives the window, or what is left of it beside the longest answer: the smaller of the two is safe.
    window, output = (profile.get(key) or None for key in ("max_input_tokens", "max_output_tokens"))
    if window is None and (published := published_model(provider, name)) is not None:
        window, from_profile = published.context_window_tokens, source()
    return ModelFacts(counter, window, output, from_profile if window or output else "")
