"""Any server that speaks OpenAI's ``/embeddings``. A call is one request, without retries: see `patient`.

Nothing of an answer is believed: not the number of the vectors, their order, their length, nor that they are numbers.
Source of the shapes: OpenAI's API description, ``POST /embeddings``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from llmapp.errors import (
    AddressRefusedError,
    ConnectorError,
    EmbedderError,
    EmbedderUnavailableError,
    SourceUnavailableError,
)
from llmapp.retrieval.embedders.prompted import Encoded

if TYPE_CHECKING:
    from pydantic import JsonValue, SecretStr

    from llmapp.fetching import Fetched

_LONGEST_REASON_CHARS = 200
_FAILED = 400
_NO_KEY = frozenset({401, 403})
_HOPELESS = frozenset({501, 505})


class HttpStatusError(Exception):
    """The status that a server refused a request with; what the guard asks for when it decides whether it was billed."""

    def __init__(self, status_code: int) -> None:
        """Keep the status."""
        super().__init__(f"status {status_code}")
        self.status_code = status_code


class OpenAIModel:
    """A model behind an address. Implements `TextModel`; safe among threads, each with a connection of its own."""

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        api_key: SecretStr | None = None,
        dimensions: int | None = None,
        encoding: Literal["float", "base64"] = "float",
        timeout_s: float = 60.0,
    ) -> None:
        """Connect to nobody yet.

        Args:
            model: Its name on the server.
            base_url: E.g. ``http://127.0.0.1:8080/v1``. The operator's own word: private addresses are allowed.
            api_key: Sent as bearer token; None sends none.
            dimensions: Asked of the model; None leaves it to the model.
            encoding: How vectors are asked for: ``base64`` is a third of the bytes, ``float`` is what every server knows.
            timeout_s: Time of one request. Seconds.
        """
        from llmapp.fetching import Fetcher, FetcherPool

        self._model = model
        self._url = f"{base_url.rstrip('/')}/embeddings"
        self._dimensions = dimensions
        self._encoding = encoding
        headers = {"authorization": f"Bearer {api_key.get_secret_value()}"} if api_key else {}
        self._clients = FetcherPool(
            lambda: Fetcher(allow_private=True, headers=headers, timeout_s=timeout_s, total_s=timeout_s, attempts=1)
        )

    def encode(self, texts: Sequence[str], *, prompt: str, is_query: bool) -> Encoded:  # noqa: ARG002 - the prompt says it
        """Embed texts in one request; see `TextModel`.

        Raises:
            EmbedderUnavailableError: No answer in time, 408, 429 or 5xx; another request may succeed.
            EmbedderError: Refused, or an answer that is none.
        """
        body: dict[str, JsonValue] = {
            "model": self._model,
            # A lone surrogate cannot be sent.
            "input": [f"{prompt}{text}".encode("utf-8", "replace").decode() for text in texts],
            "encoding_format": self._encoding,
        }
        if self._dimensions is not None:
            body["dimensions"] = self._dimensions
        answer = self._ask(body)
        if not isinstance(answer, dict) or "data" not in answer:
            raise EmbedderError(f"{self._url} answered without vectors: {_reason(answer)}", hint="check model and base_url")
        usage = answer.get("usage")
        counted = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        tokens = counted if type(counted) is int and counted > 0 else None
        return Encoded(_vectors(answer["data"], len(texts)), tokens)

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    def _ask(self, body: JsonValue) -> Any:
        try:
            with self._clients.borrowed() as client:
                fetched = client.request("POST", self._url, json=body)
            if fetched.status >= _FAILED:
                raise self._refused(fetched)
            return fetched.checked().json()
        except SourceUnavailableError as error:
            raise EmbedderUnavailableError(error.message, hint=error.hint, retry_after_s=error.retry_after_s) from error
        except AddressRefusedError as error:
            raise EmbedderError(
                error.message, hint="set embedder_options.base_url, e.g. http://127.0.0.1:8080/v1"
            ) from error
        except ConnectorError as error:
            raise EmbedderError(error.message, hint="check embedder_options.base_url") from error

    def _refused(self, fetched: Fetched) -> EmbedderError:
        try:
            reason = _reason(fetched.json())
        except ConnectorError:
            reason = "no reason given"
        message = f"{self._url} answered {fetched.status}: {reason}"
        error: EmbedderError
        try:
            fetched.checked()
        except SourceUnavailableError as transient:
            kind = EmbedderError if fetched.status in _HOPELESS else EmbedderUnavailableError
            error = (
                kind(message)
                if kind is EmbedderError
                else EmbedderUnavailableError(message, retry_after_s=transient.retry_after_s)
            )
        except ConnectorError:
            hint = (
                "set LLMAPP_EMBEDDER_API_KEY" if fetched.status in _NO_KEY else "check model, base_url and embedder_options"
            )
            error = EmbedderError(message, hint=hint)
        error.__cause__ = HttpStatusError(fetched.status)
        return error


def _vectors(data: Any, count: int) -> list[Any]:
    """The vectors in the order of the texts, whatever the order in the answer."""
    if not isinstance(data, list) or len(data) != count:
        raise EmbedderError(f"the embedder gave {len(data) if isinstance(data, list) else 'no'} vectors for {count} texts")
    by_index = {
        item["index"]: item.get("embedding") for item in data if isinstance(item, dict) and type(item.get("index")) is int
    }
    if set(by_index) != set(range(count)):
        raise EmbedderError("the embedder did not say which vector belongs to which text")
    return [_vector(by_index[index]) for index in range(count)]


def _vector(embedding: Any) -> Any:
    import numpy as np

    if not isinstance(embedding, str):
        return embedding
    try:
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    except (binascii.Error, ValueError) as error:
        raise EmbedderError("the embedder gave a vector that is no base64 of float32") from error


def _reason(answer: Any) -> str:
    """What an error says of itself, in any of the shapes that servers use; one short line."""
    found = answer.get("error", answer.get("message", answer.get("detail"))) if isinstance(answer, dict) else None
    if isinstance(found, dict):
        found = found.get("message")
    return " ".join(str(found or "no reason given").split())[:_LONGEST_REASON_CHARS]
