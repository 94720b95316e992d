"""What the pipeline does with the documents of one run: prepare, embed and commit, set aside; and how much that was."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from llmapp.ingestion.preparing import DocumentFailedError, Job, Prepared, Preparer, storable

if TYPE_CHECKING:
    from llmapp.ingestion.effects import Effects
    from llmapp.protocols import Progress


class RecordFailure(Protocol):
    """Sets a document aside."""

    def __call__(self, document_id: str, uri: str, revision: str | None, error: DocumentFailedError) -> None:
        """Keep the reason."""


class Landing:
    """A `llmapp.ingestion.pipeline.Crew`."""

    def __init__(
        self, source: str, preparer: Preparer, effects: Effects, progress: Progress | None, record_failure: RecordFailure
    ) -> None:
        """Work on one source."""
        self.counts: Counter[str] = Counter()
        """Written by the landing thread alone."""
        self.seconds = dict.fromkeys(("parse", "embed", "commit"), 0.0)
        self._seconds_lock = threading.Lock()
        self._source = source
        self._preparer = preparer
        self._effects = effects
        self._progress = progress
        self._record_failure = record_failure

    def prepare(self, job: Job) -> Prepared:
        """See `Crew`."""
        started = time.perf_counter()
        try:
            return self._preparer.prepare(self._source, job)
        finally:
            with self._seconds_lock:  # several threads prepare
                self.seconds["parse"] += time.perf_counter() - started

    def land(self, documents: Sequence[Prepared]) -> None:
        """See `Crew`."""
        landed = self._effects.commit(documents)
        for document in landed.committed:
            self.counts["added" if document.is_new else "changed"] += 1
            self.counts["bytes"] += document.content_bytes
            self._done(document.record.uri)
        for document, error in landed.failed:
            record = document.record
            self._set_aside(record.document_id, record.uri, record.revision, error)
        self.counts["chunks"] += landed.chunks
        self.counts["embedded_texts"] += landed.embedded_texts
        self.counts["embedded_tokens"] += landed.embedded_tokens
        self.seconds["embed"] += landed.embed_s
        self.seconds["commit"] += landed.commit_s

    def fail(self, job: Job, error: DocumentFailedError) -> None:
        """See `Crew`."""
        self._set_aside(job.document.id, job.document.uri, job.revision, error)

    def _set_aside(self, document_id: str, uri: str, revision: str | None, error: DocumentFailedError) -> None:
        self.counts["quarantined"] += 1
        self._record_failure(document_id, uri, revision, error)
        self._done(uri)

    def _done(self, label: str) -> None:
        if self._progress:
            self._progress.advance(storable(label))
