import subprocess
import sys

import pytest
from pydantic import SecretStr

from llmapp.errors import ConfigError, MissingDependencyError, ModelAuthError, UnknownModelError
from llmapp.models.backends import build_chat_model, limit_output
from llmapp.models.extractive import ExtractiveChatModel

LIMIT = 64


def build(spec, **options):
    return build_chat_model(spec, max_output_tokens=LIMIT, **options)


def test_the_offline_model_needs_nothing():
    assert isinstance(build("extractive"), ExtractiveChatModel)


def test_an_openai_compatible_server_needs_an_address_but_no_key():
    model = build("openai-compatible:qwen3", base_url="http://127.0.0.1:8000/v1")
    assert (model.model_name, model.max_retries, model.stream_usage, model.use_responses_api) == ("qwen3", 0, True, False)
    with pytest.raises(ConfigError, match="base URL"):
        build("openai-compatible:qwen3")


def test_providers_come_through_langchain_without_retries():
    model = build("openai:gpt-4o-mini", api_key=SecretStr("sk-dummy"), timeout_s=7)
    assert (type(model).__name__, model.max_retries, model.max_tokens, model.request_timeout) == ("ChatOpenAI", 0, LIMIT, 7)
    assert model.stream_usage is True


def test_a_model_name_may_hold_colons():
    model = build("ollama:llama3.2:3b")
    assert (model.model, model.num_predict) == ("llama3.2:3b", LIMIT)


@pytest.mark.parametrize("spec", ["opneai:gpt-4o", "openia", "gpt-4o", "openai:", "", "extractive:x"])
def test_a_name_that_names_nothing_is_an_error_that_lists_what_there_is(spec):
    with pytest.raises(UnknownModelError, match="openai-compatible") as refused:
        build(spec)
    if spec.startswith("op"):
        assert "openai" in refused.value.hint


def test_a_package_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "langchain_anthropic", None)
    with pytest.raises(MissingDependencyError) as missing:
        build("anthropic:claude-sonnet-4-5")
    assert missing.value.extra == "anthropic"


def test_a_package_without_an_extra_of_ours_is_named_as_it_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "langchain_groq", None)
    with pytest.raises(ConfigError, match="langchain_groq") as missing:
        build("groq:llama-3.3-70b-versatile")
    assert missing.value.hint == "pip install langchain-groq"


def test_a_missing_key_is_an_error_that_names_its_variable():
    with pytest.raises(ModelAuthError) as refused:
        build("openai:gpt-4o-mini")
    assert "OPENAI_API_KEY" in refused.value.hint


def test_an_output_limit_is_sent_under_the_name_that_the_package_knows():
    openai = build("openai:gpt-4o-mini", api_key=SecretStr("sk-dummy"))
    ollama = build("ollama:llama3.2")
    assert limit_output(openai, 9) == (openai, {"max_tokens": 9})
    limited, keywords = limit_output(ollama, 9)
    assert (limited.num_predict, keywords, ollama.num_predict) == (9, {}, LIMIT)
    extractive = build("extractive")
    assert limit_output(extractive, 9) == (extractive, {})


def test_the_offline_model_loads_neither_langchain_nor_a_provider():
    script = (
        "import sys; from llmapp.models.backends import build_chat_model; build_chat_model('extractive', max_output_tokens=9);"
        "print([m for m in ('langchain', 'langchain_openai', 'openai', 'torch', 'onnxruntime', 'chromadb') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"
