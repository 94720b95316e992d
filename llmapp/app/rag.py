"""Retrieval-augmented generation: the question path from the question to the cited answer.

Every stage is a port or a guarded model, chosen elsewhere. Blocking stages run in threads, the model is awaited, and a
caller that goes away cancels the call; the guard then settles what it has cost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata

from llmapp.app.citations import cite
from llmapp.costs.spending import counted
from llmapp.types import Answer, Message, Usage

if TYPE_CHECKING:
    from llmapp.protocols import Retriever
    from llmapp.types import Hit, Principal, Prompt

_KINDS: dict[str, type[BaseMessage]] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}


class PromptAssembler(Protocol):
    """Fits a question and its candidates into a prompt."""

    def assemble(self, question: str, hits: Sequence[Hit], *, history: Sequence[Message] = ()) -> Prompt:
        """The prompt within the token budget.

        Raises:
            PromptError: The question is blank or too long, or not even the smallest prompt fits.
        """

    def check_question(self, question: str) -> None:
        """Refuse what no prompt can be made of, before anything is searched.

        Raises:
            PromptError: The question is blank or too long.
        """


class RagPipeline:
    """Answers questions from documents. Safe to use from several tasks at once."""

    def __init__(
        self, retriever: Retriever, assembler: PromptAssembler, model: BaseChatModel, *, model_name: str, top_k: int
    ) -> None:
        """Put the stages together.

        Args:
            retriever: Finds candidates for the question.
            assembler: Fits them into the token budget.
            model: A guarded chat model.
            model_name: Name of the model, as it is reported.
            top_k: Candidates to offer to the assembler. Count.
        """
        self._retriever = retriever
        self._assembler = assembler
        self._model = model
        self._model_name = model_name
        self._top_k = top_k

    async def answer(self, question: str, *, principal: Principal, history: Sequence[Message] = ()) -> Answer:
        """Answer a question from what `principal` may read.

        Raises:
            PromptError: The question is blank or too long, or does not fit the token budget.
            CostError: The call could pass a budget, or has no price.
            ModelError: The model cannot be called.
            RetrievalError: The search cannot be made.
        """
        async with aclosing(self.stream(question, principal=principal, history=history)) as parts:
            async for part in parts:
                if isinstance(part, Answer):
                    return part
        raise RuntimeError("the stream ended without an answer")

    async def stream(
        self, question: str, *, principal: Principal, history: Sequence[Message] = ()
    ) -> AsyncGenerator[str | Answer]:
        """Yield the answer's text in pieces as the model writes it, and the whole `Answer` last.

        Raises:
            PromptError, CostError, ModelError, RetrievalError: As `answer`; nothing was yielded before the model spoke.
        """
        clock = _Clock()
        self._assembler.check_question(question)
        hits, search_nano_usd = await asyncio.to_thread(self._retrieve, question, principal)
        clock.lap("retrieve")
        prompt = await asyncio.to_thread(self._assembler.assemble, question, hits, history=history)
        clock.lap("assemble")
        whole = AIMessageChunk(content="")
        chunks = self._model.astream(to_langchain(prompt.messages))
        try:
            async for chunk in chunks:
                whole += chunk
                if text := str(chunk.text):
                    yield text
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]  # an async generator by langchain's own code
        clock.lap("complete")
        yield self._finish(prompt, whole, search_nano_usd, clock)

    def _retrieve(self, question: str, principal: Principal) -> tuple[list[Hit], int]:
        with counted() as spending:
            hits = self._retriever.retrieve(question, principal=principal, top_k=self._top_k)
        return hits, spending.nano_usd

    def _finish(self, prompt: Prompt, whole: AIMessageChunk, search_nano_usd: int, clock: _Clock) -> Answer:
        text, citations = cite(str(whole.text), prompt.sources)
        model_nano_usd = whole.response_metadata.get("llmapp", {}).get("cost_nano_usd", 0)
        return Answer(
            text=text.strip(),
            citations=citations,
            model=self._model_name,
            usage=to_usage(whole.usage_metadata),
            cost_usd=(search_nano_usd + model_nano_usd) / 1e9,
            report=prompt.report,
            timings_s=clock.total(),
        )


def to_langchain(messages: Sequence[Message]) -> list[BaseMessage]:
    """The messages as langchain's own classes."""
    return [_KINDS[message.role](content=message.content) for message in messages]


def to_usage(metadata: UsageMetadata | None) -> Usage:
    """Langchain's usage as ours; all zero where the model reported none."""
    if metadata is None:
        return Usage()
    details = metadata.get("input_token_details", {})
    return Usage(
        input_tokens=metadata["input_tokens"],
        output_tokens=metadata["output_tokens"],
        cache_read_tokens=details.get("cache_read", 0),
        cache_write_tokens=details.get("cache_creation", 0),
    )


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps[stage] = now - self._last
        self._last = now

    def total(self) -> dict[str, float]:
        return {**self._laps, "total": time.perf_counter() - self._start}
