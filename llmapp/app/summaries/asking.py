"""The guarded model, asked a few requests at a time, with what it has taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from langchain_core.language_models import BaseChatModel

from llmapp.app.langchain_messages import to_langchain, to_usage
from llmapp.app.rag import to_finish_reason
from llmapp.costs.spending import counted
from llmapp.types import FinishReason, Message, Prompt, Usage

_AT_ONCE = 4
"""Requests of one round that wait for the provider at the same time: most allow as many to everybody."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote to one request."""

    text: str
    usage: Usage
    finish_reason: FinishReason | None


class Asking:
    """Asks the model for one summary, and adds up what that takes."""

    def __init__(self, model: BaseChatModel, *, learn: Callable[[Sequence[Message], int], None] | None = None) -> None:
        """Ask this model.

        Args:
            model: Guarded.
            learn: Is told the input tokens that the provider has counted for a prompt, 0 where it told none; for estimates.
        """
        self._model = model
        self._learn = learn
        self.answered = 0
        """Requests that were answered."""
        self.usage = Usage()
        self.nano_usd = 0

    async def ask(self, prompt: Prompt, *, most_tokens: int | None = None) -> Reply:
        """One request.

        Args:
            prompt: It.
            most_tokens: Of the answer; None is as many as the model's settings allow.

        Raises:
            ModelError: The model cannot be called.
            CostError: The call could pass a budget, or has no price.
        """
        with counted() as embedding:
            try:
                reply = await self._model.ainvoke(to_langchain(prompt.messages), max_tokens=most_tokens)
            finally:
                self.nano_usd += embedding.nano_usd
        usage = to_usage(reply.usage_metadata)
        self.answered += 1
        self.usage += usage
        self.nano_usd += int(reply.response_metadata.get("llmapp", {}).get("cost_nano_usd", 0))
        if self._learn is not None:
            self._learn(prompt.messages, usage.input_tokens)
        return Reply(str(reply.text), usage, to_finish_reason(reply.response_metadata))


async def in_order(prompts: Iterator[Prompt], work: Callable[[Prompt], Awaitable[_T]]) -> list[_T]:
    """Do the work of some prompts, a few at a time; what comes out stands in their order, whichever was done first.

    Prompts are made in a thread, one when there is room for it. When one fails, or the caller leaves, the others are
    cancelled and waited for.
    """
    running: dict[asyncio.Future[_T], int] = {}
    done: dict[int, _T] = {}
    is_more = True
    try:
        while is_more or running:
            while is_more and len(running) < _AT_ONCE:
                prompt = await asyncio.to_thread(next, prompts, None)
                is_more = prompt is not None
                if prompt is not None:
                    running[asyncio.ensure_future(work(prompt))] = len(done) + len(running)
            finished = (await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED))[0] if running else ()
            for each in finished:
                done[running.pop(each)] = each.result()
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return [done[number] for number in sorted(done)]
