"""The host of the connectors: carries what a source says into the catalog, exactly and resumably.

Knows the contract of `llmapp.connector` and the order of things; parsing, cutting and embedding are done by others. Whenever it stops, by
an error, by Ctrl-C or by ``kill -9``, the catalog holds whole documents, and the next run goes on from the last checkpoint.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.records import QuarantineRecord
from llmapp.connector import Change, Checkpoint, Connector, Cursor, Delete, Failure, Upsert
from llmapp.errors import CatalogError, ConnectorError, LLMAppError
from llmapp.ingestion.batching import Batch
from llmapp.ingestion.preparing import DocumentFailedError, Preparer, Stamp
from llmapp.types import Document

if TYPE_CHECKING:
    from llmapp.protocols import Chunker, Embedder, Parser, Progress


@dataclass(frozen=True, slots=True)
class IngestReport:
    """How a run went. Counts are of documents unless a name says otherwise."""

    source: str
    added: int
    changed: int
    unchanged: int
    deleted: int
    quarantined: int
    """Documents that failed in this run."""
    chunks: int
    """Chunks of the documents that were added or changed."""
    embedded_texts: int
    """Texts that had no vector yet."""
    embedded_tokens: int
    """Their tokens, special tokens included."""
    seconds: float
    """Wall-clock time of the run."""
    status: Literal["completed", "completed_with_failures"]
    kept_because_empty: bool = False
    """The source mentioned nothing, so its documents were kept: an empty listing is more often a fault than a wish."""


class Ingestor:
    """Runs connectors, one at a time."""

    def __init__(
        self, catalog: Catalog, parser: Parser, chunker: Chunker, embedder: Embedder, *, batch_chunks: int = 256
    ) -> None:
        """Choose the parts.

        Args:
            catalog: Where documents go.
            parser: Turns bytes into text.
            chunker: Cuts texts; made for this embedder.
            embedder: Makes vectors.
            batch_chunks: Chunks that are embedded and committed together. Count.
        """
        self._catalog = catalog
        self._embedder = embedder
        self._preparer = Preparer(parser, chunker, embedder)
        self._batch_chunks = batch_chunks

    def run(
        self, source: str, connector: Connector, *, default_acl: tuple[str, ...], progress: Progress | None = None
    ) -> IngestReport:
        """Bring the catalog to what the source holds now.

        A document that fails is set aside and tried again in the next run. If the catalog holds an earlier version, that
        one keeps serving, unless its access list has changed: then it is withdrawn.

        Args:
            source: Name of the source in the catalog.
            connector: The source.
            default_acl: Access list of documents that bring none.
            progress: Told of every document.

        Raises:
            ConnectorError: The source cannot be read; what was committed stays.
            EmbedderMismatchError: The catalog holds vectors of another embedder.
            EmbedderError: The embedder failed; what was committed stays.
            CostError: Embedding could pass a budget, or has no price; what was committed stays.
            CatalogError: The database failed.
        """
        started = time.perf_counter()
        self._catalog.bind_embedder(self._embedder.identity)
        run_id = self._catalog.start_run(source)
        batch = Batch(self._catalog, self._embedder, max_chunks=self._batch_chunks)
        run = _Run(source, self._catalog, self._preparer, batch, default_acl)
        try:
            run.follow(connector, progress)
        except BaseException:
            with contextlib.suppress(CatalogError):  # the first error is the one to tell
                self._catalog.finish_run(run_id, status="failed", counts=run.counts)
            raise
        status: Literal["completed", "completed_with_failures"]
        status = "completed_with_failures" if run.counts["quarantined"] else "completed"
        self._catalog.finish_run(run_id, status=status, counts=run.counts)
        names = ("added", "changed", "unchanged", "deleted", "quarantined", "chunks", "embedded_texts", "embedded_tokens")
        return IngestReport(
            source=source,
            **{name: run.counts[name] for name in names},
            seconds=time.perf_counter() - started,
            status=status,
            kept_because_empty=run.kept_because_empty,
        )


class _Run:
    """One run of one source."""

    def __init__(
        self, source: str, catalog: Catalog, preparer: Preparer, batch: Batch, default_acl: tuple[str, ...]
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.kept_because_empty = False
        self._source = source
        self._catalog = catalog
        self._preparer = preparer
        self._batch = batch
        self._default_acl = default_acl
        self._pipeline = [preparer.version, *sorted(default_acl)]
        self._mentioned: set[str] = set()
        self._set_aside = {record.document_id for record in catalog.quarantined(source)}

    def follow(self, connector: Connector, progress: Progress | None) -> None:
        """Read the source to its end."""
        cursor, is_reread = self._resume()
        if progress:
            progress.start(None)
        try:
            with contextlib.closing(_changes(connector, cursor)) as changes:
                for change in changes:
                    self._take(change)
                    if progress and not isinstance(change, Checkpoint):
                        progress.advance(change.document.uri if isinstance(change, Upsert) else change.id)
            self._flush()
            if getattr(connector, "snapshot", False) or is_reread:
                self._sweep()
        finally:
            if progress:
                progress.close()

    def _resume(self) -> tuple[Cursor, bool]:
        """Where to go on; from the start, and so that all is compared, when a part or a setting has changed."""
        stored = self._catalog.cursor(self._source)
        if not isinstance(stored, dict):
            return None, False
        is_same = stored.get("pipeline") == self._pipeline
        return (stored.get("cursor") if is_same else None), not is_same

    def _take(self, change: Change) -> None:
        match change:
            case Upsert(document):
                self._mention(document.id)
                self._upsert(document)
            case Delete(document_id):
                self._mention(document_id)
                self.counts["deleted"] += self._catalog.delete(self._source, [document_id])
                self._catalog.release(self._source, [document_id])
            case Failure(document_id, error, uri):
                self._mention(document_id)
                self._quarantine(document_id, uri, None, DocumentFailedError("read", ConnectorError.code, error))
            case Checkpoint(cursor):
                self._flush()
                self._catalog.checkpoint(self._source, {"pipeline": list(self._pipeline), "cursor": cursor})

    def _mention(self, document_id: str) -> None:
        self._mentioned.add(document_id)
        if document_id in self._batch:  # mentioned twice: the later word must find the earlier one committed
            self._flush()

    def _upsert(self, document: Document) -> None:
        acl = self._default_acl if document.acl is None else document.acl
        stored = self._catalog.stored(self._source, document.id)
        stamp: Stamp | None = None
        try:
            stamp = self._preparer.stamp(document, acl)
            prepared = None
            if not stamp.is_current(stored):
                prepared = self._preparer.prepare(self._source, document, acl, stamp, stored)
        except DocumentFailedError as error:
            if stamp is None or stamp.opens_differently(stored):
                self._catalog.delete(self._source, [document.id])
            self._quarantine(document.id, document.uri, document.revision, error)
            return
        if prepared:
            self._batch.add(prepared)
            if self._batch.is_full:
                self._flush()
            return
        self.counts["unchanged"] += 1
        if not stamp.is_current(stored) or document.id in self._set_aside:
            self._catalog.touch(self._source, document.id, revision=stamp.revision)

    def _flush(self) -> None:
        result = self._batch.flush()
        for prepared in result.committed:
            self.counts["added" if prepared.is_new else "changed"] += 1
            self.counts["chunks"] += len(prepared.texts)
        for prepared, error in result.failed:
            record = prepared.record
            if prepared.stamp.opens_differently(self._catalog.stored(self._source, record.document_id)):
                self._catalog.delete(self._source, [record.document_id])
            self._quarantine(record.document_id, record.uri, record.revision, error)
        self.counts["embedded_texts"] += result.embedded_texts
        self.counts["embedded_tokens"] += result.embedded_tokens

    def _quarantine(self, document_id: str, uri: str, revision: str | None, error: DocumentFailedError) -> None:
        self.counts["quarantined"] += 1
        record = QuarantineRecord(
            self._source, document_id, uri or document_id, error.stage, error.code, error.reason, revision
        )
        self._catalog.quarantine(record)

    def _sweep(self) -> None:
        """Delete what a complete run did not mention; a run that mentioned nothing deletes nothing."""
        held = self._catalog.document_ids(self._source)
        if not self._mentioned:
            self.kept_because_empty = bool(held)
            return
        gone = sorted(held - self._mentioned)
        self.counts["deleted"] += self._catalog.delete(self._source, gone) if gone else 0
        if forgotten := self._set_aside - self._mentioned:
            self._catalog.release(self._source, sorted(forgotten))


def _changes(connector: Connector, cursor: Cursor) -> Generator[Change, None, None]:
    """What the connector yields; an error of its own making becomes a `ConnectorError`."""
    try:
        yield from connector.read(cursor)
    except LLMAppError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ConnectorError(
            f"the connector failed: {type(error).__name__}: {reason}", hint="what was committed stays; run again"
        ) from error
