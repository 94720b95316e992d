import subprocess
import sys

import pytest

from llmapp.models.catalog.limits import model_facts


@pytest.mark.parametrize(
    ("model", "window", "output"),
    [
        ("openai:gpt-4o", 128_000, 16_384),
        ("openai:gpt-4.1-mini", 1_047_576, 32_768),
        ("azure_openai:gpt-5-mini", 400_000, 128_000),
        ("openai:o4-mini-2025-04-16", 200_000, 100_000),
        ("openrouter:openai/gpt-4o", 128_000, 16_384),
    ],
)
def test_openais_models_have_the_limits_that_it_publishes(model, window, output):
    facts = model_facts(model)
    assert (facts.context_window_tokens, facts.max_output_tokens) == (window, output)
    assert "OpenAI" in facts.source


def test_the_limits_agree_with_those_that_langchain_carries():
    profiles = pytest.importorskip("langchain_openai.data._profiles")._PROFILES
    for name in (
        "gpt-4o",
        "gpt-4o-mini",
        "gpt-4.1",
        "gpt-4.1-nano",
        "gpt-5",
        "gpt-5.1",
        "o1",
        "o3",
        "o3-mini",
        "gpt-4-turbo",
    ):
        facts, known = model_facts(f"openai:{name}"), profiles[name]
        assert facts.max_output_tokens == known["max_output_tokens"], name
        # A profile gives the window, or what is left of it beside the longest answer.
        assert facts.context_window_tokens - known["max_input_tokens"] in {0, known["max_output_tokens"]}, name


@pytest.mark.parametrize(
    "model",
    ["anthropic:claude-sonnet-4-0", "google_genai:gemini-2.5-flash", "mistralai:codestral-2508", "deepseek:deepseek-chat"],
)
def test_the_windows_of_others_come_from_the_data_of_their_prices(model):
    facts = model_facts(model)
    assert facts.context_window_tokens >= 64_000
    assert facts.source.startswith("genai-prices ")
    assert facts.counter == model


@pytest.mark.parametrize(
    "model", ["extractive", "ollama:llama3.2", "openai-compatible:gpt-4o", "openai:gpt-99", "nobody:x", ""]
)
def test_of_an_unknown_model_no_limit_is_known(model):
    facts = model_facts(model)
    assert facts.context_window_tokens is None
    assert facts.max_output_tokens is None
    assert facts.source == ""


def test_a_model_that_another_serves_is_counted_as_its_maker_counts_it():
    assert model_facts("openrouter:openai/gpt-4o").counter == "gpt-4o"
    assert model_facts("openrouter:anthropic/claude-3-haiku").counter == "openrouter:anthropic/claude-3-haiku"


def test_the_data_of_others_is_not_loaded_for_a_local_model():
    program = (
        "import sys\nfrom llmapp.models.catalog.limits import model_facts\nmodel_facts('ollama:llama3.2')\n"
        "assert 'genai_prices' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
