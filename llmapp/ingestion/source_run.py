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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.records import StoredDocument
from llmapp.connector import Change, Checkpoint, Connector, Cursor, Delete, Failure, Listed, Upsert
from llmapp.errors import ConnectorError, CursorRejectedError, MassDeletionError
from llmapp.ingestion.access import AccessRules
from llmapp.ingestion.deletions import Brake, Deletions
from llmapp.ingestion.landing import Landing
from llmapp.ingestion.listening import changes_of, settings_of, total_of
from llmapp.ingestion.pipeline import Bounds, Pipeline
from llmapp.ingestion.preparing import DocumentFailedError, Preparer, Stamp, hash_of, stage, storable
from llmapp.ingestion.quarantine import Quarantine
from llmapp.ingestion.retrying import RetryPolicy
from llmapp.ingestion.secrets import striker
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
    retry_now: frozenset[str] | None = frozenset()
    """Documents that are tried before they are due though they were set aside; None is all."""


class SourceRun:
    """One run of one source."""

    def __init__(
        self,
        source: str,
        connector: Connector,
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
        self._counts: Counter[str] = Counter()
        self.read_s = 0.0
        self.found_nothing = False
        """Whether the source was read from its start and mentioned nothing."""
        self._source = source
        self._connector = connector
        self._catalog = catalog
        self._preparer = preparer
        self._effects = effects
        self._options = options
        self._progress = progress
        self._held = catalog.count_documents(source)
        stored = catalog.cursor(source)
        self._stored: dict[str, Cursor] = dict(stored) if isinstance(stored, dict) else {}
        self._hide = striker(connector)
        self._quarantine = Quarantine(
            source,
            effects,
            policy,
            catalog.quarantined(source, dropped=True),
            reading=preparer.reading,
            retry_now=options.retry_now,
            hide=self._hide,
        )
        doomed, held = _tally(self._stored.get("stopped")) or (0, self._held)
        confirmed = options.confirm_deletions
        self._deletions = Deletions(source, effects, brake, held, confirmed=confirmed, doomed=doomed)
        self._has_purged = catalog.any_purged()
        self._mentioned: set[str] = set()
        self._reopened: set[str] = set()  # documents whose access list was changed by new rules
        self._state: dict[str, Cursor] = {}
        self._is_reread = False
        self._last: Checkpoint | None = None  # of a re-read, stored when its end is known
        self._is_open = True  # whether something was said since the last checkpoint
        self.landing = Landing(source, preparer, effects, progress, self._quarantine.record)

    @property
    def counts(self) -> Counter[str]:
        """What was done so far, by the names of `llmapp.ingestion.report.IngestReport`."""
        return self._counts + self._deletions.counts + self.landing.counts

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage, which overlap."""
        return {"read": self.read_s, **self.landing.seconds}

    def follow(self, bounds: Bounds) -> None:
        """Read the source to its end.

        Raises:
            ConnectorError: The source cannot be read, or would lose too many documents.
            EmbedderError: The embedder failed.
            CostError: Embedding could pass a budget, or has no price.
            CatalogError: The database failed.
        """
        cursor = self._resume()
        if self._progress:
            self._progress.start(self._expected())
        try:
            with Pipeline(self.landing, bounds) as self._pipeline:
                try:
                    self._read_from(cursor)
                except ConnectorError:
                    self._pipeline.drain()  # what was read is good
                    raise
                self._pipeline.drain()
                self._carry_out_deletions()
                self.found_nothing = not self._mentioned and (cursor is None or self._is_reread)
                if self._is_reread and (self._mentioned or self._options.confirm_deletions):
                    self._end_reread()
                self._pass_brake()
        except MassDeletionError:
            self._effects.reach({**self._known_state(), "stopped": list(self._deletions.tally)})
            raise
        finally:
            self._effects.tidy()
            if self._progress:
                self._progress.close()

    def _read_from(self, cursor: Cursor) -> None:
        try:
            self._read(cursor)
        except CursorRejectedError:
            if cursor is None:
                raise
            self._pipeline.drain()
            self._state.pop("cursor", None)
            self._effects.reach(dict(self._state))
            self._is_reread, self._mentioned = True, set()
            self._read(None)

    def _read(self, cursor: Cursor) -> None:
        changes = changes_of(self._connector, cursor, self._hide)
        try:
            started = time.perf_counter()
            for change in changes:
                self.read_s += time.perf_counter() - started
                self._take(change)
                started = time.perf_counter()
            self.read_s += time.perf_counter() - started
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                changes.close()
            raise

    # ---- where to go on

    def _resume(self) -> Cursor:
        """Where to go on; None, and so that all is compared and the vanished is seen, when this is a re-read."""
        state = self._stored
        access = hash_of(*self._options.access.parts())
        if state.get("access") != access:  # before the source is asked, for it may not answer
            self._follow_access_rules()
        reading = hash_of(self._preparer.reading, settings_of(self._connector))
        # Without a cursor: until a read with these settings has come to a checkpoint, every run begins at the start.
        kept = {"cursor": state["cursor"]} if state.get("reading") == reading and "cursor" in state else {}
        stopped = {"stopped": state["stopped"]} if "stopped" in state else {}
        self._state = {"reading": reading, "access": access, **kept, **stopped}
        if self._state != state:
            self._effects.reach(dict(self._state))
        is_snapshot = getattr(self._connector, "snapshot", False)
        self._is_reread = is_snapshot or self._quarantine.may_recover or ("cursor" not in self._state and self._held > 0)
        return None if self._is_reread else self._state.get("cursor")

    def _follow_access_rules(self) -> None:
        """Bring the documents without a list of their own under the rules of today; nothing is read, nothing embedded.

        One that was narrowed, for its new content is not in, may only get narrower still.
        """
        stored = self._catalog.followers(self._source)
        changed = {}
        for name, (acl, is_narrowed) in stored.items():
            wanted = frozenset(self._options.access.acl_of(name))
            if is_narrowed and not acl <= wanted:
                self._effects.narrow(name, acl & wanted, own=False)
            elif not is_narrowed and acl != wanted:
                changed[name] = wanted
        if changed:
            self._effects.set_access(changed, own=False)
            self._counts["access_changed"] += len(changed)
            self._reopened = set(changed)

    def _expected(self) -> int | None:
        """How many documents will be heard of; None when nobody knows."""
        if not self._is_reread and self._held:
            return None
        return total_of(self._connector) or self._held or None

    # ---- what becomes of a change

    def _take(self, change: Change) -> None:
        self._is_open = not isinstance(change, Checkpoint)
        match change:
            case Delete(document_id):
                self._deletions.name(self._mention(document_id))
            case Checkpoint():
                self._reach(change)
            case Upsert() | Listed() | Failure():
                document_id = change.document.id if isinstance(change, Upsert) else change.id
                if self._is_kept_out(self._mention(document_id)):
                    self._counts["purged"] += 1
                    self._done(document_id)
                elif isinstance(change, Upsert):
                    self._upsert(change.document)
                elif isinstance(change, Listed):
                    self._list(change)
                else:
                    failure = DocumentFailedError("read", ConnectorError.code, change.error)
                    self._fail(change.id, change.uri, None, failure, by_source=change.remembered)
            case _:
                raise ConnectorError(
                    f"the connector yields {type(change).__name__}, which is no change", hint="see llmapp.connector"
                )

    def _is_kept_out(self, name: str) -> bool:
        return self._has_purged and self._catalog.is_purged(self._source, name)

    def _mention(self, document_id: str) -> str:
        """Note that the source has spoken of a document; gives its name in the catalog."""
        if not isinstance(document_id, str) or not document_id:
            raise ConnectorError(f"the connector gave the id {document_id!r}", hint="an id is a text that is not empty")
        name = storable(document_id)
        self._mentioned.add(name)
        self._deletions.spare(name)
        if name in self._pipeline:  # mentioned twice: the later word must find the earlier one committed
            self._pipeline.drain()
        return name

    def _done(self, label: str) -> None:
        if self._progress:
            self._progress.advance(storable(label))

    def _list(self, listed: Listed) -> None:
        stored = self._catalog.stored(self._source, storable(listed.id))
        revision = f"{listed.revision}@listed"
        if self._preparer.is_current(stored, revision) or self._quarantine.is_waiting(listed.id, revision):
            self._skip(listed.id, stored, revision)
            return
        try:
            with stage("read"):
                document = listed.read()
                if document.id != listed.id:
                    raise ConnectorError(f"the document that was read is {document.id!r}")
        except DocumentFailedError as error:
            self._fail(listed.id, listed.id, revision, error)
            return
        self._upsert(document, listed=revision)

    def _skip(self, document_id: str, stored: StoredDocument | None, revision: str) -> None:
        if self._preparer.is_current(stored, revision):
            self._counts["unchanged"] += 1
            if document_id in self._quarantine:
                self._effects.release([storable(document_id)])
        elif not self._quarantine.is_dropped(document_id, revision):
            self._counts["still_quarantined"] += 1
        self._done(document_id)

    def _upsert(self, document: Document, *, listed: str | None = None) -> None:
        acl = self._options.access.acl_of(document.id) if document.acl is None else document.acl
        try:
            stamp = self._preparer.stamp(document, acl, listed=listed)
        except DocumentFailedError as error:
            self._effects.narrow(storable(document.id), (), own=True)  # who may read it cannot be told
            self._fail(document.id, document.uri, None, error)
            return
        self._compare(document, stamp)

    def _compare(self, document: Document, stamp: Stamp) -> None:
        stored = self._catalog.stored(self._source, document.id)
        if self._preparer.is_current(stored, stamp.revision):
            self._keep(document, stamp, stored)
            return
        self._narrow(document, stamp, stored)  # at once: it may fail, or the run stop, before it is committed
        if self._quarantine.is_waiting(document.id, stamp.revision):
            self._skip(document.id, stored, str(stamp.revision))
            return
        try:
            job = self._preparer.read(document, stamp, stored)
        except DocumentFailedError as error:
            self._fail(document.id, document.uri, stamp.revision, error)
            return
        if job is None:
            self._keep(document, stamp, stored)
        elif stamp.revision is None and self._quarantine.is_waiting(document.id, job.revision):
            self._skip(document.id, None, job.revision)
        else:
            self._pipeline.submit(job)

    def _narrow(self, document: Document, stamp: Stamp, stored: StoredDocument | None) -> None:
        """Let nobody read the stored content who may not read the new one; nobody more either, until that is in."""
        if stored and (not stored.acl <= set(stamp.acl) or stored.own_acl != stamp.own_acl):
            self._effects.narrow(document.id, stored.acl & set(stamp.acl), own=stamp.own_acl)

    def _keep(self, document: Document, stamp: Stamp, stored: StoredDocument | None) -> None:
        """The content is the stored one; its access list or its revision may be new."""
        is_opened = stored is not None and stored.acl != set(stamp.acl)
        if stored and (is_opened or stored.is_narrowed or stored.own_acl != stamp.own_acl):
            self._effects.set_access({document.id: stamp.acl}, own=stamp.own_acl)
        if is_opened:
            self._counts["access_changed"] += 1
        elif document.id not in self._reopened:
            self._counts["unchanged"] += 1
        if document.id in self._quarantine or (stored and stored.revision != stamp.revision):
            self._effects.touch(document.id, revision=stamp.revision)
        self._done(document.uri)

    def _fail(
        self, document_id: str, uri: str, revision: str | None, error: DocumentFailedError, *, by_source: bool = False
    ) -> None:
        self._counts["quarantined"] += not self._quarantine.is_dropped(document_id, revision)
        self._quarantine.record(document_id, uri, revision, error, by_source=by_source)
        self._done(uri or document_id)

    # ---- how far it has come, and what goes

    def _reach(self, checkpoint: Checkpoint) -> None:
        try:
            json.dumps(checkpoint.cursor, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConnectorError(
                f"the connector gave a cursor that is no JSON value: {type(checkpoint.cursor).__name__}",
                hint="a Checkpoint takes numbers, text, lists and dictionaries",
            ) from error
        self._carry_out_deletions()
        if self._is_reread:  # going on from here, a later run would not see what has vanished
            self._last = checkpoint
        elif checkpoint.complete:
            self._state["cursor"] = checkpoint.cursor
            state = dict(self._state)
            self._pipeline.then(lambda: self._effects.reach(state))

    def _carry_out_deletions(self) -> None:
        if self._deletions.are_named:
            self._pipeline.drain()  # a document that has moved is in before it is out, and takes its vectors along
            self._deletions.carry_out(is_held=lambda name: self._catalog.stored(self._source, name) is not None)

    def _pass_brake(self) -> None:
        """The run has come to its end: the next one counts its deletions from the start."""
        if self._state.pop("stopped", None) is not None:
            self._effects.reach(dict(self._state))

    def _known_state(self) -> dict[str, Cursor]:
        """What is stored; a cursor of this run stands in it only when all above it is committed."""
        stored = self._catalog.cursor(self._source)
        return dict(stored) if isinstance(stored, dict) else dict(self._state)

    def _end_reread(self) -> None:
        """Delete what a complete read did not mention, then store where it ended; one with a gap is made again."""
        if self._last is None or not self._last.complete or self._is_open:
            return
        forgotten = self._quarantine.ids - self._mentioned
        if getattr(self._connector, "accumulates", False):
            forgotten &= self._quarantine.kept_by_host  # it will not come again, and would have the source read for ever
        else:
            self._deletions.delete(self._catalog.document_ids(self._source) - self._mentioned)
        if forgotten:
            self._effects.release(sorted(forgotten))
        self._state["cursor"] = self._last.cursor
        self._effects.reach(dict(self._state))


def _tally(stored: Cursor) -> tuple[int, int] | None:
    match stored:
        case [int(doomed), int(held)]:
            return doomed, held
    return None
