"""An application, and what one asks of it: answers, hits, how it is. What scripts, server and commands hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.app.loop import Loop
from llmapp.bootstrap import part
from llmapp.config import load_settings
from llmapp.documents import Documents
from llmapp.errors import EmbedderMismatchError, InvalidRequestError, NothingIngestedError
from llmapp.filters import Filter, Where, parse_filter
from llmapp.types import LOCAL_USER, Answer, Found, Hit, Message, Principal, Prompt

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from pydantic import JsonValue

    from llmapp.app.rag import RagPipeline
    from llmapp.app.summaries.result import Summary, SummaryPlan
    from llmapp.app.summaries.summarizer import Summarizer
    from llmapp.catalog.records import Counts, FieldRecord, RunRecord
    from llmapp.prompting.assembly import Assembler
    from llmapp.prompting.examples import Examples
    from llmapp.protocols import Embedder, Progress, VectorIndex
    from llmapp.retrieval.index_check import IndexCheck
    from llmapp.retrieval.moving import MovePlan, MoveReport

SUMMARY_WORDS = 300
"""Most words of a summary where none are asked for: a page."""


@dataclass(frozen=True, slots=True)
class Status:
    """What an application holds, and whether all of it works."""

    root: Path
    catalog: str
    """The database that serves: the path of a file, or the address of a server without its password."""
    model: str
    embedder: str
    embedder_note: str
    """Why nothing can be searched: the vectors were made by another embedder; else empty."""
    counts: Counts
    last_runs: tuple[RunRecord, ...]
    """The last run of every source, by source."""
    spent_today_usd: float
    day_limit_usd: float | None
    store: str
    """Name of the store that the vector index serves from."""
    store_note: str
    """What an operator should know of it: the settings name another one, or a further one holds vectors; else empty."""
    degraded: str | None
    """Why the vector index does not serve, or the embedder's server is away; None when both do, or are not needed."""

    def shape(self) -> dict[str, JsonValue]:
        """As JSON."""
        return {
            "root": str(self.root),
            "catalog": self.catalog,
            "model": self.model,
            "embedder": self.embedder,
            "embedder_note": self.embedder_note,
            **asdict(self.counts),
            "last_runs": [asdict(run) for run in self.last_runs],
            "spent_today_usd": self.spent_today_usd,
            "day_limit_usd": self.day_limit_usd,
            "store": self.store,
            "store_note": self.store_note,
            "degraded": self.degraded,
        }

    def rows(self) -> Iterable[tuple[str, str]]:
        """As lines for a terminal."""
        limit = "no limit" if self.day_limit_usd is None else f"of ${self.day_limit_usd:.2f}"
        yield "application", str(self.root)
        yield "catalog", self.catalog
        yield "model", self.model
        yield "embedder", "; ".join(part for part in (self.embedder, self.embedder_note) if part)
        yield from ((name, f"{count:,}") for name, count in asdict(self.counts).items())
        yield "spent today", f"${self.spent_today_usd:.6f} {limit}"
        yield "vectors in", ", ".join(part for part in (self.store, self.store_note) if part)
        if self.degraded:
            yield "degraded", self.degraded


@dataclass(frozen=True, slots=True)
class Preview:
    """What a question would be answered from."""

    prompt: Prompt
    """As it would be sent, with its report in full."""
    found: Found
    """What was found for it: all that the prompt could hold."""


class App(Documents):
    """An application. Use it as a context manager; see `Parts` for what it is made of and `Documents` for what keeps them."""

    def ask(
        self,
        question: str,
        *,
        principal: Principal = LOCAL_USER,
        history: Sequence[Message] = (),
        where: Where | None = None,
        examples: Examples | None = None,
    ) -> Answer:
        """Answer a question; see `answer`. For scripts: it blocks."""
        return self._loop.run(self.answer(question, principal=principal, history=history, where=where, examples=examples))

    @part
    def _loop(self) -> Loop:
        return Loop()

    def close(self) -> None:
        """End what is running, close files and end worker processes."""
        if "_loop" in self.__dict__:
            self._loop.close()
        super().close()

    async def answer(
        self,
        question: str,
        *,
        principal: Principal,
        history: Sequence[Message] = (),
        where: Where | None = None,
        examples: Examples | None = None,
    ) -> Answer:
        """Answer a question from what `principal` may read; see `RagPipeline.answer` for the errors.

        Args:
            question: The question.
            principal: Who asks.
            history: Earlier turns, oldest first.
            where: What the documents must satisfy that are answered from: a filter, its text or its JSON. None is nothing.
            examples: Worked examples in the place of the application's own; None are these.
        """
        pipeline = self._pipeline_for(examples)
        self._check(question)
        return await pipeline.answer(question, principal=principal, history=history, where=_filter(where))

    async def stream(
        self,
        question: str,
        *,
        principal: Principal,
        history: Sequence[Message] = (),
        where: Where | None = None,
        examples: Examples | None = None,
    ) -> AsyncGenerator[str | Answer]:
        """Yield the answer in pieces, and the whole `Answer` last; see `answer`."""
        pipeline = self._pipeline_for(examples)
        self._check(question)
        async with aclosing(pipeline.stream(question, principal=principal, history=history, where=_filter(where))) as parts:
            async for one in parts:
                yield one

    def summarize(
        self,
        task: str,
        *,
        principal: Principal = LOCAL_USER,
        where: Where | None = None,
        words: int = SUMMARY_WORDS,
        progress: Progress | None = None,
        tell: Callable[[SummaryPlan], None] | None = None,
    ) -> Summary:
        """Summarize documents; see `summary`. For scripts: it blocks."""
        return self._loop.run(
            self.summary(task, principal=principal, where=where, words=words, progress=progress, tell=tell)
        )

    async def summary(
        self,
        task: str,
        *,
        principal: Principal,
        where: Where | None = None,
        words: int = SUMMARY_WORDS,
        progress: Progress | None = None,
        tell: Callable[[SummaryPlan], None] | None = None,
    ) -> Summary:
        """Summarize all documents that `principal` may read; see `llmapp.app.summaries` for how, and there for the errors.

        Args:
            task: What the summary is to say.
            principal: Who asks.
            where: What the documents must satisfy: a filter, its text or its JSON. None is nothing.
            words: Most words that the model is asked for.
            progress: Watches the requests.
            tell: Is told what it can take before anything is asked; what it raises stops the summary.
        """
        summarizer = self._summarizer(task, words)
        return await summarizer.summarize(task, principal=principal, where=_filter(where), progress=progress, tell=tell)

    def plan_summary(
        self, task: str, *, principal: Principal = LOCAL_USER, where: Where | None = None, words: int = SUMMARY_WORDS
    ) -> SummaryPlan:
        """How many documents, tokens and requests a summary would take, and what it can cost; nothing is asked. See `summary`."""
        return self._summarizer(task, words).plan(task, principal=principal, where=_filter(where))

    def _summarizer(self, task: str, words: int) -> Summarizer:
        from llmapp.bootstrap.summaries import summarizer

        if words < 1:
            raise InvalidRequestError(f"words is {words:,}", hint="ask for one or more")
        self._check(task)
        return summarizer(self, words=words)

    def search(
        self, query: str, *, top_k: int | None = None, principal: Principal = LOCAL_USER, where: Where | None = None
    ) -> list[Hit]:
        """Find chunks that `principal` may read, best first.

        Args:
            query: What to look for.
            top_k: Most hits to return; None takes the setting.
            principal: Who asks.
            where: What the documents of the hits must satisfy: a filter, its text or its JSON. None is nothing.

        Raises:
            FilterError: `where` is no filter, or names a field that there is not.
            InvalidRequestError: `top_k` is not positive.
            PromptError: The query is blank or too long.
            RetrievalError: The search cannot be made, or nothing was ever ingested.
        """
        return list(self.find(query, top_k=top_k, principal=principal, where=where).hits)

    def find(
        self, query: str, *, top_k: int | None = None, principal: Principal = LOCAL_USER, where: Where | None = None
    ) -> Found:
        """As `search`; also what was left out, how long each stage took, and what it has cost."""
        from llmapp.costs.paying import paid_by, payer
        from llmapp.costs.records import NANO_PER_USD
        from llmapp.costs.spending import counted

        self._check(query)
        wanted = self.settings.retrieval.top_k if top_k is None else top_k
        if wanted < 1:
            raise InvalidRequestError(
                f"top_k is {wanted:,}", hint="ask for one hit or more, or for None: as many as the settings say"
            )
        with paid_by(payer().asking(principal)), counted() as spending:
            found = self.retriever.search(query, principal=principal, top_k=wanted, where=_filter(where))
        return replace(found, cost_usd=spending.nano_usd / NANO_PER_USD)

    def preview(
        self,
        question: str,
        *,
        principal: Principal = LOCAL_USER,
        history: Sequence[Message] = (),
        where: Where | None = None,
        examples: Examples | None = None,
    ) -> Preview:
        """The prompt that a question would get; nothing is answered, and it costs what `find` costs.

        What is searched for is the question as it stands: it is not put in other words, which the chat model does
        (`retrieval.rewrite`, `retrieval.queries`). See `answer` for the arguments; a `history` that is cut is summed up as
        the settings say (`prompt.summarize_history`), by the chat model.

        Raises:
            FilterError, PromptError, RetrievalError: As `search`.
            TokenBudgetExceededError: Not even the smallest prompt fits.
        """
        from llmapp.costs.paying import paid_by, payer

        with paid_by(payer().asking(principal)):
            found = self.find(question, principal=principal, where=where)
            assembler = self._assembler_for(examples)
            return Preview(assembler.assemble(question, found.hits, history=history, measure=True), found)

    def _assembler_for(self, examples: Examples | None) -> Assembler:
        return self.assembler if examples is None else self.assembler.with_examples(examples)

    def _pipeline_for(self, examples: Examples | None) -> RagPipeline:
        return self.pipeline if examples is None else self.pipeline_with(self._assembler_for(examples))

    def fields(self, *, principal: Principal = LOCAL_USER) -> list[FieldRecord]:
        """The fields that a filter may name, of documents that `principal` may read, by name."""
        return self.catalog.fields(principal)

    def _check(self, question: str) -> None:
        self.assembler.check_question(question)
        if self.catalog.generation() == 0:
            raise NothingIngestedError("there are no documents yet", hint="run llmapp ingest")

    def status(self) -> Status:
        """What the application holds, and whether all of it works."""
        limit = self.settings.budgets.day_usd
        counts = self.catalog.counts()
        fault = self.index.fault() if counts.chunks > counts.pending else None
        return Status(
            root=self.settings.root,
            catalog=self.catalog.place,
            model=self.model_name,
            embedder=self.embedder.identity,
            embedder_note=self._embedder_note(),
            counts=counts,
            last_runs=tuple(self.catalog.last_runs()),
            spent_today_usd=self._spent_today_usd(),
            day_limit_usd=None if limit is None else float(limit),
            store=self.index.name,
            store_note=self._store_note(),
            degraded=fault or self.projection.failure or self.dense.degraded,
        )

    def _embedder_note(self) -> str:
        try:
            self.catalog.check_embedder(self.embedder.identity)
        except EmbedderMismatchError as error:
            return f"{error.message}: {error.hint}"
        return ""

    def _spent_today_usd(self) -> float:
        from llmapp.costs.records import NANO_PER_USD

        return self.ledger.today().posted_nano_usd / NANO_PER_USD

    def _store_note(self) -> str:
        serving, named = self.index.name, self._first_store
        words = {"begun": "a move to {} is not finished", "kept": "{} is kept", "retired": "{} is still to be emptied"}
        notes = [f"llmapp.toml names {named}: run llmapp reindex --to {named}, or change it"] if named != serving else []
        return "; ".join([*notes, *(words[why].format(name) for name, why in self.catalog.other_stores().items())])

    def verify_index(self) -> IndexCheck:
        """Compare the vector index with the catalog."""
        return self.projection.verify()

    def rebuild_index(self) -> int:
        """Build the vector index again from the stored embeddings; nothing is embedded.

        Returns:
            Number of chunks.

        Raises:
            LockedError: Another process holds the index.
        """
        return self.projection.rebuild()

    def plan_reindex(self, store: str) -> MovePlan:
        """See what `reindex` would do; nothing is changed.

        Raises:
            ConfigError: There is no such store, or the settings do not say where it is.
            LockedError: Another process moves the vectors, or holds the index, and the store is for one process.
        """
        return self.move(store).plan()

    def reindex(self, store: str, *, progress: Progress | None = None, keep_former: bool = False) -> MoveReport:
        """Move the vectors to another store and let it serve; nothing is embedded, and the former one serves until then.

        Args:
            store: ``chroma``, ``chroma-server``, ``pgvector``, ``exact``, or a class of your own, ``package.module:Class``.
            progress: Told of every vector that is put; None tells nobody.
            keep_former: Whether the former store keeps its vectors.

        Raises:
            ConfigError: There is no such store, or the settings do not say where it is.
            LockedError: Another process moves the vectors, or holds the index, and the store is for one process.
            IndexUnavailableError: The store cannot be written; the former one serves.
        """
        report = self.move(store).run(progress, keep_former=keep_former)
        self.projection.apply_pending()
        return report


def open_app(
    path: Path | str | None = None,
    *,
    model: BaseChatModel | None = None,
    embedder: Embedder | None = None,
    index: VectorIndex | None = None,
) -> App:
    """Open the application whose llmapp.toml is at `path`, or the nearest one above the current folder.

    Args:
        path: llmapp.toml, or its folder; None looks for it.
        model: Takes the place of the chat model that the settings name.
        embedder: Takes the place of the embedder that the settings name; `langchain_embedder` makes one from LangChain's.
            Priced by its identity.
        index: Takes the place of the store of its name, or of the first one where the catalog names none; see
            architecture/stores.md for one that the command line finds too.

    Raises:
        ConfigError: The settings are wrong, or the vectors are in another store than the given one.
        CatalogError: The catalog cannot be opened.
    """
    return App(load_settings(path), model=model, embedder=embedder, index=index)


def _filter(where: Where | None) -> Filter | None:
    return None if where is None else parse_filter(where)
