"""An application, and what one does with it: ingest, ask, search, look after it. What scripts, server and commands hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from llmapp.bootstrap import Parts
from llmapp.catalog.lock import FileLock
from llmapp.config import load_settings
from llmapp.types import LOCAL_USER, Answer, Hit, Message, Principal

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from pydantic import JsonValue

    from llmapp.catalog.records import Counts, RunRecord
    from llmapp.ingestion.ingestor import IngestReport
    from llmapp.protocols import Progress
    from llmapp.retrieval.projection import IndexCheck

_T = TypeVar("_T")


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


class App(Parts):
    """An application. Use it as a context manager; see `Parts` for what it is made of."""

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
        sources = self.sources_of(paths) if paths else self.sources()
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
