"""What a route needs to know of its request: the application, and who asks."""

from __future__ import annotations

from typing import Annotated, TypeAlias, cast

from fastapi import Depends, Request

from llmapp.application import App
from llmapp.types import LOCAL_USER, Principal


async def application_of(request: Request) -> App:
    """The application that the server was made for."""
    return cast("App", request.app.state.application)


async def principal_of(request: Request) -> Principal:  # noqa: ARG001 - the request is where a principal will come from
    """Who asks. There is no authentication yet, so everyone is the local user; this is the one place that decides."""
    return LOCAL_USER


Application: TypeAlias = Annotated[App, Depends(application_of)]
Caller: TypeAlias = Annotated[Principal, Depends(principal_of)]
