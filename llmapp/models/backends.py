"""Chat models by name: ``extractive``, ``openai:gpt-...``, ``ollama:...``, ``openai-compatible:...``, any LangChain provider.

Provider packages are imported when their model is built, LangChain itself (two seconds when cold) only for them. Every
model is built without retries, because a retry must be a call of its own to the guard, and with an output limit of its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from llmapp.errors import ConfigError, MissingDependencyError, ModelAuthError, ModelError, UnknownModelError
from llmapp.models.errors import translate_model_error
from llmapp.models.extractive import ExtractiveChatModel, count_words

if TYPE_CHECKING:
    from llmapp.protocols import Embedder
    from llmapp.types import Message

EXTRACTIVE = "extractive"
OPENAI_COMPATIBLE = "openai-compatible"

_EXTRAS = {"openai": "openai", "azure_openai": "openai", "anthropic": "anthropic", "ollama": "ollama"}
_KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "azure_openai": "AZURE_OPENAI_API_KEY",
    "cohere": "COHERE_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "fireworks": "FIREWORKS_API_KEY",
    "google_genai": "GOOGLE_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "together": "TOGETHER_API_KEY",
    "xai": "XAI_API_KEY",
}
_KNOWN = (EXTRACTIVE, OPENAI_COMPATIBLE, "ollama", *_KEY_VARIABLES)
_ASK_FOR_USAGE = frozenset({"openai", "azure_openai"})
"""Providers that report the usage of a stream only when asked; the others do it by default or not at all."""


def build_chat_model(
    spec: str,
    *,
    max_output_tokens: int,
    base_url: str | None = None,
    api_key: SecretStr | None = None,
    timeout_s: float = 60.0,
    embedder: Embedder | None = None,
    count_tokens: Callable[[str], int] = count_words,
    count_request: Callable[[Sequence[Message]], int] | None = None,
) -> BaseChatModel:
    """Build the chat model that a name stands for. Nothing is called yet.

    Args:
        spec: ``extractive`` or ``provider:model``, e.g. ``openai:gpt-4o``, ``ollama:llama3.2``, ``openai-compatible:qwen3``.
        max_output_tokens: Limit of one answer, unless a call asks for less. Tokens.
        base_url: Address of the server; needed by ``openai-compatible``, None takes the provider's own elsewhere.
        api_key: None lets the provider's package read its environment variable.
        timeout_s: Limit of one call. Seconds.
        embedder: Judges meaning for ``extractive``; the others do not use it.
        count_tokens: Counts the output of ``extractive``.
        count_request: Counts the input of ``extractive``, as the prompt is counted.

    Raises:
        UnknownModelError: No such provider, or no model named.
        MissingDependencyError: The provider's package is not installed.
        ConfigError: The same, for a provider without an extra of llmapp; or a base URL is missing.
        ModelAuthError: The provider needs a key and none was found.
        ModelError: The provider's package refuses the settings.
    """
    if spec == EXTRACTIVE:
        return ExtractiveChatModel(embedder=embedder, count_tokens=count_tokens, count_request=count_request)
    provider, name = _parse(spec)
    if provider == OPENAI_COMPATIBLE:
        return _openai_compatible(
            name, base_url=base_url, api_key=api_key, timeout_s=timeout_s, max_tokens=max_output_tokens
        )
    options = _options(provider, base_url=base_url, api_key=api_key, timeout_s=timeout_s, max_tokens=max_output_tokens)
    try:
        model = _init(provider, name, options)
    except ImportError as error:
        raise _missing(provider, error) from error
    except Exception as error:
        raise _unbuilt(spec, provider, error) from error
    if (key := key_of(model)) is not None and not key.get_secret_value():
        raise _no_key(provider)
    return model


def key_of(model: BaseChatModel) -> SecretStr | None:
    """The key that a model sends to its provider, as its package has found it; None where it has none, or hides it."""
    fields = (name for name in type(model).model_fields if name.endswith("api_key"))
    return next((key for name in fields if isinstance(key := getattr(model, name), SecretStr)), None)


def limit_output(model: BaseChatModel, max_output_tokens: int) -> tuple[BaseChatModel, dict[str, Any]]:
    """Make one call of a model send an output limit, under the name that its package knows.

    Source: langchain-openai 1.7.3, langchain-ollama 1.1.0, langchain-google-genai 4.4.2, langchain-anthropic 1.7.10.

    Args:
        model: As `build_chat_model` has built it.
        max_output_tokens: The limit. Tokens.

    Returns:
        The model to call, and the keywords to call it with.
    """
    if isinstance(model, ExtractiveChatModel):
        return model, {}  # three sentences at most
    fields = type(model).model_fields
    if "num_predict" in fields:  # Ollama takes no such keyword, and its options replace all others
        return model.model_copy(update={"num_predict": max_output_tokens}), {}
    name = "max_output_tokens" if "max_output_tokens" in fields and "max_tokens" not in fields else "max_tokens"
    return model, {name: max_output_tokens}


def _parse(spec: str) -> tuple[str, str]:
    provider, _, name = spec.partition(":")
    if provider not in _KNOWN:
        provider = provider.replace("-", "_").lower()
    if name and provider != EXTRACTIVE:
        return provider, name
    near = difflib.get_close_matches(provider, _KNOWN, n=1)
    hint = f"did you mean {near[0]}?" if near else "write it as provider:model, e.g. openai:gpt-4o"
    raise UnknownModelError(f"{spec!r} names no model; there are {', '.join(_KNOWN)}", hint=hint)


def _openai_compatible(
    name: str, *, base_url: str | None, api_key: SecretStr | None, timeout_s: float, max_tokens: int
) -> BaseChatModel:
    if not base_url:
        raise ConfigError(
            f"{OPENAI_COMPATIBLE}:{name} needs a base URL",
            hint="set model_options.base_url in llmapp.toml, e.g. http://127.0.0.1:8080/v1",
        )
    try:
        # The class below ChatOpenAI: it sends ``max_tokens``, which older servers know, and not ``max_completion_tokens``.
        from langchain_openai.chat_models.base import BaseChatOpenAI
    except ImportError as error:
        raise MissingDependencyError("langchain_openai", extra="openai") from error
    return BaseChatOpenAI(
        model=name,
        base_url=base_url,
        api_key=api_key or SecretStr("none"),  # the client insists on one, local servers do not look at it
        timeout=timeout_s,
        max_retries=0,
        max_tokens=max_tokens,
        stream_usage=True,
        use_responses_api=False,
    )


def _options(
    provider: str, *, base_url: str | None, api_key: SecretStr | None, timeout_s: float, max_tokens: int
) -> dict[str, Any]:
    given = {"base_url": base_url, "api_key": api_key}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if provider == "ollama":
        return {**options, "num_predict": max_tokens, "client_kwargs": {"timeout": timeout_s}}
    if provider in _ASK_FOR_USAGE:
        options["stream_usage"] = True
    return {**options, "max_tokens": max_tokens, "timeout": timeout_s, "max_retries": 0}


def _init(provider: str, name: str, options: dict[str, Any]) -> BaseChatModel:
    from langchain.chat_models import init_chat_model

    model: BaseChatModel = init_chat_model(name, model_provider=provider, **options)
    return model


def _missing(provider: str, error: ImportError) -> ConfigError:
    package = getattr(error.__cause__, "name", None) or error.name or f"the package of {provider}"
    if extra := _EXTRAS.get(provider):
        return MissingDependencyError(package, extra=extra)
    return ConfigError(f"{package} is not installed", hint=f"pip install {package.replace('_', '-')}")


def _unbuilt(spec: str, provider: str, error: Exception) -> ModelError:
    text = str(error).lower()
    if "unsupported provider" in text:
        near = difflib.get_close_matches(provider, _KNOWN, n=1)
        return UnknownModelError(
            f"no provider is called {provider!r}; there are {', '.join(_KNOWN)}",
            hint=f"did you mean {near[0]}?" if near else "",
        )
    if any(sign in text for sign in ("api_key", "api key", "credentials")):
        return _no_key(provider)
    return translate_model_error(error, model=spec)


def _no_key(provider: str) -> ModelAuthError:
    variable = _KEY_VARIABLES.get(provider, f"{provider.upper()}_API_KEY")
    return ModelAuthError(f"there is no API key for {provider}", hint=f"set the environment variable {variable}")
