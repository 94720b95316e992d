"""How a run went, as it is shown and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Self

from llmapp.catalog.records import RunRecord, RunStatus
from llmapp.errors import LLMAppError

if TYPE_CHECKING:
    from pydantic import JsonValue

SEEN = ("added", "changed", "access_changed", "unchanged", "quarantined", "still_quarantined", "purged")
"""The counts that together are all documents that a source spoke of, deletions left out."""
_NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class IngestReport:
    """How a run went. Counts are of documents unless a name says otherwise."""

    source: str
    """Name of the source; empty where the documents of all sources were cut and embedded anew."""
    run_id: int
    """Number of the run in the catalog; 0 where none was begun."""
    status: RunStatus
    added: int = 0
    changed: int = 0
    access_changed: int = 0
    """Documents that others may read now, and of which nothing else has changed."""
    unchanged: int = 0
    upgraded: int = 0
    """Documents that were cut and embedded anew from their stored texts, for the chunker or the embedder is another one."""
    deleted: int = 0
    quarantined: int = 0
    """Documents that failed in this run."""
    still_quarantined: int = 0
    """Documents that failed before, are unchanged, and are not due to be tried again."""
    purged: int = 0
    """Documents that the source brings and that are kept out because they were purged."""
    hidden: int = 0
    """Documents of the source that nobody may read."""
    chunks: int = 0
    """Chunks of the documents that were added, changed, or cut anew."""
    bytes: int = 0
    """Content of the documents that were added or changed."""
    embedded_texts: int = 0
    """Texts that had no vector yet."""
    embedded_tokens: int = 0
    """Their tokens, special tokens included."""
    cost_nano_usd: int = 0
    """What embedding has cost. Nano-USD."""
    seconds: float = 0.0
    """Wall-clock time of the run."""
    stages_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage: ``read``, ``parse``, ``embed``, ``commit``, which overlap, and ``total``."""
    found_nothing: bool = False
    """The source was read from its start and mentioned nothing. Its documents were kept, unless the deletions were
    confirmed: an empty listing is more often a fault than a wish."""
    error: LLMAppError | None = None
    """Why the run failed; None when it did not."""

    @classmethod
    def of(cls, run: RunRecord, *, hidden: int = 0, found_nothing: bool = False, error: LLMAppError | None = None) -> Self:
        """Gather it from what was recorded of a run."""
        known = {each.name for each in fields(cls)}
        return cls(
            source=run.source,
            run_id=run.id,
            status=run.status,
            **{name: count for name, count in run.counts.items() if name in known},
            cost_nano_usd=run.cost_nano_usd,
            hidden=hidden,
            seconds=run.seconds.get("total", 0.0),
            stages_s=run.seconds,
            found_nothing=found_nothing,
            error=error,
        )

    @property
    def cost_usd(self) -> float:
        """What embedding has cost. USD."""
        return self.cost_nano_usd / _NANO

    def shape(self) -> dict[str, JsonValue]:
        """As JSON."""
        error = None if self.error is None else {"code": self.error.code, "message": self.error.message}
        return {**asdict(replace(self, error=None)), "cost_usd": self.cost_usd, "error": error}
