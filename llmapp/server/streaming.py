"""What becomes of work whose client leaves: it is stopped, and waited for, so that the guard settles what it has cost.

Starlette runs a plain endpoint to its end for nobody, and never closes a generator that its client left in the middle
of a send.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from llmapp.app.shapes import Shape

_T = TypeVar("_T")

DONE = b"data: [DONE]\n\n"
"""The last event of a stream that has come to its end."""


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, _T]) -> _T:
    """Do `work` while the client is there.

    Args:
        receive: Of a request whose body has been read: the next message says that the client has left.
        work: Is cancelled when it has, and waited for.

    Raises:
        ClientDisconnect: The client has left.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_departure(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


class EventStream(Response):
    """Server-sent events.

    The status line waits for the first event: what is raised before it is answered like any other error.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        """Send `events`, each a whole event, and close the generator in every case."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the signature is ASGI's
        """Send the events until they end or the client leaves."""
        with suppress(ClientDisconnect):
            await unless_gone(receive, self._send(send))
            # Nothing is awaited after this: who reads the end and asks again finds the place in `Admission` free.
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send) -> None:
        async with aclosing(self._events) as events:
            first = await anext(events)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})


def event(data: Shape) -> bytes:
    """One event. Pure ASCII: a model may cut its text in the middle of a character, which UTF-8 cannot say."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode("ascii") + b"\n\n"


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
