"""The documents of a source that were set aside: which of them wait, which may recover, and what becomes of the next failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmapp.catalog.records import QuarantineRecord
from llmapp.ingestion.preparing import DocumentFailedError, storable
from llmapp.ingestion.retrying import RetryPolicy, who_retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmapp.ingestion.effects import Effects


class Quarantine:
    """What one run knows of earlier failures, and how it records its own."""

    def __init__(
        self,
        source: str,
        effects: Effects,
        policy: RetryPolicy,
        records: Iterable[QuarantineRecord],
        *,
        reading: str,
        retry_now: frozenset[str] | None,
        hide: Callable[[str], str] = str,
    ) -> None:
        """Begin with the failures of earlier runs.

        Args:
            source: Its name.
            effects: Carries out what changes.
            policy: How long a document waits.
            records: What was set aside, that which was let go of included.
            reading: How documents are read; what failed when read in another way is tried again.
            retry_now: Documents that are tried before they are due; None is all.
            hide: Strikes secrets out of a text.
        """
        self._source = source
        self._effects = effects
        self._policy = policy
        self._records = {record.document_id: record for record in records}
        self._reading = reading
        self._retry_now = retry_now
        self._hide = hide

    def __contains__(self, document_id: str) -> bool:
        """Whether a document was set aside before this run."""
        return storable(document_id) in self._records

    @property
    def ids(self) -> set[str]:
        """The documents that were set aside before this run."""
        return set(self._records)

    @property
    def may_recover(self) -> bool:
        """Whether some document may succeed as it is, if its source is read from the start."""
        return any(
            self._is_due(record) and (record.retry == "host" or self._is_asked_for(record))
            for record in self._records.values()
        )

    @property
    def kept_by_host(self) -> set[str]:
        """The documents that the host tries again by reading their source from the start."""
        return {name for name, record in self._records.items() if record.retry == "host"}

    def is_waiting(self, document_id: str, revision: str | None) -> bool:
        """Whether a document failed in this very revision, and is not to be tried yet."""
        record = self._records.get(storable(document_id))
        return record is not None and record.revision == self._tried(revision) is not None and not self._is_due(record)

    def is_dropped(self, document_id: str, revision: str | None) -> bool:
        """Whether an operator has let go of this very failure."""
        record = self._records.get(storable(document_id))
        return record is not None and record.is_dropped and record.revision == self._tried(revision)

    def record(
        self, document_id: str, uri: str, revision: str | None, error: DocumentFailedError, *, by_source: bool = False
    ) -> None:
        """Set a document aside.

        Args:
            document_id: Its id.
            uri: Where a person finds it; empty takes the id.
            revision: The revision that failed; None where it has none, which is tried in every run.
            error: Where and why.
            by_source: Whether the connector brings it again by itself.
        """
        if self.is_dropped(document_id, revision):
            return
        name, tried = storable(document_id), self._tried(revision)
        earlier = self._records.get(name)
        attempts = earlier.attempts + 1 if earlier and earlier.revision == tried else 1
        retry = who_retries(error.code, by_source=by_source)
        self._effects.set_aside(
            QuarantineRecord(
                source=self._source,
                document_id=name,
                uri=self._hide(storable(uri or document_id)),
                stage=error.stage,
                code=error.code,
                reason=self._hide(error.reason),
                revision=tried,
                attempts=attempts,
                retry=retry,
                next_try_at=self._policy.next_try_at(attempts, retry),
            )
        )

    def _is_due(self, record: QuarantineRecord) -> bool:
        return self._policy.is_due(record) or (self._is_asked_for(record) and not record.is_dropped)

    def _is_asked_for(self, record: QuarantineRecord) -> bool:
        return self._retry_now is None or record.document_id in self._retry_now

    def _tried(self, revision: str | None) -> str | None:
        """What a failure is about: a revision, and how it was read."""
        return None if revision is None else f"{revision}#{self._reading}"
