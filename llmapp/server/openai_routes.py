"""Routes that OpenAI's clients can use: chat completions and the list of models."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from llmapp.application import App
from llmapp.errors import UnknownModelError
from llmapp.server.callers import Application, Caller
from llmapp.server.completions import Completion, check_offered, conversation_of, events_of, model_shape
from llmapp.server.routes import ERRORS
from llmapp.server.schemas import ChatRequest
from llmapp.server.streaming import EventStream, unless_gone

APPLICATION_MODEL = "llmapp"
"""The name under which the application itself is a model, whatever model it uses."""

_STARTED = int(time.time())

openai = APIRouter(prefix="/v1", tags=["OpenAI"], responses=ERRORS)


@openai.post("/chat/completions", response_model=None)
async def complete(body: ChatRequest, request: Request, application: Application, caller: Caller) -> Response:
    """Answer the last message, in OpenAI's shape; citations and cost stand under `llmapp`."""
    if body.model not in _names(application):
        raise UnknownModelError(
            "there is no model of that name here", hint=f"name {' or '.join(_names(application))}; see /v1/models"
        )
    check_offered(body)
    question, history = conversation_of(body.messages)
    where = body.llmapp.where if body.llmapp else None
    completion = Completion(application.model_name)
    if body.stream:
        parts = application.stream(question, principal=caller, history=history, where=where)
        include_usage = bool(body.stream_options and body.stream_options.include_usage)
        return EventStream(events_of(parts, completion, include_usage=include_usage))
    answering = application.answer(question, principal=caller, history=history, where=where)
    answer = await unless_gone(request.receive, answering)
    return JSONResponse(completion.whole(answer))


@openai.get("/models", response_model=None)
async def models(application: Application) -> JSONResponse:
    """The names that a request may give as its model."""
    data = [model_shape(name, created=_STARTED) for name in _names(application)]
    return JSONResponse({"object": "list", "data": data})


def _names(application: App) -> list[str]:
    return [APPLICATION_MODEL, application.model_name]
