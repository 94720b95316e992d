"""Gates that a request passes before any route: is it meant for us, is it small enough, is there room.

Plain ASGI, so that a refusal costs little and a place is kept until the last byte of a stream. uvicorn's own limit of
concurrency answers 503 without a word, and starlette's limit of bodies answers in plain text.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmapp.errors import InvalidRequestError, LLMAppError, OverloadedError, RequestTooLargeError
from llmapp.server.errors import STATUS, TOO_LARGE_HINT, response_to


class KnownHost:
    """Refuses requests for a host name that is not ours.

    A web page can point a name of its own at the loopback address and so reach a server there (DNS rebinding); the
    name in its requests gives it away.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] | None) -> None:
        """Guard `app`; `hosts` are lower-case names and addresses without a port, None lets every name pass."""
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or self._hosts is None or _host_of(scope) in self._hosts:
            await self._app(scope, receive, send)
            return
        error = InvalidRequestError("the host name of the request is not one of this server", hint="use its address")
        await _refuse(error, scope, receive, send)


class BodyLimit:
    """Refuses bodies of more than so many bytes, whether they declare their length or not."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        """Guard `app`."""
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _declared_bytes(scope) > self._max_bytes:
            await _refuse(RequestTooLargeError(self._message, hint=TOO_LARGE_HINT), scope, receive, send)
            return
        got_bytes = 0

        async def counted() -> Message:
            nonlocal got_bytes
            message = await receive()
            got_bytes += len(message.get("body", b""))
            if got_bytes > self._max_bytes:
                # FastAPI turns anything else that is raised while it reads a body into a 400.
                raise HTTPException(STATUS[RequestTooLargeError], self._message)
            return message

        await self._app(scope, counted, send)

    @property
    def _message(self) -> str:
        return f"the body has more than {self._max_bytes:,} bytes"


class Admission:
    """Lets in so many POST requests at once, each of which asks something; more are told to come back.

    A place is taken when the whole body has come, so that clients who send half of one keep nobody out, and is given back
    when the response has ended, the last event of a stream included. Reading routes, health among them, are never held up.
    """

    def __init__(self, app: ASGIApp, *, places: int) -> None:
        """Guard `app`; `places` is the most requests at once."""
        self._app = app
        self._places = places
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, to be refused as its body is read."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        has_place = False

        async def admitted() -> Message:
            nonlocal has_place
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False) and not has_place:
                self._take_place()
                has_place = True
            return message

        try:
            await self._app(scope, admitted, send)
        finally:
            self._taken -= has_place

    def _take_place(self) -> None:
        if self._taken == self._places:
            # As in `BodyLimit`: this is the one error that FastAPI lets through while it reads a body.
            raise HTTPException(STATUS[OverloadedError], f"{self._places} questions are being answered, no more at once")
        self._taken += 1


async def _refuse(error: LLMAppError, scope: Scope, receive: Receive, send: Send) -> None:
    await response_to(error, path=scope["path"])(scope, receive, send)


def _host_of(scope: Scope) -> str | None:
    try:
        return urlsplit("//" + Headers(scope=scope).get("host", "")).hostname
    except ValueError:
        return None


def _declared_bytes(scope: Scope) -> int:
    """The length that the request declares; 0 where it declares none, and the count decides."""
    declared = Headers(scope=scope).get("content-length", "")
    return int(declared) if declared.isdecimal() else 0
