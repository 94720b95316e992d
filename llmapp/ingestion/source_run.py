"""One run of one source: where it goes on, what becomes of each change, when its cursor is stored and what it deletes.

Knows the contract of `llmapp.connector` and the catalog. At every instant it may be killed: what is committed is whole, no document keeps a
grant that its source was heard to take away, and a read that was not complete is never taken for one.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Generator
from typing import TYPE_CHECKING

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.records import QuarantineRecord
from llmapp.connector import Change, Checkpoint, Connector, Cursor, Delete, Failure, Upsert
from llmapp.errors import ConnectorError, LLMAppError, ParseError, UnsupportedMediaTypeError
from llmapp.ingestion.batching import Batch
from llmapp.ingestion.preparing import DocumentFailedError, Preparer, Stamp, follows_another_default, storable
from llmapp.types import Document

if TYPE_CHECKING:
    from llmapp.protocols import Progress

_LASTING = frozenset({ParseError.code, UnsupportedMediaTypeError.code})
"""Failures that the same content meets again, whenever it is read."""


class SourceRun:
    """One run of one source."""

    def __init__(
        self, source: str, catalog: Catalog, preparer: Preparer, batch: Batch, default_acl: tuple[str, ...]
    ) -> None:
        """Begin where the catalog stands; `llmapp.ingestion.ingestor.Ingestor.run` says what the arguments are."""
        self.counts: Counter[str] = Counter()
        self.kept_because_empty = False
        self._source = source
        self._catalog = catalog
        self._preparer = preparer
        self._batch = batch
        self._default_acl = default_acl
        self._pipeline = [preparer.version, *sorted(default_acl)]
        self._mentioned: set[str] = set()
        quarantined = catalog.quarantined(source)
        self._set_aside = {record.document_id for record in quarantined}
        self._may_recover = any(record.code not in _LASTING for record in quarantined)
        self._is_reread = False
        self._last: Checkpoint | None = None  # of a re-read, stored when its end is known

    def follow(self, connector: Connector, progress: Progress | None) -> None:
        """Read the source to its end.

        Raises:
            ConnectorError: The source cannot be read.
            EmbedderError: The embedder failed.
            CostError: Embedding could pass a budget, or has no price.
            CatalogError: The database failed.
        """
        cursor = self._resume(is_snapshot=getattr(connector, "snapshot", False))
        if progress:
            progress.start(None)
        try:
            with contextlib.closing(_changes(connector, cursor)) as changes:
                for change in changes:
                    self._take(change)
                    if progress and not isinstance(change, Checkpoint):
                        progress.advance(storable(change.document.uri if isinstance(change, Upsert) else change.id))
            self._flush()
            if self._is_reread:
                self._sweep()
        finally:
            if progress:
                progress.close()

    def _resume(self, *, is_snapshot: bool) -> Cursor:
        """Where to go on; None, and so that all is compared and the vanished is seen, when this is a re-read."""
        stored = self._catalog.cursor(self._source)
        state = stored if isinstance(stored, dict) else {}
        if state.get("pipeline") != self._pipeline:
            self._narrow_to_default()
            # Without a cursor: until a read under these settings has come to a checkpoint, every run begins at the start.
            state = {"pipeline": list(self._pipeline)}
            self._catalog.checkpoint(self._source, state)
        was_cut_short = "cursor" not in state and bool(self._catalog.document_ids(self._source))
        self._is_reread = is_snapshot or self._may_recover or was_cut_short
        return None if self._is_reread else state.get("cursor")

    def _narrow_to_default(self) -> None:
        """Take away what the source's access list no longer grants, before the source is asked: it may not answer."""
        for document_id in self._catalog.document_ids(self._source):
            stored = self._catalog.stored(self._source, document_id)
            if stored and follows_another_default(stored, self._default_acl):
                self._catalog.narrow(self._source, document_id, self._default_acl)

    def _take(self, change: Change) -> None:
        match change:
            case Upsert(document):
                self._mention(document.id)
                self._upsert(document)
            case Delete(document_id):
                name = self._mention(document_id)
                self.counts["deleted"] += self._catalog.delete(self._source, [name])
                self._catalog.release(self._source, [name])
            case Failure(document_id, error, uri):
                self._mention(document_id)
                self._quarantine(document_id, uri, None, DocumentFailedError("read", ConnectorError.code, error))
            case Checkpoint():
                self._flush()
                self._reach(change)

    def _mention(self, document_id: str) -> str:
        """Note that the source has spoken of a document; gives its name in the catalog."""
        name = storable(document_id)
        self._mentioned.add(name)
        if name in self._batch:  # mentioned twice: the later word must find the earlier one committed
            self._flush()
        return name

    def _reach(self, checkpoint: Checkpoint) -> None:
        try:
            json.dumps(checkpoint.cursor)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConnectorError(
                f"the connector gave a cursor that is no JSON value: {type(checkpoint.cursor).__name__}",
                hint="a Checkpoint takes numbers, text, lists and dictionaries",
            ) from error
        if self._is_reread:  # going on from here, a later run would not see what has vanished
            self._last = checkpoint
        else:
            self._store(checkpoint)

    def _store(self, checkpoint: Checkpoint) -> None:
        self._catalog.checkpoint(self._source, {"pipeline": list(self._pipeline), "cursor": checkpoint.cursor})

    def _upsert(self, document: Document) -> None:
        acl = self._default_acl if document.acl is None else document.acl
        try:
            stamp = self._preparer.stamp(document, acl)
        except DocumentFailedError as error:
            self._catalog.delete(self._source, [storable(document.id)])  # who may read it cannot be told
            self._quarantine(document.id, document.uri, document.revision, error)
            return
        stored = self._catalog.stored(self._source, document.id)
        if stamp.opens_differently(stored):  # at once: the document may fail, or the run stop, before it is committed
            self._catalog.narrow(self._source, document.id, acl)
        if stamp.is_current(stored):
            self._keep(document, stamp, is_current=True)
            return
        try:
            prepared = self._preparer.prepare(self._source, document, acl, stamp, stored)
        except DocumentFailedError as error:
            self._quarantine(document.id, document.uri, document.revision, error)
            return
        if prepared is None:
            self._keep(document, stamp, is_current=False)
            return
        self._batch.add(prepared)
        if self._batch.is_full:
            self._flush()

    def _keep(self, document: Document, stamp: Stamp, *, is_current: bool) -> None:
        self.counts["unchanged"] += 1
        if not is_current or document.id in self._set_aside:
            self._catalog.touch(self._source, document.id, revision=stamp.revision)

    def _flush(self) -> None:
        result = self._batch.flush()
        for prepared in result.committed:
            self.counts["added" if prepared.is_new else "changed"] += 1
            self.counts["chunks"] += len(prepared.texts)
        for prepared, error in result.failed:
            record = prepared.record
            self._quarantine(record.document_id, record.uri, record.revision, error)
        self.counts["embedded_texts"] += result.embedded_texts
        self.counts["embedded_tokens"] += result.embedded_tokens

    def _quarantine(self, document_id: str, uri: str, revision: str | None, error: DocumentFailedError) -> None:
        self.counts["quarantined"] += 1
        shown = None if revision is None else storable(revision)
        name, uri = storable(document_id), storable(uri or document_id)
        self._catalog.quarantine(QuarantineRecord(self._source, name, uri, error.stage, error.code, error.reason, shown))

    def _sweep(self) -> None:
        """Delete what a complete read did not mention, then store where it ended; one that mentioned nothing did not count."""
        held = self._catalog.document_ids(self._source)
        if not self._mentioned:
            self.kept_because_empty = bool(held)
            return
        gone = sorted(held - self._mentioned)
        self.counts["deleted"] += self._catalog.delete(self._source, gone) if gone else 0
        if forgotten := self._set_aside - self._mentioned:
            self._catalog.release(self._source, sorted(forgotten))
        if self._last:
            self._store(self._last)


def _changes(connector: Connector, cursor: Cursor) -> Generator[Change, None, None]:
    """What the connector yields; an error of its own making becomes a `ConnectorError`."""
    try:
        yield from connector.read(cursor)
    except LLMAppError:
        raise
    except Exception as error:
        reason = storable(" ".join(str(error).split())[:200])
        raise ConnectorError(
            f"the connector failed: {type(error).__name__}: {reason}", hint="what was committed stays; run again"
        ) from error
