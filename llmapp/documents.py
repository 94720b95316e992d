"""What one does with the documents of an application: take them in, see beforehand what that would do, try again, let go.

Stands between the parts that `llmapp.bootstrap` chooses and the questions that `llmapp.application` answers.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.bootstrap import Parts
from llmapp.errors import (
    ConfigError,
    ConnectorError,
    DocumentNotFoundError,
    EmbedderUnavailableError,
    LLMAppError,
    SourceEmptyError,
)

if TYPE_CHECKING:
    from llmapp.ingestion.planning import IngestPlan, SourcePlan
    from llmapp.ingestion.report import IngestReport
    from llmapp.ingestion.source_run import RunOptions, SourceRun
    from llmapp.protocols import Progress
    from llmapp.purge import PurgeReport
    from llmapp.sources import DocumentSource

_LEAST_TOKENS = 2_000
"""Fewer embedded tokens than this tell nothing about a rate."""
_RUNS = 20
_SAMPLES = 16


class Documents(Parts):
    """The part of an application that keeps its documents."""

    def ingest(self, paths: Sequence[Path | str] = (), *, progress: Progress | None = None) -> list[IngestReport]:
        """Take documents in and bring the vector index up to date; see `sync`, which goes on where this raises.

        Raises:
            ConfigError: No path and no source is named, or a source's settings are wrong.
            ConnectorError: A source cannot be read, or holds nothing; the others were, and are up to date.
            LockedError: Another process is ingesting.
            EmbedderError: The embedder failed.
            CostError: Embedding could pass a budget, or has no price.
            CatalogError: The database failed.
        """
        reports = self.sync(paths, progress=progress)
        for report in reports:
            if report.error is not None:
                raise report.error
        return reports

    def sync(
        self,
        paths: Sequence[Path | str] = (),
        *,
        progress: Progress | None = None,
        confirm_deletions: Collection[str] = (),
        wait_s: float = 0.0,
    ) -> list[IngestReport]:
        """Take documents in and bring the vector index up to date.

        When the chunker or the embedder has changed, all documents are cut and embedded anew first, from the stored texts and
        behind the live ones. Then every source is read, one after the other.

        Args:
            paths: Files or folders; none syncs every source of the settings. A path inside a known source syncs that
                source, so that no document is taken in twice.
            progress: Told of every document.
            confirm_deletions: Names of sources of which any number of documents may be deleted.
            wait_s: Seconds to wait for another process that is ingesting.

        Returns:
            A report for each source, in order; of one that failed, with its error. Where documents were cut and embedded anew,
            a report of that comes first, without the name of a source.

        Raises:
            ConfigError: No path and no source is named, or deletions are confirmed for a source that is not among them.
            LockedError: Another process is ingesting.
            TooManyFailuresError: Too many documents could not be embedded anew.
            EmbedderError: The embedder failed.
            CostError: Embedding could pass a budget, or has no price.
            CatalogError: The database failed.
        """
        from llmapp.ingestion.source_run import RunOptions

        sources = self.source_book.of(paths) if paths else self.source_book.all()
        self._check_names(confirm_deletions, sources)
        with self._ingesting(wait_s):
            reports = self._upgrade(progress)
            for source in sources:
                options = RunOptions(confirm_deletions=source.name in confirm_deletions)
                reports.append(self._run(source, options, progress))
                # Only now: what the path has brought is there twice for a moment rather than lost when the source is down.
                for name in () if reports[-1].error else self.source_book.superseded_by(source):
                    self.catalog.forget_source(name)
            return reports

    def plan(
        self, paths: Sequence[Path | str] = (), *, confirm_deletions: Collection[str] = (), wait_s: float = 0.0
    ) -> IngestPlan:
        """See what `sync` would do, take and cost; nothing is changed, though sources are read and documents parsed.

        Raises:
            ConfigError: No path and no source is named.
            UnknownPriceError: The embedder has no price.
        """
        from llmapp.ingestion.planning import IngestPlan

        sources = self.source_book.of(paths) if paths else self.source_book.all()
        ingestor, keys = self.ingestor, set[str]()
        with self._ingesting(wait_s, apply=False):
            upgrade = ingestor.upgrade.plan(keys)
            plans = tuple(self._plan(source, keys, confirmed=source.name in confirm_deletions) for source in sources)
        plan = IngestPlan(
            embedder=self.embedder.identity,
            chunker=ingestor.preparer.chunker_version,
            sources=plans,
            upgrade=upgrade,
            cost_usd=0.0,
            tokens_per_s=self._rate(),
        )
        return replace(plan, cost_usd=self.embedding_cost_usd(plan.embedded_tokens))

    def follow(
        self,
        plan: IngestPlan,
        *,
        progress: Progress | None = None,
        confirm_deletions: Collection[str] = (),
        wait_s: float = 0.0,
    ) -> list[IngestReport]:
        """Do what a plan says and nothing else; whatever a source says differently by now is left alone.

        Args:
            plan: From `plan`, or read from a manifest.
            progress: Told of every document.
            confirm_deletions: Names of sources of which any number of documents may be deleted.
            wait_s: Seconds to wait for another process that is ingesting.

        Returns:
            As `sync`, a report for each source of the plan; one with a `SourceMovedError` where something was different.

        Raises:
            ConfigError: The plan was made for another embedder or chunker, or for a source that is gone.
            LockedError, EmbedderError, CostError, CatalogError: As `sync`.
        """
        from llmapp.ingestion.source_run import RunOptions

        if (plan.embedder, plan.chunker) != (self.embedder.identity, self.ingestor.preparer.chunker_version):
            raise ConfigError("the manifest was made for another embedder or chunker", hint="plan again")
        with self._ingesting(wait_s):
            return self._upgrade(progress) + [
                self._run(
                    self._named(each.source),
                    RunOptions(confirm_deletions=each.source in confirm_deletions),
                    progress,
                    plan=each,
                )
                for each in plan.sources
            ]

    def retry_quarantined(self, names: Sequence[str] = (), *, progress: Progress | None = None) -> list[IngestReport]:
        """Try documents that were set aside now, by reading their sources again.

        Args:
            names: As `quarantined_named` takes them; none is all.
            progress: Told of every document.

        Raises:
            DocumentNotFoundError: None of that name was set aside.
            ConfigError, LockedError, EmbedderError, CostError, CatalogError: As `sync`.
        """
        from llmapp.ingestion.source_run import RunOptions

        wanted: dict[str, set[str]] = {}
        for source, document_id in self.quarantined_named(names):
            wanted.setdefault(source, set()).add(document_id)
        with self._ingesting(0.0):
            return self._upgrade(progress) + [
                self._retry(source, RunOptions(retry_now=frozenset(ids)), progress) for source, ids in sorted(wanted.items())
            ]

    def _retry(self, name: str, options: RunOptions, progress: Progress | None) -> IngestReport:
        from llmapp.ingestion.report import IngestReport

        try:
            source = self._named(name)
        except ConfigError as error:  # the other sources are not to wait for one that has left the settings
            return IngestReport(name, 0, "failed", error=error)
        return self._run(source, options, progress)

    def drop_quarantined(self, names: Sequence[str]) -> int:
        """Let go of documents that were set aside: neither listed nor tried until they change. How many there were.

        Raises:
            DocumentNotFoundError: None of that name was set aside.
        """
        found = self.quarantined_named(names)
        for source, document_id in found:
            self.catalog.drop_quarantined(source, [document_id])
        return len(found)

    def quarantined_named(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Source and id of the documents of these names that are set aside; all of them where none is named.

        Raises:
            DocumentNotFoundError: None of a name was set aside.
        """
        records = self.catalog.quarantined()
        found = []
        for name in names:
            matching = [r for r in records if name in {f"{r.source}:{r.document_id}", r.document_id, r.uri}]
            if not matching:
                raise DocumentNotFoundError(f"{name} is not in quarantine", hint="llmapp quarantine list names what is")
            found.extend(matching)
        return [(record.source, record.document_id) for record in (found if names else records)]

    def purge(self, name: str) -> PurgeReport:
        """Remove a document from everywhere, keep it from coming back, and prove it by looking for it.

        Args:
            name: Its ``source:id``, id or uri.

        Raises:
            DocumentNotFoundError: There is none, or several of that name.
            LockedError: A server or another process holds the index or is ingesting.
            CatalogError: The database failed, or is being read.
        """
        from llmapp.purge import purge

        with self._ingesting(0.0, apply=False):
            return purge(self, *self._one_named(name))

    def lift_purge(self, name: str) -> bool:
        """Let a purged document of the name ``source:id`` be taken in again; whether it was purged."""
        source, _, document_id = name.partition(":")
        return self.catalog.lift_purge(source, document_id)

    def forget(self, source: str) -> int:
        """Remove all documents of a source, and where it stood; for one that has left llmapp.toml.

        Returns:
            Number of documents removed.

        Raises:
            DocumentNotFoundError: Nothing was ever taken in from it.
            LockedError: Another process is ingesting.
        """
        if source not in self.catalog.sources():
            known = ", ".join(self.catalog.sources()) or "none"
            raise DocumentNotFoundError(f"no source {source!r} was ever taken in", hint=f"there are: {known}")
        with self._ingesting(0.0):
            return self.catalog.forget_source(source)

    def _one_named(self, name: str) -> tuple[str, str]:
        found = self.catalog.named(name) or self._purged_named(name)
        if not found:
            raise DocumentNotFoundError(f"there is no document {name}", hint="name it as source:id, by id or by address")
        if len(found) > 1:
            listed = ", ".join(f"{source}:{document_id}" for source, document_id in found[:5])
            raise DocumentNotFoundError(f"{len(found)} documents are named {name}", hint=f"name one of {listed}")
        return found[0]

    def _purged_named(self, name: str) -> list[tuple[str, str]]:
        """Purged documents of this name: a purge that was cut short is brought to its end by another."""
        source, _, document_id = name.partition(":")
        candidates = [(source, document_id), *((known, name) for known in self.catalog.sources())]
        return [each for each in candidates if self.catalog.is_purged(*each)]

    def _named(self, name: str) -> DocumentSource:
        """The source of that name: of the settings, or a path of an earlier run."""
        for source in self.source_book.all() if self.settings.sources else ():
            if source.name == name:
                return source
        if Path(name).is_absolute():
            return self.source_book.of([name])[0]
        raise ConfigError(f"llmapp.toml has no source {name}", hint="add it again, or run llmapp forget for its documents")

    @contextmanager
    def _ingesting(self, wait_s: float, *, apply: bool = True) -> Iterator[None]:
        """Be the only one that changes documents; at the end the vector index hears of it."""
        with self.catalog.ingest_lock(wait_s=wait_s):
            self.catalog.end_dead_runs()
            try:
                yield
                if apply:
                    self.catalog.drop_staged()
            finally:
                if apply:
                    self.projection.apply_pending()

    def _check_names(self, names: Collection[str], sources: Sequence[DocumentSource]) -> None:
        known = [source.name for source in sources]
        if wrong := next((name for name in names if name not in known), None):
            raise ConfigError(f"there is no source {wrong!r} in this ingest", hint=f"there are: {', '.join(known)}")

    def _upgrade(self, progress: Progress | None) -> list[IngestReport]:
        from llmapp.costs.spending import counted

        with counted() as spending:
            report = self.ingestor.renew(progress=progress, cost_nano_usd=lambda: spending.nano_usd)
        return [report] if report else []

    def _run(
        self, source: DocumentSource, options: RunOptions, progress: Progress | None, *, plan: SourcePlan | None = None
    ) -> IngestReport:
        """Run one source; what only concerns it ends up in its report, for the others are not to wait for it."""
        from llmapp.costs.paying import paid_by, payer
        from llmapp.costs.spending import counted
        from llmapp.ingestion.planning import FollowedEffects
        from llmapp.ingestion.report import IngestReport

        started = False
        effects = FollowedEffects(self.ingestor.effects(source.name), plan, self.catalog) if plan else None

        def check(run: SourceRun) -> None:
            if effects:
                effects.check()
            if run.found_nothing and not options.confirm_deletions:
                raise _found_nothing(source.name, self.catalog.count_documents(source.name))

        try:
            connector, rules = source.connector, source.access
            started = True
            with paid_by(replace(payer(), source=source.name)), counted() as spending:
                return self.ingestor.run(
                    source.name,
                    connector,
                    options=replace(options, access=rules),
                    effects=effects,
                    progress=progress,
                    cost_nano_usd=lambda: spending.nano_usd,
                    check=check,
                )
        except (ConnectorError, ConfigError) as error:
            if not started:
                return IngestReport(source.name, 0, "failed", error=error)
            (record,) = self.catalog.runs(1, source=source.name)
            return IngestReport.of(record, error=error)

    def _plan(self, source: DocumentSource, keys: set[str], *, confirmed: bool) -> SourcePlan:
        from llmapp.ingestion.planning import PlannedEffects, SourcePlan
        from llmapp.ingestion.source_run import RunOptions

        effects = PlannedEffects(source.name, self.catalog, self.embedder.tokenizer.special_tokens, keys)
        held = self.catalog.count_documents(source.name)
        plan = SourcePlan(source.name, held=held)
        try:
            options = RunOptions(access=source.access, confirm_deletions=confirmed)
            run = self.ingestor.plan(source.name, source.connector, effects=effects, options=options)
            if run.found_nothing and not confirmed:
                raise _found_nothing(source.name, held)
        except LLMAppError as error:
            return replace(plan, changes=tuple(effects.changes), error=error.message)
        plan = replace(plan, changes=tuple(effects.changes), unchanged=run.counts["unchanged"])
        stops = self.ingestor.limits.brake.stops(plan.count("delete"), held)
        return replace(plan, still_quarantined=run.counts["still_quarantined"], needs_confirmation=stops)

    def _rate(self) -> float | None:
        """Tokens a second of whole runs with this embedder; of the embedder alone when it is free and there was none.

        None when that would cost money, or nobody answers.
        """
        runs = [run for run in self.catalog.runs(_RUNS) if run.embedder == self.embedder.identity]
        tokens = sum(run.counts.get("embedded_tokens", 0) for run in runs)
        if tokens >= _LEAST_TOKENS:
            busy = [run for run in runs if run.counts.get("embedded_tokens", 0)]
            return tokens / max(0.001, sum(run.seconds.get("total", 0.0) for run in busy))
        if self.embedding_cost_usd(1_000_000) > 0:
            return None  # measuring would cost money
        words = "the quick brown fox jumps over the lazy dog and goes on to the next sentence of this sample. " * 8
        ends = [end for _, end in self.embedder.tokenizer.offsets(words)]
        words = words[: ends[min(len(ends), self.embedder.max_tokens // 2) - 1]]
        sample = [f"{number} {words}" for number in range(_SAMPLES)]
        try:
            self.embedder.embed_documents(sample[:2])  # loads the model
            started = time.perf_counter()
            self.embedder.embed_documents(sample)
        except EmbedderUnavailableError:
            return None  # a plan needs no server; the run that follows it does
        return sum(self.embedder.tokenizer.count(text) for text in sample) / (time.perf_counter() - started)


def _found_nothing(source: str, held: int) -> SourceEmptyError:
    kept = f"; the {held:,} that were taken in from it before are kept" if held else ""
    hint = f"check its settings; if it is really empty, run llmapp ingest --confirm-deletions {source}"
    return SourceEmptyError(f"{source} holds no documents{kept}", hint=hint)
