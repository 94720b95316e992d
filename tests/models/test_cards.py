"""What is known of models, and where each fact is from."""

import subprocess
import sys

import pytest

from llmapp.models.catalog.card import card
from llmapp.models.catalog.listing import names_of, providers
from llmapp.models.catalog.own import OwnFacts
from llmapp.models.catalog.profiles import profiles_of


def test_a_card_says_what_a_model_can_and_who_says_so():
    known = card("openai:gpt-4o")
    can = known.abilities
    assert (can.tools, can.structured_output, can.vision, can.caching, can.reasoning) == (True, True, True, True, False)
    assert can.released == "2024-05-13"
    assert can.source.startswith("langchain-openai ")
    assert can.caching_source.startswith("genai-prices ")
    assert known.limits.source


def test_profiles_are_those_that_a_built_model_has():
    from langchain_openai import ChatOpenAI

    for name in ("gpt-4o", "gpt-5-mini", "o3"):
        built = ChatOpenAI(model=name, api_key="none").profile
        read = profiles_of("openai")[name]
        assert {key: read[key] for key in ("max_input_tokens", "tool_calling", "image_inputs")} == {
            key: built[key] for key in ("max_input_tokens", "tool_calling", "image_inputs")
        }


def test_profiles_are_read_without_importing_the_provider():
    program = (
        "import sys\nfrom llmapp.models.catalog.card import card\nassert card('openai:gpt-4o').abilities.tools\n"
        "assert not {'openai', 'langchain_openai', 'langchain_core'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_model_without_limits_of_ours_has_those_of_its_profile():
    limits = card("openai:gpt-5.4").limits
    profile = profiles_of("openai")["gpt-5.4"]
    assert limits.context_window_tokens == profile["max_input_tokens"]
    assert limits.max_output_tokens == profile["max_output_tokens"]
    assert "models.dev" in limits.source


def test_a_package_that_is_not_installed_has_no_profiles():
    assert profiles_of("perplexity") == {}
    assert profiles_of("nobody") == {}


def test_what_the_user_states_wins_and_the_rest_stays():
    known = card("openai:gpt-4o", OwnFacts(context_window_tokens=64_000, vision=False))
    assert known.limits.context_window_tokens == 64_000
    assert known.limits.max_output_tokens == 16_384
    assert known.limits.source.startswith("llmapp.toml; else ")
    assert known.abilities.vision is False
    assert known.abilities.tools is True


def test_a_local_model_has_what_the_user_states_and_what_its_weights_are():
    known = card("ollama:llama3.1:8b", OwnFacts(max_output_tokens=2_000, tools=True, caching=True))
    assert known.limits.max_output_tokens == 2_000
    assert known.abilities.tools
    assert known.abilities.caching_source == "llmapp.toml"
    assert known.shape.parameters == 8_030_261_248


@pytest.mark.parametrize("model", ["openai:gpt-99", "nobody:x", "openai-compatible:mine"])
def test_of_an_unknown_model_nothing_is_known(model):
    known = card(model)
    assert not known.is_known
    assert known.abilities.tools is None


@pytest.mark.parametrize("provider", providers())
def test_every_provider_that_is_named_has_models(provider):
    names = names_of(provider)
    assert names
    assert all(name.startswith(f"{provider}:") for name in names)
    assert list(names) == sorted(set(names))


def test_the_names_of_a_provider_are_of_both_sources():
    names = names_of("openai")
    assert "openai:gpt-4-32k" in names  # priced, without a profile
    assert len(names) > len(profiles_of("openai"))
