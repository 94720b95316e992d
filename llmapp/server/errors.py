"""Errors over HTTP: the one table from the error tree to status codes, and the handlers that apply it.

    400  the request is not of the documented shape, its filter is none, or no prompt can be made of the question
    404  no such model, no such route (405: no such method on it)
    409  an idempotency key was given for another call
    413  the body has more bytes than the server takes
    422  one document cannot be taken in
    429  wait: too many questions at once, the provider's limit, or a budget is used up
    500  the operator must change a setting or a prompt template, or declare a price; anything unforeseen
    502  the model's provider, or a source, failed
    503  the catalog, the search or the ledger cannot be used now
    504  the provider gave no answer in time

The body is ``{"error": {"code", "message", "hint", "retryable"}}``; below ``/v1`` it has OpenAI's ``type`` and ``param``
besides. Nothing that a client has sent is repeated in it, save the names of fields. ``Retry-After`` is sent where the
time is known, and ``x-should-retry``, which OpenAI's clients obey, always.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from llmapp.app.shapes import Shape, error_shape
from llmapp.errors import (
    BudgetExceededError,
    CatalogError,
    ConfigError,
    ConnectorError,
    CostError,
    DocumentNotFoundError,
    EmbedderMismatchError,
    EvaluationError,
    ExampleError,
    FilterError,
    IngestionError,
    InvalidRequestError,
    KeyReusedError,
    LLMAppError,
    ModelError,
    ModelRateLimitedError,
    ModelTimeoutError,
    OverloadedError,
    PromptError,
    RequestError,
    RequestTooLargeError,
    RetrievalError,
    TemplateError,
    UnknownModelError,
    UnknownPriceError,
)

_log = logging.getLogger(__name__)


STATUS: dict[type[LLMAppError], int] = {
    ConfigError: 500,
    ConnectorError: 502,
    IngestionError: 422,
    CatalogError: 503,
    DocumentNotFoundError: 404,
    RetrievalError: 503,
    FilterError: 400,
    EmbedderMismatchError: 500,
    PromptError: 400,
    TemplateError: 500,
    ExampleError: 500,
    ModelError: 502,
    UnknownModelError: 404,
    ModelRateLimitedError: 429,
    ModelTimeoutError: 504,
    CostError: 503,
    BudgetExceededError: 429,
    KeyReusedError: 409,
    UnknownPriceError: 500,
    EvaluationError: 500,
    RequestError: 400,
    RequestTooLargeError: 413,
    OverloadedError: 429,
}
"""HTTP status of an error: that of its class, or of the nearest class above it."""

UNFORESEEN = 500
"""HTTP status of an error that the table does not know."""

CLIENT_GONE = 499
"""Nobody reads it; the number is nginx's, for the log."""

TOO_LARGE_HINT = "send less, or raise server.max_body_bytes"
"""What to do about a body that is too large, wherever it is found out."""

_FIRST_SERVER_ERROR = 500
_OVERLOAD_RETRY_S = 1
_MOST_FIELD_CHARS = 80


def http_status(error: LLMAppError) -> int:
    """The HTTP status of an error."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), UNFORESEEN)


def retry_after_s(error: LLMAppError, now: datetime | None = None) -> int | None:
    """Seconds until the same request may succeed; None when that is not known.

    Args:
        error: What stopped the request.
        now: The time, with its zone; None takes the clock.
    """
    if isinstance(error, OverloadedError):
        return _OVERLOAD_RETRY_S
    if isinstance(error, BudgetExceededError) and error.resets_at is not None:
        return max(1, int(error.resets_at - (now or datetime.now(UTC)).timestamp()) + 1)
    return None


def body_of(error: LLMAppError, *, path: str) -> Shape:
    """The JSON body of an error.

    Args:
        error: What stopped the request.
        path: Path of the request; below ``/v1/`` the fields that OpenAI's clients read are added.
    """
    shape = error_shape(error)
    inner = shape["error"]
    if path.startswith("/v1/") and isinstance(inner, dict):
        inner |= {"type": _openai_type(http_status(error)), "param": None}
    return shape


def response_to(error: LLMAppError, *, path: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The whole response to an error, headers included."""
    sent = {**(headers or {}), "x-should-retry": "true" if error.retryable else "false"}
    if (seconds := retry_after_s(error)) is not None:
        sent["Retry-After"] = str(seconds)
    return JSONResponse(body_of(error, path=path), http_status(error), sent)


def foreseen(error: Exception) -> LLMAppError:
    """The error itself, or one that says only that something unforeseen has happened."""
    if isinstance(error, LLMAppError):
        return error
    return LLMAppError("the server failed", hint="this is a bug in llmapp; its log has the details")


def invalid_request(error: RequestValidationError) -> InvalidRequestError:
    """One line for the first problem of a body, with the name of the field and without its value."""
    problem = error.errors()[0]
    if problem["type"] == "json_invalid":
        return InvalidRequestError("the body is not JSON", hint="see /docs for its shape")
    field = _field_name(problem["loc"])
    if not field:
        return InvalidRequestError(
            "the body is not a JSON object", hint="send one, with the header Content-Type: application/json"
        )
    return InvalidRequestError(f"{field}: {problem['msg']}", hint="see /docs for the shape of the body")


def install(api: FastAPI) -> None:
    """Answer every error of `api` in our shape."""
    api.add_exception_handler(LLMAppError, _on_known)
    api.add_exception_handler(RequestValidationError, _on_invalid)
    api.add_exception_handler(HTTPException, _on_http)
    api.add_exception_handler(ClientDisconnect, _on_gone)
    api.add_exception_handler(Exception, _on_unforeseen)


async def _on_known(request: Request, error: Exception) -> Response:
    known = foreseen(error)
    if http_status(known) >= _FIRST_SERVER_ERROR:
        _log.warning("%s %s: %s: %s", request.method, request.url.path, known.code, known.message)
    return response_to(known, path=request.url.path)


async def _on_invalid(request: Request, error: Exception) -> Response:
    known = invalid_request(error) if isinstance(error, RequestValidationError) else foreseen(error)
    return response_to(known, path=request.url.path)


async def _on_http(request: Request, error: Exception) -> Response:
    """What the framework refuses: no such route, no such method, a body that cannot be read; and what the gates do."""
    if not isinstance(error, HTTPException):
        return await _on_known(request, error)
    response = response_to(_of_framework(error), path=request.url.path, headers=error.headers)
    response.status_code = error.status_code
    return response


async def _on_gone(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the signature is starlette's
    return Response(status_code=CLIENT_GONE)


async def _on_unforeseen(request: Request, error: Exception) -> Response:
    """The traceback is logged by the server, to which starlette raises the error again."""
    return response_to(foreseen(error), path=request.url.path)


def _of_framework(error: HTTPException) -> RequestError:
    match error.status_code:
        case 404:
            return InvalidRequestError("there is no such route", hint="see /docs for the routes")
        case 405:
            return InvalidRequestError("the route does not take this method", hint="see the header Allow, or /docs")
        case 413:
            return RequestTooLargeError(error.detail, hint=TOO_LARGE_HINT)
        case 429:
            return OverloadedError(error.detail, hint="try again in a moment")
        case _:
            return InvalidRequestError("the body is not JSON", hint="see /docs for its shape")


def _field_name(location: tuple[Any, ...]) -> str:
    """Path of a field, short and printable: a client chose the names."""
    name = ".".join(str(part) for part in location[1:])[:_MOST_FIELD_CHARS]
    return "".join(character if character.isprintable() else "?" for character in name)


def _openai_type(status: int) -> str:
    if status >= _FIRST_SERVER_ERROR:
        return "server_error"
    return "rate_limit_error" if status == STATUS[OverloadedError] else "invalid_request_error"
