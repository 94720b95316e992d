"""The server: an application behind FastAPI, and uvicorn around it.

While it runs it holds the vector index, so that documents taken in from the command line beside it reach the index
within seconds. Knows of the application only what `llmapp.application.App` offers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from importlib.metadata import version

import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware

from llmapp.application import App
from llmapp.config import Settings
from llmapp.errors import ConfigError, LLMAppError
from llmapp.server import errors
from llmapp.server.gates import Admission, BodyLimit, KnownHost
from llmapp.server.openai_routes import openai
from llmapp.server.routes import api, health

_log = logging.getLogger(__name__)

_CATCH_UP_PERIOD_S = 2.0
_HIGHEST_PORT = 65_535
_SHUTDOWN_S = 10
"""Streams get so long to end after Ctrl-C, then they are cancelled and settled."""


def create_app(application: App) -> FastAPI:
    """Put an application behind HTTP.

    Args:
        application: Open; it stays the caller's, who closes it when the server has ended.

    Raises:
        LLMAppError: A part of the application cannot be made, e.g. an unknown model; better now than at a question.
    """
    _ = application.pipeline, application.projection
    server = application.settings.server
    served = FastAPI(
        title="llmapp",
        version=version("llmapp"),
        description=f"Status codes:\n\n```text{_table(errors.__doc__)}```",
        redoc_url=None,
        lifespan=partial(_lifespan, application),
        middleware=[
            Middleware(KnownHost, hosts=_own_names(server.host)),
            Middleware(BodyLimit, max_bytes=server.max_body_bytes),
            Middleware(Admission, places=server.max_concurrency),
        ],
    )
    served.state.application = application
    served.state.probes = ThreadPoolExecutor(1, thread_name_prefix="health")
    for router in (openai, api, health):
        served.include_router(router)
    errors.install(served)
    return served


def run(settings: Settings, *, host: str | None = None, port: int | None = None) -> None:
    """Serve until Ctrl-C.

    Args:
        settings: Of the application.
        host: Address to listen on; None takes the settings'.
        port: Port to listen on, 0 takes a free one; None takes the settings'.

    Raises:
        ConfigError: The address cannot be listened on.
        LLMAppError: The application cannot be opened, or a part of it cannot be made.
    """
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"server": settings.server.model_copy(update=given)})
    with App(settings) as application, _listening(settings.server.host, settings.server.port) as listener:
        served = create_app(application)
        _announce(settings.server.host, listener.getsockname()[1])
        config = uvicorn.Config(served, log_level="warning", server_header=False, timeout_graceful_shutdown=_SHUTDOWN_S)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


@asynccontextmanager
async def _lifespan(application: App, served: FastAPI) -> AsyncIterator[None]:
    stopped = asyncio.Event()
    keeper = asyncio.create_task(_keep_index(application, stopped))
    try:
        yield
    finally:
        stopped.set()
        await keeper
        served.state.probes.shutdown(wait=False)


async def _keep_index(application: App, stopped: asyncio.Event) -> None:
    """Hold the index as soon as it is free, and bring it up to date again and again."""
    while not stopped.is_set():
        await asyncio.to_thread(_catch_up, application)
        with suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), _CATCH_UP_PERIOD_S)
    await asyncio.to_thread(_let_go, application)


def _catch_up(application: App) -> None:
    try:
        if application.index_lock.held or application.index_lock.try_acquire():
            application.projection.apply_pending()
    except LLMAppError as error:
        _log.warning("the index was not brought up to date: %s", error.message)
    except Exception:  # noqa: BLE001 - whatever fails, exact search serves, and the next turn may succeed
        _log.exception("the index was not brought up to date")


def _let_go(application: App) -> None:
    if application.index_lock.held:
        application.index.close()
        application.index_lock.release()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    if not 0 <= port <= _HIGHEST_PORT:
        raise ConfigError(f"{port} is no port", hint=f"ports are 1 to {_HIGHEST_PORT}; 0 takes a free one")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {str(error.strerror).partition(' (')[0]}",
            hint="choose another with --host and --port, or server.host and server.port; port 0 takes a free one",
        ) from error
    with closing(listener):
        yield listener


def _announce(host: str, port: int) -> None:
    address = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"llmapp answers at http://{address}:{port} (its routes: /docs; Ctrl-C stops it)\n")
    sys.stdout.flush()
    if not _is_loopback(host):
        sys.stderr.write(
            f"warning: {host} can be reached from other machines, and there is no authentication yet: "
            "whoever reaches it reads the public documents and spends the budget\n"
        )


def _own_names(host: str) -> frozenset[str] | None:
    """The names under which a loopback server is called; None for others, whose names only their operator knows."""
    return frozenset({"localhost", "127.0.0.1", "::1", host.lower()}) if _is_loopback(host) else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _table(documentation: str | None) -> str:
    return (documentation or "").partition("\n")[2]
