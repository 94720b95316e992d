"""Our own routes: ask, summarize, search, and the health of the server."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from llmapp.app.shapes import Shape, answer_shape, fields_shape, found_shape, summary_shape
from llmapp.application import SUMMARY_WORDS, App
from llmapp.errors import CatalogError
from llmapp.server.callers import Application, Caller
from llmapp.server.schemas import (
    AnswerBody,
    AskRequest,
    ErrorBody,
    FieldsBody,
    HitsBody,
    ReadyBody,
    SearchRequest,
    SummarizeRequest,
    SummaryBody,
)
from llmapp.server.streaming import unless_gone

_PROBE_TIMEOUT_S = 2.0

ERRORS: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorBody, "description": "An error"}}
"""How every route documents its errors."""

api = APIRouter(prefix="/api", tags=["llmapp"], responses=ERRORS)
health = APIRouter(prefix="/health", tags=["health"])


@api.post("/ask", response_model=AnswerBody)
async def ask(body: AskRequest, request: Request, application: Application, caller: Caller) -> JSONResponse:
    """Answer a question from the documents, with citations."""
    answer = await unless_gone(request.receive, application.answer(body.question, principal=caller, where=body.where))
    return JSONResponse(answer_shape(answer))


@api.post("/summarize", response_model=SummaryBody)
async def summarize(body: SummarizeRequest, request: Request, application: Application, caller: Caller) -> JSONResponse:
    """Summarize all documents that a filter admits, with citations. It may take minutes."""
    work = application.summary(body.task, principal=caller, where=body.where, words=body.words or SUMMARY_WORDS)
    return JSONResponse(summary_shape(await unless_gone(request.receive, work)))


@api.post("/search", response_model=HitsBody)
async def search(body: SearchRequest, application: Application, caller: Caller) -> JSONResponse:
    """Find the chunks nearest to a query, without an answer; it costs what embedder and reranker cost."""
    found = await asyncio.to_thread(application.find, body.query, top_k=body.top_k, principal=caller, where=body.where)
    return JSONResponse(found_shape(found))


@api.get("/fields", response_model=FieldsBody)
async def fields(application: Application, caller: Caller) -> JSONResponse:
    """List the fields that a filter may name."""
    return JSONResponse(fields_shape(await asyncio.to_thread(application.fields, principal=caller)))


@health.get("/live")
async def live() -> dict[str, bool]:
    """Say that the process runs."""
    return {"live": True}


@health.get("/ready", response_model=ReadyBody, responses={503: {"model": ReadyBody}})
async def ready(request: Request, application: Application) -> JSONResponse:
    """Say whether the catalog can be read, and whether anything is degraded.

    The catalog is read in a thread of its own: questions may have taken all others.
    """
    reading = asyncio.get_running_loop().run_in_executor(request.app.state.probes, _condition, application)
    try:
        return JSONResponse(await asyncio.wait_for(reading, _PROBE_TIMEOUT_S))
    except (CatalogError, TimeoutError):
        return JSONResponse({"ready": False, "degraded": None, "pending": None}, status_code=503)


def _condition(application: App) -> Shape:
    pending = application.catalog.counts().pending
    return {"ready": True, "degraded": application.dense.degraded or application.projection.failure, "pending": pending}
