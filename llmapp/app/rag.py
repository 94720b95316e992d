"""Retrieval-augmented generation: the question path from the question to the cited answer.

Every stage is a port or a guarded model, chosen elsewhere. Blocking stages run in threads, the model is awaited, and a
caller that goes away cancels the call; the guard then settles what it has cost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk

from llmapp.app.citations import Citer
from llmapp.app.langchain_messages import to_langchain, to_usage
from llmapp.app.queries import Queries, QueryWriter
from llmapp.costs.paying import Payer, paid_by, payer
from llmapp.costs.spending import Spending, counted
from llmapp.prompting.counting import well_formed
from llmapp.types import Answer, FinishReason, Message

if TYPE_CHECKING:
    from llmapp.filters.tree import Filter
    from llmapp.protocols import Searcher
    from llmapp.types import Citation, Found, Hit, Principal, Prompt

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
"""What providers write: OpenAI and its like, Ollama, Anthropic (``end_turn``, ``stop_sequence``, ``max_tokens``, ``refusal``)."""


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
        self,
        searcher: Searcher,
        assembler: PromptAssembler,
        model: BaseChatModel,
        *,
        model_name: str,
        top_k: int,
        writer: QueryWriter | None = None,
        learn: Callable[[Sequence[Message], int], None] | None = None,
    ) -> None:
        """Put the stages together.

        Args:
            searcher: Finds candidates for the question.
            assembler: Fits them into the token budget.
            model: A guarded chat model.
            model_name: Name of the model, as it is reported.
            top_k: Candidates to offer to the assembler. Count.
            writer: Says what to search for; None searches for the question as it was asked.
            learn: Is told the input tokens that the provider has counted for a prompt, 0 where it told none; for estimates.
        """
        self._searcher = searcher
        self._writer = writer
        self._assembler = assembler
        self._model = model
        self._model_name = model_name
        self._top_k = top_k
        self._learn = learn

    async def answer(
        self, question: str, *, principal: Principal, history: Sequence[Message] = (), where: Filter | None = None
    ) -> Answer:
        """Answer a question from what `principal` may read.

        Args:
            question: The question.
            principal: Who asks.
            history: Earlier turns, oldest first.
            where: What the documents must satisfy that are answered from; None is nothing.

        Raises:
            PromptError: The question is blank or too long, or does not fit the token budget.
            CostError: The call could pass a budget, or has no price.
            ModelError: The model cannot be called.
            RetrievalError: The search cannot be made.
        """
        async with aclosing(self.stream(question, principal=principal, history=history, where=where)) as parts:
            async for part in parts:
                if isinstance(part, Answer):
                    return part
        raise RuntimeError("the stream ended without an answer")

    async def stream(
        self, question: str, *, principal: Principal, history: Sequence[Message] = (), where: Filter | None = None
    ) -> AsyncGenerator[str | Answer]:
        """Yield the answer's text in pieces as the model writes it, and the whole `Answer` last.

        The pieces together are the answer's text to the letter: its marks are resolved as they come.

        Raises:
            PromptError, CostError, ModelError, RetrievalError: As `answer`; nothing was yielded before the model spoke.
        """
        clock = _Clock()
        self._assembler.check_question(question)
        who = payer().asking(principal)
        with paid_by(who):
            search = await asyncio.to_thread(self._search, question, principal, history, where)
        clock.lap("retrieve")
        with paid_by(who):
            prompt, assembling = await asyncio.to_thread(self._assemble, question, search.found.hits, history)
        clock.lap("assemble")
        reply = _Reply(prompt, who)
        chunks = self._model.astream(to_langchain(prompt.messages))
        try:
            while (chunk := await reply.next_of(chunks)) is not None:
                if text := reply.add(chunk):
                    yield text
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]  # an async generator by langchain's own code
        if text := reply.end():
            yield text
        clock.lap("complete")
        answer = self._finish(question, search, assembling, reply, clock)
        yield replace(answer, follows_up=bool(history))

    def _search(self, question: str, principal: Principal, history: Sequence[Message], where: Filter | None) -> _Search:
        with counted() as spending:
            clock = _Clock()
            queries = Queries(question) if self._writer is None else self._writer.write(question, history)
            clock.lap("rewrite")
            found = self._searcher.search(
                queries.question, wordings=queries.wordings, principal=principal, top_k=self._top_k, where=where
            )
        return _Search(queries, found, spending, {} if self._writer is None else clock.laps)

    def _assemble(self, question: str, hits: Sequence[Hit], history: Sequence[Message]) -> tuple[Prompt, Spending]:
        with counted() as spending:
            return self._assembler.assemble(question, hits, history=history), spending

    def _finish(self, question: str, search: _Search, assembling: Spending, reply: _Reply, clock: _Clock) -> Answer:
        usage = to_usage(reply.whole.usage_metadata)
        if self._learn is not None:
            self._learn(reply.prompt.messages, usage.input_tokens)
        return Answer(
            text=reply.text,
            citations=reply.citations,
            model=self._model_name,
            usage=usage + search.spending.usage + assembling.usage,
            cost_usd=(search.spending.nano_usd + assembling.nano_usd + reply.cost_nano_usd) / 1e9,
            report=reply.prompt.report,
            timings_s={**search.timings_s, **search.found.timings_s, **clock.total()},
            finish_reason=reply.finish_reason,
            queries=tuple(map(well_formed, search.queries.beside(question))),
            notes=(*search.queries.notes, *search.found.notes, *reply.prompt.notes),
            question=well_formed(question),
        )


@dataclass(frozen=True, slots=True)
class _Search:
    """What was searched for, what was found, and what both have taken."""

    queries: Queries
    found: Found
    spending: Spending
    timings_s: Mapping[str, float]


def to_finish_reason(metadata: Mapping[str, Any]) -> FinishReason | None:
    """Why the model stopped, by the metadata of a message or of a chunk; None when it does not say."""
    said = (metadata.get(name) for name in ("finish_reason", "stop_reason", "done_reason"))
    return next((_FINISH_REASONS.get(str(reason).lower()) for reason in said if reason), None)


class _Reply:
    """What the model says to a prompt, put together as it comes."""

    def __init__(self, prompt: Prompt, who: Payer) -> None:
        self.prompt = prompt
        self._who = who
        self.whole = AIMessageChunk(content="")
        self.text = ""
        self.finish_reason: FinishReason | None = None
        self._citer = Citer(prompt.sources)
        self._embedding_nano_usd = 0

    @property
    def citations(self) -> tuple[Citation, ...]:
        return self._citer.citations

    @property
    def cost_nano_usd(self) -> int:
        """What the guard has billed for the call, and what the model has embedded meanwhile."""
        return self._embedding_nano_usd + int(self.whole.response_metadata.get("llmapp", {}).get("cost_nano_usd", 0))

    async def next_of(self, chunks: AsyncIterator[AIMessageChunk]) -> AIMessageChunk | None:
        """The next chunk, None at the end. Counted one by one: a context variable must not be left set over a yield."""
        with paid_by(self._who), counted() as spending:
            try:
                return await anext(chunks, None)
            finally:
                self._embedding_nano_usd += spending.nano_usd

    def add(self, chunk: AIMessageChunk) -> str:
        """Take a chunk, and give what is certain of the answer's text."""
        self.whole += chunk
        self.finish_reason = to_finish_reason(chunk.response_metadata) or self.finish_reason
        return self._said(self._citer.read(str(chunk.text)))

    def end(self) -> str:
        """Give the rest of the answer's text."""
        return self._said(self._citer.end())

    def _said(self, text: str) -> str:
        self.text += text
        return text


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = now - self._last
        self._last = now

    def total(self) -> dict[str, float]:
        return {**self.laps, "total": time.perf_counter() - self._start}
