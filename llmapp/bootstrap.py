"""The composition root: the only place that chooses concrete parts.

Every part is made when it is first needed, so a search loads no model and a new process answers fast. A part can be
replaced by an argument; the tests build the same application with fakes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.lock import FileLock
from llmapp.config import Settings, load_settings
from llmapp.errors import ConfigError, SourceNotFoundError
from llmapp.types import LOCAL_USER, PUBLIC, Answer, Hit, Message, Principal

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from pydantic import JsonValue

    from llmapp.app.rag import RagPipeline
    from llmapp.catalog.records import Counts, RunRecord
    from llmapp.connector import Connector
    from llmapp.costs.embedding import GuardedEmbedder
    from llmapp.costs.guard import GuardedChatModel
    from llmapp.costs.ledger import Ledger
    from llmapp.costs.prices import PriceBook
    from llmapp.ingestion.ingestor import Ingestor, IngestReport
    from llmapp.ingestion.parsing import ProcessParser
    from llmapp.prompting.assembly import Assembler
    from llmapp.protocols import Embedder, Progress, TokenCounter, VectorIndex
    from llmapp.retrieval.dense import DenseRetriever
    from llmapp.retrieval.hybrid import HybridRetriever
    from llmapp.retrieval.projection import IndexCheck, IndexProjection

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Source:
    """A connector that is ready to be read, with the access list for documents that bring none."""

    name: str
    connector: Connector
    acl: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """What an application holds, and whether all of it works."""

    root: Path
    model: str
    embedder: str
    counts: Counts
    last_runs: tuple[RunRecord, ...]
    spent_today_usd: float
    day_limit_usd: float | None
    degraded: str | None
    """Why the vector index does not serve; None when it does, or is not needed."""

    def shape(self) -> dict[str, JsonValue]:
        """As JSON."""
        return {
            "root": str(self.root),
            "model": self.model,
            "embedder": self.embedder,
            **asdict(self.counts),
            "last_runs": [asdict(run) for run in self.last_runs],
            "spent_today_usd": self.spent_today_usd,
            "day_limit_usd": self.day_limit_usd,
            "degraded": self.degraded,
        }

    def rows(self) -> Iterable[tuple[str, str]]:
        """As lines for a terminal."""
        limit = "no limit" if self.day_limit_usd is None else f"of ${self.day_limit_usd:.2f}"
        yield "application", str(self.root)
        yield "model", self.model
        yield "embedder", self.embedder
        yield from ((name, f"{count:,}") for name, count in asdict(self.counts).items())
        for run in self.last_runs:
            yield "last run", f"{run.source}: {run.status}, {run.started_at}"
        yield "spent today", f"${self.spent_today_usd:.6f} {limit}"
        if self.degraded:
            yield "degraded", self.degraded


class App:
    """An application: its settings, its parts, and what one does with them. Use it as a context manager."""

    def __init__(
        self,
        settings: Settings,
        *,
        model: BaseChatModel | None = None,
        embedder: Embedder | None = None,
        index: VectorIndex | None = None,
    ) -> None:
        """Open the state folder.

        Args:
            settings: From `load_settings`.
            model: Takes the place of the chat model that the settings name; it is guarded like any other.
            embedder: Takes the place of the default embedder.
            index: Takes the place of Chroma.

        Raises:
            CatalogError: The catalog cannot be opened.
        """
        self.settings = settings
        self._given_model = model
        self._given_embedder = embedder
        self._given_index = index
        self.catalog = Catalog(settings.state / "catalog.db")
        self.index_lock = FileLock(settings.state / "index.lock", purpose="the index")

    # ---- what one does with it

    def ingest(self, paths: Sequence[Path | str] = (), *, progress: Progress | None = None) -> list[IngestReport]:
        """Take documents in and bring the vector index up to date.

        Args:
            paths: Files or folders; none syncs every source of the settings. A path inside a known source syncs that
                source, so that no document is taken in twice.
            progress: Told of every document.

        Returns:
            A report for each source, in order.

        Raises:
            ConfigError: No path and no source is named, or a source's settings are wrong.
            ConnectorError: A source cannot be read.
            LockedError: Another process is ingesting.
            CostError: Embedding could pass a budget, or has no price.
        """
        sources = self._sources_of(paths) if paths else self.sources()
        with FileLock(self.settings.state / "ingest.lock", purpose="ingestion"):
            try:
                return [
                    self.ingestor.run(source.name, source.connector, default_acl=source.acl, progress=progress)
                    for source in sources
                ]
            finally:
                self.projection.apply_pending()

    def ask(self, question: str, *, principal: Principal = LOCAL_USER, history: Sequence[Message] = ()) -> Answer:
        """Answer a question; see `RagPipeline.answer` for the errors. For scripts: it blocks."""
        return _run(self.answer(question, principal=principal, history=history))

    async def answer(self, question: str, *, principal: Principal, history: Sequence[Message] = ()) -> Answer:
        """Answer a question from what `principal` may read."""
        return await self.pipeline.answer(question, principal=principal, history=history)

    def stream(
        self, question: str, *, principal: Principal, history: Sequence[Message] = ()
    ) -> AsyncGenerator[str | Answer]:
        """Yield the answer in pieces, and the whole `Answer` last."""
        return self.pipeline.stream(question, principal=principal, history=history)

    def search(self, query: str, *, top_k: int | None = None, principal: Principal = LOCAL_USER) -> list[Hit]:
        """Find chunks that `principal` may read, best first.

        Raises:
            PromptError: The query is blank or too long.
            RetrievalError: The search cannot be made.
        """
        self.assembler.check_question(query)
        return self.retriever.retrieve(query, principal=principal, top_k=top_k or self.settings.retrieval.top_k)

    def status(self) -> Status:
        """What the application holds, and whether all of it works."""
        limit = self.settings.budgets.day_usd
        return Status(
            root=self.settings.root,
            model=self.settings.model,
            embedder=self.embedder.identity,
            counts=self.catalog.counts(),
            last_runs=tuple(self.catalog.runs(3)),
            spent_today_usd=self._spent_today_usd(),
            day_limit_usd=None if limit is None else float(limit),
            degraded=self.projection.failure or self.dense.degraded,
        )

    def _spent_today_usd(self) -> float:
        from llmapp.costs.records import NANO_PER_USD

        today = (balance for balance in self.ledger.balances() if balance.budget.startswith("day:"))
        return sum(balance.posted_nano_usd for balance in today) / NANO_PER_USD

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

    def sources(self) -> list[Source]:
        """The sources of the settings.

        Raises:
            ConfigError: There is none, or one's settings are wrong.
        """
        if not self.settings.sources:
            raise ConfigError("nothing to ingest", hint="name a PATH, or add [[sources]] to llmapp.toml")
        return [
            Source(given.name, self._connector(given.connector, dict(given.settings)), given.acl)
            for given in self.settings.sources
        ]

    def close(self) -> None:
        """Close files and end worker processes."""
        made = self.__dict__
        for name in ("parser", "index", "ledger"):
            if name in made:
                made[name].close()
        self.catalog.close()
        self.index_lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ---- the parts, each made when it is first needed

    @cached_property
    def embedder(self) -> GuardedEmbedder:
        """The embedder, guarded."""
        from llmapp.costs.embedding import GuardedEmbedder
        from llmapp.costs.prices import free_price
        from llmapp.retrieval.minilm import MiniLMEmbedder

        inner = self._given_embedder or MiniLMEmbedder()
        return GuardedEmbedder(inner, ledger=self.ledger, price=free_price(inner.identity))

    @cached_property
    def model(self) -> GuardedChatModel:
        """The chat model, guarded."""
        from llmapp.costs.guard import GuardedChatModel
        from llmapp.models.backends import limit_output
        from llmapp.models.errors import translate_model_error

        return GuardedChatModel(
            inner=self._given_model or self._chat_model(),
            model=self.settings.model,
            ledger=self.ledger,
            prices=self.prices,
            counter=self.counter,
            max_output_tokens=self.settings.model_options.max_output_tokens,
            translate=partial(translate_model_error, model=self.settings.model),
            limit_output=limit_output,
        )

    def _chat_model(self) -> BaseChatModel:
        from llmapp.models.backends import build_chat_model

        options = self.settings.model_options
        return build_chat_model(
            self.settings.model,
            max_output_tokens=options.max_output_tokens,
            base_url=options.base_url,
            api_key=self.settings.api_key,
            timeout_s=options.timeout_s,
            embedder=self.embedder,
            count_tokens=self.counter.count,
        )

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger and its budgets."""
        from llmapp.costs.ledger import Ledger
        from llmapp.costs.records import NANO_PER_USD

        limit = self.settings.budgets.day_usd
        budgets = {"day": None if limit is None else int(limit * NANO_PER_USD)}
        # A hold must outlive the call it is for.
        lease_s = 2 * self.settings.model_options.timeout_s + 60
        return Ledger(self.settings.state / "ledger.db", budgets, lease_s=lease_s)

    @cached_property
    def prices(self) -> PriceBook:
        """The prices: the user's own first, then the bundled ones."""
        from llmapp.costs.prices import PriceBook, declared_price

        return PriceBook(
            {
                name: declared_price(
                    name,
                    input_usd_per_million=own.input_usd_per_million,
                    output_usd_per_million=own.output_usd_per_million,
                )
                for name, own in self.settings.prices.items()
            }
        )

    @cached_property
    def counter(self) -> TokenCounter:
        """The token counter of the chat model."""
        from llmapp.prompting.counting import counter_for

        return counter_for(self.settings.model)

    @cached_property
    def assembler(self) -> Assembler:
        """The prompt assembler."""
        from llmapp.prompting.assembly import Assembler

        prompt = self.settings.prompt
        return Assembler(
            self.counter,
            budget_tokens=prompt.budget_tokens,
            reserve_output_tokens=self.settings.model_options.max_output_tokens,
            context_window_tokens=prompt.context_window_tokens,
            max_question_chars=prompt.max_question_chars,
        )

    @cached_property
    def index(self) -> VectorIndex:
        """The vector index."""
        from llmapp.retrieval.chroma import ChromaIndex

        return self._given_index or ChromaIndex(self.settings.state / "chroma")

    @cached_property
    def projection(self) -> IndexProjection:
        """Carries the catalog into the vector index."""
        from llmapp.retrieval.projection import IndexProjection

        return IndexProjection(self.catalog, self.index, self.index_lock)

    @cached_property
    def dense(self) -> DenseRetriever:
        """Search by meaning."""
        from llmapp.retrieval.dense import DenseRetriever

        return DenseRetriever(
            self.catalog,
            self.embedder,
            index=self.index,
            lock=self.index_lock,
            exact_up_to=self.settings.retrieval.exact_up_to,
        )

    @cached_property
    def retriever(self) -> HybridRetriever:
        """Search by meaning and by words, fused."""
        from llmapp.retrieval.hybrid import HybridRetriever
        from llmapp.retrieval.lexical import LexicalRetriever

        return HybridRetriever(self.dense, LexicalRetriever(self.catalog), candidates=self.settings.retrieval.candidates)

    @cached_property
    def parser(self) -> ProcessParser:
        """The parser with its worker processes."""
        from llmapp.ingestion.parsing import ProcessParser

        return ProcessParser()

    @cached_property
    def ingestor(self) -> Ingestor:
        """The host of the connectors."""
        from llmapp.ingestion.chunking import StructureChunker
        from llmapp.ingestion.embedding_text import chunk_tokens
        from llmapp.ingestion.ingestor import Ingestor

        chunker = StructureChunker(self.embedder.tokenizer, chunk_tokens(self.embedder))
        return Ingestor(self.catalog, self.parser, chunker, self.embedder)

    @cached_property
    def pipeline(self) -> RagPipeline:
        """The question path."""
        from llmapp.app.rag import RagPipeline

        return RagPipeline(
            self.retriever, self.assembler, self.model, model_name=self.settings.model, top_k=self.settings.retrieval.top_k
        )

    # ---- sources

    def _connector(self, name: str, settings: dict[str, JsonValue]) -> Connector:
        from llmapp.ingestion.registry import load_connector

        path = settings.get("path")
        if isinstance(path, str):
            settings["path"] = str(self.settings.root / path)
        if name == "files":
            settings.setdefault("relative_to", str(self.settings.root))
        return load_connector(name, settings)

    def _sources_of(self, paths: Sequence[Path | str]) -> list[Source]:
        found: dict[str, Source] = {}
        for given in paths:
            path = Path(given)
            if not path.exists():
                raise SourceNotFoundError(f"{given} is not there", hint="check the path")
            source = self._source_around(path.resolve())
            found[source.name] = source
        return list(found.values())

    def _source_around(self, path: Path) -> Source:
        """The source of the settings, or the path of an earlier run, that holds `path`; else a new one."""
        for given in self.settings.sources:
            root = given.settings.get("path")
            if (
                given.connector == "files"
                and isinstance(root, str)
                and path.is_relative_to((self.settings.root / root).resolve())
            ):
                return Source(given.name, self._connector(given.connector, dict(given.settings)), given.acl)
        around = (Path(name) for name in self.catalog.sources() if path.is_relative_to(name))
        root_path = min(around, key=lambda folder: len(folder.parts), default=path)
        return Source(str(root_path), self._connector("files", {"path": str(root_path)}), (PUBLIC,))


def open_app(path: Path | str | None = None, *, model: BaseChatModel | None = None) -> App:
    """Open the application whose llmapp.toml is at `path`, or the nearest one above the current folder.

    Args:
        path: llmapp.toml, or its folder; None looks for it.
        model: Takes the place of the chat model that the settings name.

    Raises:
        ConfigError: The settings are wrong.
        CatalogError: The catalog cannot be opened.
    """
    return App(load_settings(path), model=model)


def _run(work: Coroutine[None, None, _T]) -> _T:
    """Run to the end from synchronous code, also where a loop is running already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()
