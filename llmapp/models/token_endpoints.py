"""Providers that count the tokens of a request: OpenAI, Anthropic, Gemini, vLLM and llama.cpp, over HTTP.

An endpoint implements `llmapp.prompting.counting.provider.CountRequest`, which this room does not know. A call is one
request, without retries, and costs nothing at any of them (2026-11).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from llmapp.errors import (
    AddressRefusedError,
    ConnectorAuthError,
    ConnectorError,
    ModelAuthError,
    ModelError,
    ModelUnavailableError,
    SourceNotFoundError,
    SourceUnavailableError,
    UnknownModelError,
)
from llmapp.models.token_payloads import Payload, anthropic_payload, chat_payload, google_payload, openai_payload
from llmapp.types import Message, Tool

_ANTHROPIC_VERSION = "2023-06-01"
_HINT = "check the model, its key and model_options.base_url, or set model_options.ask_for_counts = false"


@dataclass(frozen=True, slots=True)
class _Provider:
    base_url: str
    path: str
    payload: Callable[[str, Sequence[Message], Sequence[Tool]], Payload]
    headers: Callable[[str], Mapping[str, str]]
    answer: str
    """Where the count stands."""
    is_exact: bool


_PROVIDERS = {
    "openai": _Provider(
        "https://api.openai.com/v1",
        "/responses/input_tokens",
        openai_payload,
        lambda key: {"authorization": f"Bearer {key}"},
        "input_tokens",
        is_exact=True,
    ),
    "anthropic": _Provider(
        "https://api.anthropic.com",
        "/v1/messages/count_tokens",
        anthropic_payload,
        lambda key: {"x-api-key": key, "anthropic-version": _ANTHROPIC_VERSION},
        "input_tokens",
        is_exact=False,  # "an estimate", which "may differ by a small amount"
    ),
    "google_genai": _Provider(
        "https://generativelanguage.googleapis.com",
        "/v1beta/models/{model}:countTokens",
        google_payload,
        lambda key: {"x-goog-api-key": key},
        "totalTokens",
        is_exact=True,
    ),
}


def count_endpoint(
    model: str, *, base_url: str | None = None, key: Callable[[], SecretStr | None], timeout_s: float = 10.0
) -> CountEndpoint | ServerEndpoint | None:
    """The count endpoint of a chat model; None where its provider is not known to have one.

    Args:
        model: As in the settings, e.g. ``anthropic:claude-sonnet-4``, ``openai-compatible:qwen3``.
        base_url: Address of the server; None takes the provider's own.
        key: Finds the key at the first call.
        timeout_s: Time of one call. Seconds.
    """
    provider, _, name = model.partition(":")
    if provider == "openai-compatible" and base_url:
        return ServerEndpoint(model, _Client(base_url.removesuffix("/").removesuffix("/v1"), timeout_s), key)
    known = _PROVIDERS.get(provider.replace("-", "_"))
    if known is None:
        return None
    return CountEndpoint(model, name, known, _Client((base_url or known.base_url).rstrip("/"), timeout_s), key)


class CountEndpoint:
    """The endpoint of a provider."""

    def __init__(
        self, model: str, name: str, provider: _Provider, client: _Client, key: Callable[[], SecretStr | None]
    ) -> None:
        """Call nobody yet; made by `count_endpoint`."""
        self.name = model
        self.is_exact = provider.is_exact
        self._model = name
        self._provider = provider
        self._client = client
        self._key = key

    def __call__(self, messages: Sequence[Message], tools: Sequence[Tool]) -> int:
        """Input tokens of the request.

        Raises:
            ModelError: The provider gives no count.
        """
        known = self._provider
        key = self._key()
        headers = known.headers(key.get_secret_value() if key else "")
        answer = self._client.post(
            known.path.format(model=self._model), known.payload(self._model, messages, tools), headers
        )
        return _whole(answer.get(known.answer), self.name)


class ServerEndpoint:
    """A server of one's own: vLLM counts in one call, llama.cpp renders in one and tokenises in another."""

    is_exact = True
    """The server counts what it renders."""

    def __init__(self, model: str, client: _Client, key: Callable[[], SecretStr | None]) -> None:
        """Call nobody yet; made by `count_endpoint`."""
        self.name = model
        self._client = client
        self._key = key

    def __call__(self, messages: Sequence[Message], tools: Sequence[Tool]) -> int:
        """Input tokens of the request.

        Raises:
            ModelError: The server gives no count.
        """
        key = self._key()
        headers = {"authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        chat = chat_payload(messages, tools)
        model = self.name.partition(":")[2]
        whole = self._client.post("/tokenize", {**chat, "model": model, "add_generation_prompt": True}, headers)
        if "count" in whole:
            return _whole(whole["count"], self.name)
        prompt = self._client.post("/apply-template", chat, headers).get("prompt")
        body = {"content": prompt, "add_special": True, "parse_special": True}
        tokens = self._client.post("/tokenize", body, headers).get("tokens")
        return _whole(len(tokens) if prompt and isinstance(tokens, list) else None, self.name)


class _Client:
    """Posts JSON to one address; one request at a time."""

    def __init__(self, base_url: str, timeout_s: float) -> None:
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._turn = threading.Lock()

    def post(self, path: str, body: Payload, headers: Mapping[str, str]) -> dict[str, Any]:
        from llmapp.fetching import Fetcher

        try:
            with (
                self._turn,
                Fetcher(
                    allow_private=True, headers=headers, timeout_s=self._timeout_s, total_s=self._timeout_s, attempts=1
                ) as fetcher,
            ):
                answer = fetcher.request("POST", f"{self._base_url}{path}", json=_sendable(body)).checked().json()
        except SourceUnavailableError as error:
            raise ModelUnavailableError(error.message, hint=error.hint) from error
        except ConnectorAuthError as error:
            raise ModelAuthError(error.message, hint=_HINT) from error
        except SourceNotFoundError as error:
            raise UnknownModelError(error.message, hint=_HINT) from error
        except (AddressRefusedError, ConnectorError) as error:
            raise ModelError(error.message, hint=_HINT) from error
        if not isinstance(answer, dict):
            raise ModelError(f"{self._base_url}{path} answered without a count", hint=_HINT)
        return answer


def _sendable(value: Any) -> Any:
    """The value with every lone surrogate, which cannot be sent, as a question mark is: one character for one."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {key: _sendable(each) for key, each in value.items()}
    return [_sendable(each) for each in value] if isinstance(value, (list, tuple)) else value


def _whole(value: Any, name: str) -> int:
    if type(value) is not int or value < 0:
        raise ModelError(f"the count endpoint of {name} answered without a count", hint=_HINT)
    return value
