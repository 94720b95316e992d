"""Turns the exceptions of provider packages into `ModelError`s, without importing a provider.

The status is read from ``status_code``; what has none is known by the names of its classes. Messages of a provider are
shown only where they help, and nothing in them that looks like a key.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from llmapp.causes import causes
from llmapp.errors import (
    ModelAuthError,
    ModelError,
    ModelRateLimitedError,
    ModelTimeoutError,
    ModelUnavailableError,
    UnknownModelError,
)

_SECRET = re.compile(r"(?i)\bbearer\s+\S+|\b(?:sk|pk|rk|gsk|xai|key|api)[-_][\w*.-]{4,}|[\w*-]{24,}")
_MESSAGE_CHARS = 200
_UNREACHABLE = re.compile(r"Connect|Network|RemoteProtocol|ReadError|WriteError|gaierror")


def translate_model_error(error: Exception, *, model: str = "the model") -> ModelError:
    """The error of ours that stands for what a provider's package has raised.

    Args:
        error: Whatever the call has raised.
        model: Name of the model, for the message.
    """
    if isinstance(error, ModelError):
        return error
    for link in causes(error):
        status = getattr(link, "status_code", None) or getattr(getattr(link, "response", None), "status_code", None)
        if isinstance(status, int):
            return _by_status(status, error, model)
        names = " ".join(base.__name__ for base in type(link).__mro__)
        if "Timeout" in names:
            return ModelTimeoutError(
                f"{model} gave no answer in time", hint="try again, or raise the time limit of the model"
            )
        if _UNREACHABLE.search(names):
            return ModelUnavailableError(
                f"{model} cannot be reached, or broke off its answer",
                hint="check the address and that the server runs; then try again",
            )
    return ModelError(f"{model} failed: {type(error).__name__}: {_redacted(error)}")


def _by_status(status: int, error: Exception, model: str) -> ModelError:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return ModelAuthError(
            f"the provider of {model} refused the key (HTTP {status})", hint="check the API key and its rights"
        )
    if status == HTTPStatus.NOT_FOUND:
        return UnknownModelError(
            f"the provider does not know {model} (HTTP {status})", hint="check the name of the model and the base URL"
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ModelRateLimitedError(f"{model} takes no more requests for now (HTTP {status})", hint="wait, then try again")
    if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT):
        return ModelTimeoutError(f"{model} gave no answer in time (HTTP {status})", hint="try again")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ModelUnavailableError(f"the provider of {model} failed (HTTP {status})", hint="try again")
    return ModelError(f"{model} refused the request (HTTP {status}): {_redacted(error)}")


def _redacted(error: Exception) -> str:
    """The provider's words in one short line, with what looks like a key taken out."""
    return _SECRET.sub("[removed]", " ".join(str(error).split()))[:_MESSAGE_CHARS]
