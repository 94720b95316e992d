"""The rounds of a summary: documents to notes, notes to fewer notes, until one request holds them all.

Every request is proved by its count, and what it has left of its text is taken up in the next one, so that every word of
every document stands in some request. A round must have at most three quarters of the requests of the one before; else
the notes do not get shorter, and it ends with an error instead of going on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from llmapp.app.citations import cite
from llmapp.app.summaries.asking import Asking, Reply, in_order
from llmapp.app.summaries.caveats import Caveats
from llmapp.app.summaries.material import Documents
from llmapp.app.summaries.notes import Note, NotePieces, first_notes, read_notes, shortened_notes
from llmapp.app.summaries.packing import Packing, SummaryAssembler
from llmapp.app.summaries.plan import check_budgets, most_of_next_round, plan_of
from llmapp.app.summaries.result import Summary, SummaryRequest
from llmapp.costs.paying import paid_by, payer
from llmapp.costs.records import NANO_PER_USD
from llmapp.errors import LLMAppError, NotesTooLongError, NothingToSummarizeError
from llmapp.frames import REFUSAL
from llmapp.types import Message, Prompt, Source

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from llmapp.app.summaries.material import Library
    from llmapp.app.summaries.result import SummaryPlan
    from llmapp.costs.prices import Price
    from llmapp.costs.records import Balance
    from llmapp.filters.tree import Filter
    from llmapp.protocols import Progress
    from llmapp.types import Citation, FinishReason, Principal


class Assemblers(NamedTuple):
    """Of the requests of a round."""

    whole: SummaryAssembler
    """For the summary."""
    part: SummaryAssembler
    """For notes."""


class Summarizer:
    """Summarizes documents. Safe to use from several tasks at once."""

    def __init__(
        self,
        library: Library,
        model: BaseChatModel,
        *,
        model_name: str,
        price: Price,
        of_documents: Assemblers,
        of_notes: Assemblers,
        notes_tokens: int,
        summary_tokens: int,
        balances: Callable[[], Sequence[Balance]],
        caveats: Sequence[str] = (),
        learn: Callable[[Sequence[Message], int], None] | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            library: Hands out the documents.
            model: A guarded chat model.
            model_name: Its name, as it is reported.
            price: Its price.
            of_documents: Assemblers of requests that read documents.
            of_notes: Assemblers of requests that read notes.
            notes_tokens: Most tokens of an answer with notes; a round gets shorter if a request holds several of them.
            summary_tokens: Most tokens of the summary.
            balances: How everybody stands who has a budget.
            caveats: What is to be said of every summary by this model.
            learn: Is told the input tokens that the provider has counted for a prompt, 0 where it told none; for estimates.
        """
        self.library = library
        self.model = model
        self.model_name = model_name
        self.of_documents = of_documents
        self.of_notes = of_notes
        self.notes_tokens = notes_tokens
        self.caveats = caveats
        self.learn = learn
        self._price = price
        self._summary_tokens = summary_tokens
        self._balances = balances

    def plan(self, task: str, *, principal: Principal, where: Filter | None = None) -> SummaryPlan:
        """What a summary would take; nothing is asked. See `summarize` for arguments and errors."""
        documents = Documents(self.library, principal, where)
        return plan_of(
            opened(task, documents, self.of_documents),
            documents,
            price=self._price,
            model=self.model_name,
            budget_tokens=self.of_documents.part.budget_tokens,
            notes_tokens=self.notes_tokens,
            summary_tokens=self._summary_tokens,
        )

    async def summarize(
        self,
        task: str,
        *,
        principal: Principal,
        where: Filter | None = None,
        progress: Progress | None = None,
        tell: Callable[[SummaryPlan], None] | None = None,
    ) -> Summary:
        """Summarize all documents that `principal` may read.

        Args:
            task: What the summary is to say.
            principal: Who asks.
            where: What the documents must satisfy; None is nothing.
            progress: Watches the requests of a round.
            tell: Is told the plan before anything is asked; what it raises stops the summary.

        Raises:
            NothingToSummarizeError: There is no such document.
            UnknownFieldError: `where` names a field that none of the documents has.
            PromptError: The task is blank or too long, or does not fit the token budget.
            NotesTooLongError: The notes of a round do not get shorter.
            BudgetExceededError: A budget surely cannot pay, and nothing was asked; or a call could pass it. As with every error on
                the way, the hint then says how far it came.
            CostError, ModelError: A call has no price, or failed.
        """
        started = time.perf_counter()
        plan = await asyncio.to_thread(self.plan, task, principal=principal, where=where)
        if tell is not None:
            tell(plan)
        run = _Run(self, task, progress)
        run.timings_s["plan"] = time.perf_counter() - started
        with paid_by(payer().asking(principal)):
            check_budgets(plan, await asyncio.to_thread(self._balances), payer().accounts)
            try:
                return await run.summary(Documents(self.library, principal, where), plan)
            except LLMAppError as error:
                error.hint = "; ".join(part for part in (error.hint, run.so_far) if part)
                raise


def opened(task: str, documents: Documents, assemblers: Assemblers) -> Packing:
    """The first round.

    Raises:
        NothingToSummarizeError: There is no document.
    """
    packing = Packing(task, documents.pieces(), whole=assemblers.whole, part=assemblers.part)
    if packing.is_empty:
        raise NothingToSummarizeError(
            "there is no document to summarize", hint="check the filter and who asks: llmapp fields lists what may be read"
        )
    return packing


class _Run:
    """One summary in the making."""

    def __init__(self, of: Summarizer, task: str, progress: Progress | None) -> None:
        self._of = of
        self._task = task
        self._progress = progress
        self._asking = Asking(of.model, learn=of.learn)
        self._caveats = Caveats(of.caveats)
        self._round = 0
        self._requests: list[SummaryRequest] = []
        self._evidence: Callable[[Iterable[Source]], Sequence[Source]] = tuple
        self.timings_s: dict[str, float] = {}

    @property
    def so_far(self) -> str:
        """How far it has come."""
        return f"{self._asking.answered:,} requests had been answered, for ${self._asking.nano_usd / NANO_PER_USD:.6f}"

    async def summary(self, documents: Documents, plan: SummaryPlan) -> Summary:
        """Ask round by round until one request holds everything."""
        clock = time.perf_counter()
        packing = await asyncio.to_thread(opened, self._task, documents, self._of.of_documents)
        step: Prompt | Iterable[Prompt] | None = await asyncio.to_thread(packing.whole) or packing.parts()
        self._start(plan.requests + (plan.most_requests > 1))
        while step is not None and not isinstance(step, Prompt):
            step = await asyncio.to_thread(self._next_step, await self._answered(iter(step)))
        self.timings_s["notes"] = time.perf_counter() - clock
        self._caveats.gone, self._caveats.left_out = documents.gone, packing.left_out
        if step is None:  # no note bears on the task
            return self._finished(documents, REFUSAL, (), None)
        reply = await self._asking.ask(step)
        self.timings_s["summary"] = time.perf_counter() - clock - self.timings_s["notes"]
        self._keep(step, reply, in_round=0)
        text, citations = cite(reply.text, self._evidence(step.sources))
        self._caveats.is_uncited = not citations and text != REFUSAL
        return self._finished(documents, text, citations, reply.finish_reason)

    async def _answered(self, prompts: Iterator[Prompt]) -> list[list[Note]]:
        """One round: the notes of each request."""
        self._round += 1
        answers = await in_order(prompts, self._notes_of)
        for prompt, reply, _ in answers:
            self._keep(prompt, reply, in_round=self._round)
        return [notes for _, _, notes in answers]

    def _next_step(self, answers: list[list[Note]]) -> Prompt | list[Prompt] | None:
        """The request for the summary if it holds all notes, else those of the next round; None where there are no notes.

        Where the notes do not get shorter by themselves, each answer keeps as many as half of a request holds.

        Raises:
            NotesTooLongError: Not even then the round gets shorter.
        """
        most = most_of_next_round(len(answers))
        step = self._packed(answers)
        if isinstance(step, list) and len(step) > most:
            shorter = [self._shorter(notes) for notes in answers]
            self._caveats.dropped += sum(map(len, answers)) - sum(map(len, shorter))
            step = self._packed(shorter)
        if isinstance(step, list):
            if len(step) > most:
                raise NotesTooLongError(requests=len(answers), needed=len(step))
            self._start(len(step) + 1)
        return step

    def _packed(self, answers: Iterable[Iterable[Note]]) -> Prompt | list[Prompt] | None:
        pieces = NotePieces(note for notes in answers for note in notes)
        self._evidence = pieces.evidence
        packing = Packing(self._task, pieces, whole=self._of.of_notes.whole, part=self._of.of_notes.part)
        return None if packing.is_empty else packing.whole() or list(packing.parts())

    def _shorter(self, notes: Sequence[Note]) -> list[Note]:
        of_notes = self._of.of_notes
        rooms = (each.budget_tokens - each.assemble(self._task, []).report.used_tokens for each in of_notes)
        return first_notes(notes, counter=of_notes.part.counter, limit_tokens=min(rooms) // 2)

    async def _notes_of(self, prompt: Prompt) -> tuple[Prompt, Reply, list[Note]]:
        reply = await self._asking.ask(prompt, most_tokens=self._of.notes_tokens)
        notes = await asyncio.to_thread(self._read, prompt, reply)
        if self._progress is not None:
            self._progress.advance(prompt.sources[0].chunk.title)
        return prompt, reply, notes

    def _read(self, prompt: Prompt, reply: Reply) -> list[Note]:
        counter = self._of.of_notes.part.counter
        text = shortened_notes(reply.text, lambda text: counter.count(text) <= self._of.notes_tokens)
        numbers = {source.number for source in prompt.sources}
        notes = read_notes(text, self._evidence(prompt.sources), only=numbers.pop() if len(numbers) == 1 else None)
        self._caveats.heard(reply, notes, is_cut=len(text) < len(reply.text.strip()))
        return notes

    def _start(self, requests: int) -> None:
        if self._progress is not None:
            self._progress.start(requests)

    def _keep(self, prompt: Prompt, reply: Reply, *, in_round: int) -> None:
        report = prompt.report
        numbers = {source.number for source in prompt.sources}
        self._requests.append(
            SummaryRequest(
                in_round, report.template, report.budget_tokens, report.used_tokens, len(numbers), reply.usage.output_tokens
            )
        )

    def _finished(
        self, documents: Documents, text: str, citations: tuple[Citation, ...], reason: FinishReason | None
    ) -> Summary:
        self.timings_s["total"] = sum(self.timings_s.values())
        return Summary(
            text=text,
            citations=citations,
            model=self._of.model_name,
            documents=documents.read,
            rounds=self._round,
            usage=self._asking.usage,
            cost_usd=self._asking.nano_usd / NANO_PER_USD,
            requests=tuple(self._requests),
            notes=self._caveats.sentences(self._of.notes_tokens),
            finish_reason=reason,
            timings_s=self.timings_s,
        )
