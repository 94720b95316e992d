"""The host of the connectors: carries what a source says into the catalog, exactly and resumably.

Knows the contract of `llmapp.connector` and the order of things; the stages are done by others. Whenever it stops, by
an error, by Ctrl-C or by ``kill -9``, the catalog holds whole documents, and the next run goes on from the last checkpoint.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.records import ALL_SOURCES, RunStatus
from llmapp.connector import Connector
from llmapp.errors import CatalogError, LLMAppError, TooManyFailuresError
from llmapp.ingestion.access import AccessRules
from llmapp.ingestion.deletions import Brake
from llmapp.ingestion.effects import CatalogEffects, Effects
from llmapp.ingestion.pipeline import Bounds
from llmapp.ingestion.preparing import Preparer
from llmapp.ingestion.report import SEEN, IngestReport
from llmapp.ingestion.retrying import RetryPolicy
from llmapp.ingestion.source_run import RunOptions, SourceRun
from llmapp.ingestion.upgrading import FailureLimits, Upgrade
from llmapp.ingestion.vectors import Vectors

if TYPE_CHECKING:
    from llmapp.protocols import Chunker, Embedder, Parser, Progress


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """What a document may take, and what a run may do."""

    max_bytes: int = 512 << 20
    """Content of one document. Bytes."""
    max_chunks: int = 1_000_000
    """Chunks of one document. Count."""
    brake: Brake = field(default_factory=Brake)
    """How much of a source one run may delete unasked."""
    failures: FailureLimits = field(default_factory=FailureLimits)
    """With more of them a run has failed."""


class Ingestor:
    """Runs connectors, one at a time."""

    def __init__(
        self,
        catalog: Catalog,
        parser: Parser,
        chunker: Chunker,
        embedder: Embedder,
        *,
        bounds: Bounds | None = None,
        limits: IngestLimits | None = None,
        policy: RetryPolicy | None = None,
        setup: str = "",
    ) -> None:
        """Choose the parts.

        Args:
            catalog: Where documents go.
            parser: Turns bytes into text.
            chunker: Cuts texts; made for this embedder.
            embedder: Makes vectors.
            bounds: How much is under way at the same time.
            limits: What a document may take, and what a run may do.
            policy: How long a document that failed waits.
            setup: Whatever decides, besides the parser's version, whether a document can be read, such as limits and passwords;
                with another one, what failed is tried again.
        """
        self.catalog = catalog
        self.embedder = embedder
        self.bounds = bounds or Bounds()
        self.limits = limits or IngestLimits()
        self.policy = policy or RetryPolicy()
        self.preparer = Preparer(
            parser, chunker, embedder, max_bytes=self.limits.max_bytes, max_chunks=self.limits.max_chunks, setup=setup
        )
        self._vectors = Vectors(catalog, embedder, batch_chunks=self.bounds.batch_chunks)
        self.upgrade = Upgrade(catalog, self.preparer, embedder, self._vectors, self.limits.failures)
        """What another chunker or embedder has done again."""

    def run(
        self,
        source: str,
        connector: Connector,
        *,
        options: RunOptions | None = None,
        default_acl: tuple[str, ...] = (),
        effects: Effects | None = None,
        progress: Progress | None = None,
        cost_nano_usd: Callable[[], int] = lambda: 0,
        check: Callable[[SourceRun], None] = lambda _: None,
    ) -> IngestReport:
        """Bring the catalog to what the source holds now.

        A document that fails is set aside. If the catalog holds an earlier version, that one keeps serving, but only those
        who may read it under its new access list too; one whose access list cannot be told is for nobody. Grants are taken
        away as soon as the source, or its rules, no longer give them, whether or not the run comes to its end.

        A source that sees no removals is read from the start, and so is every other one that was never read to a
        checkpoint with this parser and these settings, or of which a document was set aside that may succeed as it is and
        is due. That costs a listing, because what is unchanged is skipped; without it an incremental source would not bring
        the document again and the catalog would lack for good what a clean run would hold.

        Args:
            source: Name of the source in the catalog.
            connector: The source.
            options: How the run is made.
            default_acl: Access list of documents that bring none, where `options` are not given.
            effects: What the run changes; None is the catalog.
            progress: Told of every document when it is done.
            cost_nano_usd: What embedding has cost so far in this run. Nano-USD.
            check: Called at the end of the run; an error that it raises makes it a failed one.

        Raises:
            ConnectorError: The source cannot be read, or would lose too many documents, or too many failed; what was good
                is committed.
            EmbedderMismatchError: The catalog holds vectors of another embedder: `upgrade` comes first.
            EmbedderError: The embedder failed; what was committed stays.
            CostError: Embedding could pass a budget, or has no price; what was committed stays.
            CatalogError: The database failed.
        """
        self.catalog.bind_embedder(self.embedder.identity)
        options = options or RunOptions(AccessRules(default_acl))
        effects = effects or self.effects(source)
        run = self._begin(source, connector, effects, options, progress=progress)
        with self._recorded(source, run, cost_nano_usd):
            run.follow(self.bounds)
            self._check_failures(source, run.counts)
            check(run)
        return IngestReport.of(
            self.catalog.runs(1, source=source)[0],
            hidden=self.catalog.hidden(source),
            found_nothing=run.found_nothing,
        )

    def renew(
        self, *, progress: Progress | None = None, cost_nano_usd: Callable[[], int] = lambda: 0
    ) -> IngestReport | None:
        """Cut and embed anew what another chunker or embedder has made; recorded as a run of all sources.

        Args:
            progress: Told of every document.
            cost_nano_usd: What embedding has cost so far. Nano-USD.

        Returns:
            What was done; None where nothing was to be done.

        Raises:
            TooManyFailuresError, EmbedderError, CostError, CatalogError: As `Upgrade.run`.
        """
        if not self.upgrade.is_needed():
            return None
        with self._recorded(ALL_SOURCES, self.upgrade, cost_nano_usd):
            self.upgrade.run(progress)
        return IngestReport.of(self.catalog.runs(1, source=ALL_SOURCES)[0])

    def effects(self, source: str) -> CatalogEffects:
        """What changes the catalog in the name of a source."""
        return CatalogEffects(source, self.catalog, self._vectors)

    def plan(self, source: str, connector: Connector, *, effects: Effects, options: RunOptions) -> SourceRun:
        """Follow a source as `run` does, with effects that change nothing; nothing is recorded.

        Raises:
            ConnectorError: The source cannot be read.
        """
        never = Brake(share=1.0, documents=sys.maxsize)  # what would stop a run is to be seen
        run = self._begin(source, connector, effects, options, brake=never)
        run.follow(self.bounds)
        return run

    def _begin(
        self,
        source: str,
        connector: Connector,
        effects: Effects,
        options: RunOptions,
        *,
        brake: Brake | None = None,
        progress: Progress | None = None,
    ) -> SourceRun:
        return SourceRun(
            source,
            connector,
            self.catalog,
            self.preparer,
            effects,
            options=options,
            policy=self.policy,
            brake=brake or self.limits.brake,
            progress=progress,
        )

    @contextlib.contextmanager
    def _recorded(self, source: str, run: _Run, cost_nano_usd: Callable[[], int]) -> Iterator[None]:
        """Keep the row of a run: that it has begun, and how it ended."""
        started, run_id = time.perf_counter(), self.catalog.start_run(source, embedder=self.embedder.identity)

        def end(status: RunStatus, error: BaseException | None = None) -> None:
            self.catalog.finish_run(
                run_id,
                status=status,
                counts=run.counts,
                seconds={**run.seconds, "total": time.perf_counter() - started},
                cost_nano_usd=cost_nano_usd(),
                error=_told(error),
            )

        try:
            yield
        except BaseException as error:
            with contextlib.suppress(CatalogError):  # the first error is the one to tell
                end("failed" if isinstance(error, Exception) else "interrupted", error)
            raise
        end("completed_with_failures" if run.counts["quarantined"] else "completed")

    def _check_failures(self, source: str, counts: Counter[str]) -> None:
        failed, seen = counts["quarantined"], sum(counts[name] for name in SEEN)
        limits = self.limits.failures
        if failed > limits.documents and failed > limits.share * seen:
            raise TooManyFailuresError(
                f"{source}: {failed:,} of {seen:,} documents failed; what was good is committed",
                hint="llmapp quarantine list names them",
            )


class _Run(Protocol):
    """What is recorded of a run, while it goes on and at its end."""

    @property
    def counts(self) -> Counter[str]: ...
    @property
    def seconds(self) -> dict[str, float]: ...


def _told(error: BaseException | None) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "stopped by Ctrl-C"
    return error.message if isinstance(error, LLMAppError) else type(error).__name__ if error else ""
