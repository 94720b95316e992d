"""One run of one source: where it goes on, what becomes of each change, when its cursor is stored and what it deletes.

Knows the contract of `llmapp.connector` and what the catalog holds; changes it only through `Effects`. At every instant it may
be killed: what is committed is whole, no document keeps a grant that its source was heard to take away, and a read that
was not complete is never taken for one.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.records import QuarantineRecord, StoredDocument
from llmapp.connector import Change, Checkpoint, Connector, Cursor, Delete, Failure, Listed, Upsert
from llmapp.errors import ConnectorError, CursorRejectedError, LLMAppError, MassDeletionError
from llmapp.ingestion.access import AccessRules
from llmapp.ingestion.landing import Landing
from llmapp.ingestion.pipeline import Bounds, Pipeline
from llmapp.ingestion.preparing import DocumentFailedError, Preparer, Stamp, hash_of, stage, storable
from llmapp.ingestion.retrying import RetryPolicy, who_retries
from llmapp.types import Document

if TYPE_CHECKING:
    from llmapp.ingestion.effects import Effects
    from llmapp.protocols import Progress


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run is made."""

    access: AccessRules = field(default_factory=AccessRules)
    confirm_deletions: bool = False
    """Whether any number of documents may be deleted, also by an empty listing."""
    retry_now: bool = False
    """Whether documents that were set aside are tried before they are due."""


@dataclass(frozen=True, slots=True)
class Brake:
    """How much of a source one run may delete unasked: both must be passed for it to stop."""

    share: float = 0.3
    documents: int = 10

    def stops(self, doomed: int, held: int) -> bool:
        """Whether a run stops that would delete so many of the documents held before."""
        return doomed > self.documents and doomed > self.share * held


class SourceRun:
    """One run of one source."""

    def __init__(
        self,
        source: str,
        catalog: Catalog,
        preparer: Preparer,
        effects: Effects,
        *,
        options: RunOptions,
        policy: RetryPolicy,
        brake: Brake,
        progress: Progress | None = None,
    ) -> None:
        """Begin where the catalog stands; `llmapp.ingestion.ingestor.Ingestor.run` says what the arguments are."""
        self.counts: Counter[str] = Counter()
        self.read_s = 0.0
        self.found_nothing = False
        """Whether the source was read from its start and mentioned nothing."""
        self._source = source
        self._catalog = catalog
        self._preparer = preparer
        self._effects = effects
        self._options = options
        self._policy = policy
        self._brake = brake
        self._progress = progress
        self._set_aside = {record.document_id: record for record in catalog.quarantined(source, dropped=True)}
        self._held = catalog.document_ids(source)
        self._has_purged = catalog.any_purged()
        self._mentioned: set[str] = set()
        self._doomed: set[str] = set()  # named by a Delete, and still there
        self._deleted = 0
        self._state: dict[str, Cursor] = {}
        self._is_reread = False
        self._last: Checkpoint | None = None  # of a re-read, stored when its end is known
        self.landing = Landing(source, preparer, effects, progress, self._record_failure)

    def follow(self, connector: Connector, bounds: Bounds) -> None:
        """Read the source to its end.

        Raises:
            ConnectorError: The source cannot be read, or would lose too many documents.
            EmbedderError: The embedder failed.
            CostError: Embedding could pass a budget, or has no price.
            CatalogError: The database failed.
        """
        cursor = self._resume(connector)
        if self._progress:
            self._progress.start(self._expected(connector))
        try:
            with Pipeline(self.landing, bounds) as self._pipeline:
                try:
                    self._read_from(connector, cursor)
                except ConnectorError:
                    self._pipeline.drain()  # what was read is good
                    with contextlib.suppress(MassDeletionError):  # the first error is the one to tell
                        self._delete_doomed()
                    raise
                self._pipeline.drain()
                self._delete_doomed()
                self.found_nothing = not self._mentioned and (cursor is None or self._is_reread)
                if self._is_reread and (self._mentioned or self._options.confirm_deletions):
                    self._end_reread(accumulates=getattr(connector, "accumulates", False))
        finally:
            if self._progress:
                self._progress.close()

    def _read_from(self, connector: Connector, cursor: Cursor) -> None:
        try:
            self._read(connector, cursor)
        except CursorRejectedError:
            if cursor is None:
                raise
            self._pipeline.drain()
            self._state.pop("cursor", None)
            self._effects.reach(dict(self._state))
            self._is_reread, self._mentioned = True, set()
            self._read(connector, None)

    def _read(self, connector: Connector, cursor: Cursor) -> None:
        with contextlib.closing(_changes(connector, cursor)) as changes:
            started = time.perf_counter()
            for change in changes:
                self.read_s += time.perf_counter() - started
                self._take(change)
                started = time.perf_counter()
            self.read_s += time.perf_counter() - started

    # ---- where to go on

    def _resume(self, connector: Connector) -> Cursor:
        """Where to go on; None, and so that all is compared and the vanished is seen, when this is a re-read."""
        stored = self._catalog.cursor(self._source)
        state = stored if isinstance(stored, dict) else {}
        access = hash_of(*self._options.access.parts())
        if state.get("access") != access:  # before the source is asked, for it may not answer
            self._follow_access_rules()
        reading = hash_of(self._preparer.reading, _settings(connector))
        # Without a cursor: until a read with these settings has come to a checkpoint, every run begins at the start.
        kept = {"cursor": state["cursor"]} if state.get("reading") == reading and "cursor" in state else {}
        self._state = {"reading": reading, "access": access, **kept}
        if self._state != state:
            self._effects.reach(dict(self._state))
        is_snapshot = getattr(connector, "snapshot", False)
        self._is_reread = is_snapshot or self._may_recover() or ("cursor" not in self._state and bool(self._held))
        return None if self._is_reread else self._state.get("cursor")

    def _may_recover(self) -> bool:
        return any(record.retry == "host" and self._is_due(record) for record in self._set_aside.values())

    def _is_due(self, record: QuarantineRecord) -> bool:
        if self._options.retry_now and not record.is_dropped:
            return True
        return self._policy.is_due(record)

    def _follow_access_rules(self) -> None:
        """Bring the documents without a list of their own under the rules of today; nothing is read, nothing embedded."""
        stored = self._catalog.followers(self._source)
        wanted = {name: frozenset(self._options.access.acl_of(name)) for name in stored}
        changed = {name: acl for name, acl in wanted.items() if acl != stored[name]}
        if changed:
            self._effects.set_access(changed, own=False)
            self.counts["access_changed"] += len(changed)

    def _expected(self, connector: Connector) -> int | None:
        """How many documents will be heard of; None when nobody knows."""
        total = getattr(connector, "total", None)
        if not self._is_reread and self._held:
            return None
        return total() if callable(total) else len(self._held) or None

    # ---- what becomes of a change

    def _take(self, change: Change) -> None:
        match change:
            case Upsert(document):
                self._mention(document.id)
                self._upsert(document)
            case Listed():
                self._mention(change.id)
                self._list(change)
            case Delete(document_id):
                self._doomed.add(self._mention(document_id))
            case Failure(document_id, error, uri, remembered):
                self._mention(document_id)
                failure = DocumentFailedError("read", ConnectorError.code, error)
                self._quarantine(document_id, uri, None, failure, by_source=remembered)
                self._done(uri or document_id)
            case Checkpoint():
                self._reach(change)

    def _mention(self, document_id: str) -> str:
        """Note that the source has spoken of a document; gives its name in the catalog."""
        name = storable(document_id)
        self._mentioned.add(name)
        self._doomed.discard(name)
        if name in self._pipeline:  # mentioned twice: the later word must find the earlier one committed
            self._pipeline.drain()
        return name

    def _done(self, label: str) -> None:
        if self._progress:
            self._progress.advance(storable(label))

    def _list(self, listed: Listed) -> None:
        stored = self._catalog.stored(self._source, storable(listed.id))
        revision = f"{listed.revision}@listed"
        if self._preparer.is_current(stored, revision) or self._is_waiting(listed.id, revision):
            self._skip(listed.id, stored, revision)
            return
        try:
            with stage("read"):
                document = listed.read()
                if document.id != listed.id:
                    raise ConnectorError(f"the document that was read is {document.id!r}")
        except DocumentFailedError as error:
            self._quarantine(listed.id, listed.id, revision, error)
            self._done(listed.id)
            return
        self._upsert(document, listed=revision)

    def _is_waiting(self, document_id: str, revision: str | None) -> bool:
        """Whether a document failed in this very revision, and is not to be tried yet."""
        record = self._set_aside.get(storable(document_id))
        return record is not None and record.revision == self._tried(revision) is not None and not self._is_due(record)

    def _tried(self, revision: str | None) -> str | None:
        """What a failure is about: a revision, and how it was read."""
        return None if revision is None else f"{revision}#{self._preparer.reading}"

    def _skip(self, document_id: str, stored: StoredDocument | None, revision: str) -> None:
        if self._preparer.is_current(stored, revision):
            self.counts["unchanged"] += 1
            if document_id in self._set_aside:
                self._effects.release([document_id])
        elif not self._set_aside[storable(document_id)].is_dropped:
            self.counts["still_quarantined"] += 1
        self._done(document_id)

    def _upsert(self, document: Document, *, listed: str | None = None) -> None:
        if self._has_purged and self._catalog.is_purged(self._source, storable(document.id)):
            self.counts["purged"] += 1
            self._done(document.uri)
            return
        acl = self._options.access.acl_of(document.id) if document.acl is None else document.acl
        try:
            stamp = self._preparer.stamp(document, acl, listed=listed)
        except DocumentFailedError as error:
            self._effects.delete([storable(document.id)])  # who may read it cannot be told
            self._quarantine(document.id, document.uri, None, error)
            self._done(document.uri)
            return
        self._compare(document, stamp)

    def _compare(self, document: Document, stamp: Stamp) -> None:
        stored = self._catalog.stored(self._source, document.id)
        if stored and not stored.acl <= set(stamp.acl):  # at once: it may fail, or the run stop, before it is committed
            self._effects.narrow(document.id, stored.acl & set(stamp.acl), own=stored.own_acl)
        if self._preparer.is_current(stored, stamp.revision):
            self._keep(document, stamp, stored, is_current=True)
            return
        if self._is_waiting(document.id, stamp.revision):
            self._skip(document.id, stored, str(stamp.revision))
            return
        try:
            job = self._preparer.read(document, stamp, stored)
        except DocumentFailedError as error:
            self._quarantine(document.id, document.uri, stamp.revision, error)
            self._done(document.uri)
            return
        if job is None:
            self._keep(document, stamp, stored, is_current=False)
        else:
            self._pipeline.submit(job)

    def _keep(self, document: Document, stamp: Stamp, stored: StoredDocument | None, *, is_current: bool) -> None:
        """The content is the stored one; its access list or its revision may be new."""
        if stored and (stored.acl != set(stamp.acl) or stored.own_acl != stamp.own_acl):
            self._effects.set_access({document.id: stamp.acl}, own=stamp.own_acl)
        self.counts["access_changed" if stored and stored.acl != set(stamp.acl) else "unchanged"] += 1
        if not is_current or document.id in self._set_aside:
            self._effects.touch(document.id, revision=stamp.revision)
        self._done(document.uri)

    def _quarantine(
        self, document_id: str, uri: str, revision: str | None, error: DocumentFailedError, *, by_source: bool = False
    ) -> None:
        self.counts["quarantined"] += 1
        self._record_failure(document_id, uri, revision, error, by_source=by_source)

    def _record_failure(
        self, document_id: str, uri: str, revision: str | None, error: DocumentFailedError, *, by_source: bool = False
    ) -> None:
        name, tried = storable(document_id), self._tried(revision)
        earlier = self._set_aside.get(name)
        attempts = earlier.attempts + 1 if earlier and earlier.revision == tried else 1
        retry = who_retries(error.code, by_source=by_source)
        self._effects.set_aside(
            QuarantineRecord(
                source=self._source,
                document_id=name,
                uri=storable(uri or document_id),
                stage=error.stage,
                code=error.code,
                reason=error.reason,
                revision=tried,
                attempts=attempts,
                retry=retry,
                next_try_at=self._policy.next_try_at(attempts, retry),
            )
        )

    # ---- how far it has come, and what goes

    def _reach(self, checkpoint: Checkpoint) -> None:
        try:
            json.dumps(checkpoint.cursor)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConnectorError(
                f"the connector gave a cursor that is no JSON value: {type(checkpoint.cursor).__name__}",
                hint="a Checkpoint takes numbers, text, lists and dictionaries",
            ) from error
        self._delete_doomed()
        if self._is_reread:  # going on from here, a later run would not see what has vanished
            self._last = checkpoint
        else:
            state = {**self._state, "cursor": checkpoint.cursor}
            self._pipeline.then(lambda: self._effects.reach(state))

    def _delete_doomed(self) -> None:
        doomed, self._doomed = self._doomed & self._held_now(), set()
        self._delete(sorted(doomed))

    def _held_now(self) -> set[str]:
        return {name for name in self._doomed if self._catalog.stored(self._source, name) or name in self._set_aside}

    def _delete(self, names: list[str]) -> None:
        """Delete documents, unless the run would then have deleted too many."""
        if not names:
            return
        doomed = self._deleted + len(names)
        if not self._options.confirm_deletions and self._brake.stops(doomed, len(self._held)):
            raise MassDeletionError(self._source, documents=names, held=len(self._held))
        self._deleted += len(names)
        self.counts["deleted"] += self._effects.delete(names)

    def _end_reread(self, *, accumulates: bool) -> None:
        """Delete what a complete read did not mention, then store where it ended; one with a gap is made again."""
        if self._last and not self._last.complete:
            return
        if not accumulates:
            self._delete(sorted(self._catalog.document_ids(self._source) - self._mentioned))
            if forgotten := set(self._set_aside) - self._mentioned:
                self._effects.release(sorted(forgotten))
        if self._last:
            self._effects.reach({**self._state, "cursor": self._last.cursor})


def _settings(connector: Connector) -> str:
    """What the connector was told, secrets masked: other settings may bring other documents."""
    dump = getattr(connector, "model_dump_json", None)
    try:
        return str(dump()) if callable(dump) else ""
    except Exception:  # noqa: BLE001 - a setting that cannot be written as JSON is no reason not to read
        return ""


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
