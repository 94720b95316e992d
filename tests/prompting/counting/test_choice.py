import re

import pytest

from llmapp.prompting.counting import counter_for


@pytest.mark.parametrize(
    "model",
    [
        "extractive",
        "gpt-4o",
        "openai:gpt-4o-mini",
        "gpt-4.1",
        "openai:gpt-5-mini",
        "o3",
        "o4-mini",
        "openai:ft:gpt-4o:acme::x",
    ],
)
def test_newer_openai_models_are_counted_exactly_with_o200k(model):
    counter = counter_for(model)
    assert counter.is_exact
    assert counter.name == "bpe-openai:o200k_base"


@pytest.mark.parametrize("model", ["gpt-4", "openai:gpt-4-turbo", "azure_openai:gpt-35-turbo", "text-embedding-3-small"])
def test_older_openai_models_are_counted_exactly_with_cl100k(model):
    assert counter_for(model).name == "bpe-openai:cl100k_base"


@pytest.mark.parametrize(
    "model",
    [
        "ollama:llama3.2",
        "openai-compatible:gpt-4o",
        "ollama:gpt-4o",
        "gpt-99",
        "",
        "gpt-oss-20b",
    ],
)
def test_models_of_unknown_tokenizers_are_estimated_and_it_is_said(model):
    counter = counter_for(model)
    assert not counter.is_exact
    assert counter.name == "estimate"


@pytest.mark.parametrize(
    "model", ["anthropic:claude-sonnet-4", "bedrock:eu.anthropic.claude-opus-4", "openrouter:anthropic/Claude"]
)
def test_claude_takes_more_tokens_wherever_it_is_served(model):
    assert counter_for(model).name == "estimate:1.3"
    assert counter_for(model).count("Water damage. " * 50) > 1.2 * counter_for("ollama:llama3.2").count(
        "Water damage. " * 50
    )


def test_the_choice_of_encoding_agrees_with_tiktoken():
    known = pytest.importorskip("tiktoken.model")
    table = {**known.MODEL_TO_ENCODING, **{f"{k}x": v for k, v in known.MODEL_PREFIX_TO_ENCODING.items() if k.endswith("-")}}
    ours = {
        name: counter_for(name).name.partition(":")[2]
        for name, encoding in table.items()
        if re.match("o200k_base|cl1", encoding)
    }
    assert ours == {name: table[name] for name in ours}
