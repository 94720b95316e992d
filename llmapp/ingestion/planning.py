"""What a run would do, noted and not done; and a run that does only what was noted.

A plan is the same traversal as a run, with effects that write nothing. Written to a file it is a manifest: a later run
follows it document by document, and whatever the source says differently by then is left alone and reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal, cast

from llmapp.catalog.catalog import Catalog
from llmapp.errors import ConfigError, SourceMovedError
from llmapp.ingestion.preparing import DocumentFailedError, Prepared
from llmapp.ingestion.upgrading import UpgradePlan
from llmapp.ingestion.vectors import Landed

if TYPE_CHECKING:
    from pydantic import JsonValue

    from llmapp.catalog.records import QuarantineRecord
    from llmapp.connector import Cursor
    from llmapp.ingestion.effects import Effects

Action = Literal["add", "change", "access", "delete", "quarantine"]
_VERSION = 1


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """What would become of one document."""

    action: Action
    document_id: str
    uri: str = ""
    content_hash: str = ""
    """Of the content that was planned for; empty where none is taken in."""
    acl: tuple[str, ...] = ()
    chunks: int = 0
    embedded_texts: int = 0
    embedded_tokens: int = 0
    reason: str = ""
    """Why it would be quarantined."""


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """What a run of one source would do."""

    source: str
    changes: tuple[PlannedChange, ...] = ()
    """In the order in which they were prepared or deleted: about that in which the source speaks of them."""
    unchanged: int = 0
    still_quarantined: int = 0
    held: int = 0
    """Documents of the source now."""
    needs_confirmation: bool = False
    """Whether so many would be deleted that a run stops unless it is confirmed."""
    error: str = ""
    """Why the source could not be followed to its end; empty when it could."""

    def count(self, action: Action) -> int:
        """Documents with which this would be done."""
        return sum(change.action == action for change in self.changes)


@dataclass(frozen=True, slots=True)
class IngestPlan:
    """What an ingest would do, take and cost."""

    embedder: str
    chunker: str
    sources: tuple[SourcePlan, ...]
    upgrade: UpgradePlan
    """What is cut and embedded anew because the chunker or the embedder has changed."""
    cost_usd: float
    tokens_per_s: float | None
    """Measured rate of a whole ingest, else of the embedder; None when nothing is known."""

    @property
    def embedded_texts(self) -> int:
        """Texts that would be embedded."""
        return self.upgrade.embedded_texts + sum(change.embedded_texts for each in self.sources for change in each.changes)

    @property
    def embedded_tokens(self) -> int:
        """Tokens that would be embedded, special tokens included."""
        changes = (change for each in self.sources for change in each.changes)
        return self.upgrade.embedded_tokens + sum(change.embedded_tokens for change in changes)

    @property
    def seconds(self) -> float | None:
        """How long it would take. Seconds; None when no rate is known."""
        return None if not self.tokens_per_s else self.embedded_tokens / self.tokens_per_s

    def shape(self) -> dict[str, JsonValue]:
        """As JSON; also the form of a manifest."""
        totals = {"embedded_texts": self.embedded_texts, "embedded_tokens": self.embedded_tokens, "seconds": self.seconds}
        return {"version": _VERSION, **asdict(self), **totals}


def read_manifest(text: str) -> IngestPlan:
    """Read a plan that was written as JSON.

    Raises:
        ConfigError: It is no manifest of this version.
    """
    try:
        given = json.loads(text)
        if given["version"] != _VERSION:
            raise ConfigError(
                f"the manifest has version {given['version']}, this llmapp writes {_VERSION}", hint="plan again"
            )
        sources = tuple(_source_plan(each) for each in given["sources"])
        upgrade = UpgradePlan(**given["upgrade"])
        return IngestPlan(given["embedder"], given["chunker"], sources, upgrade, given["cost_usd"], given["tokens_per_s"])
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError("this is no manifest", hint="llmapp ingest --dry-run --manifest FILE writes one") from error


def _source_plan(given: dict[str, object]) -> SourcePlan:
    changes = cast("list[dict[str, object]]", given.pop("changes"))
    planned = tuple(PlannedChange(**{**one, "acl": tuple(cast("list[str]", one["acl"]))}) for one in changes)  # type: ignore[arg-type]
    return SourcePlan(changes=planned, **given)  # type: ignore[arg-type]


class PlannedEffects:
    """Notes what would be done. Implements `llmapp.ingestion.effects.Effects`."""

    def __init__(self, source: str, catalog: Catalog, special_tokens: int, planned_keys: set[str]) -> None:
        """Plan for one source.

        Args:
            source: Its name.
            catalog: Only read.
            special_tokens: Tokens that every embedded text has besides its own. Count.
            planned_keys: Keys of texts that the plan would embed already; new ones are added.
        """
        self._noted: dict[tuple[Action, str], PlannedChange] = {}
        self._source = source
        self._catalog = catalog
        self._special_tokens = special_tokens
        self._planned_keys = planned_keys

    @property
    def changes(self) -> list[PlannedChange]:
        """What was noted, in the order in which the source spoke of it."""
        return list(self._noted.values())

    def _note(self, change: PlannedChange) -> None:
        self._noted[change.action, change.document_id] = change

    def commit(self, documents: Sequence[Prepared]) -> Landed:
        """Note additions and changes with what they would embed."""
        landed = Landed()
        for document in documents:
            try:
                change = self._planned(document)
            except DocumentFailedError as error:
                landed.failed.append((document, error))
            else:
                self._note(change)
                landed.committed.append(document)
        return landed

    def _planned(self, document: Prepared) -> PlannedChange:
        record = document.record
        change = PlannedChange(
            "add" if document.is_new else "change", record.document_id, record.uri, record.content_hash, record.acl
        )
        texts = document.texts if document.pieces is None else (text for _, text in document.pieces)
        for text in texts:
            change = replace(change, chunks=change.chunks + 1)
            if text.key not in self._planned_keys and not self._catalog.known_embeddings([text.key]):
                self._planned_keys.add(text.key)
                tokens = change.embedded_tokens + text.tokens + self._special_tokens
                change = replace(change, embedded_texts=change.embedded_texts + 1, embedded_tokens=tokens)
        return change

    def set_access(self, access: Mapping[str, Iterable[str]], *, own: bool) -> None:  # noqa: ARG002 - no part of a plan
        """Note the new access lists."""
        for document_id, acl in access.items():
            self._note(PlannedChange("access", document_id, acl=tuple(sorted(set(acl)))))

    def narrow(self, document_id: str, acl: Iterable[str], *, own: bool) -> None:
        """Part of a change that is noted by itself."""

    def touch(self, document_id: str, *, revision: str | None) -> None:
        """Nothing that a person would want to know."""

    def delete(self, document_ids: Iterable[str]) -> int:
        """Note removals."""
        held = [name for name in document_ids if self._catalog.stored(self._source, name)]
        for name in held:
            self._note(PlannedChange("delete", name))
        return len(held)

    def set_aside(self, record: QuarantineRecord) -> None:
        """Note a failure."""
        reason = f"{record.code}: {record.reason}"
        self._note(PlannedChange("quarantine", record.document_id, record.uri, reason=reason))

    def release(self, document_ids: Iterable[str]) -> None:
        """Nothing that a person would want to know."""

    def reach(self, state: Cursor) -> None:
        """The next run goes on where this one began."""

    def tidy(self) -> None:
        """Nothing was changed."""


@dataclass(slots=True)
class FollowedEffects:
    """Does what a plan has noted and nothing else. Implements `llmapp.ingestion.effects.Effects`.

    Grants that a source has taken away since are taken away all the same: access is never wider than the source says.
    """

    inner: Effects
    plan: SourcePlan
    catalog: Catalog
    moved: list[str] = field(default_factory=list)
    """Documents of which the source says something else than the plan, in the order in which it was met."""
    _open: dict[tuple[str, str], PlannedChange] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort what was noted by what it is found by."""
        self._open = {(change.action, change.document_id): change for change in self.plan.changes}

    def commit(self, documents: Sequence[Prepared]) -> Landed:
        """Commit those documents whose content and access list are the planned ones."""
        return self.inner.commit([document for document in documents if self._is_planned(document)])

    def set_access(self, access: Mapping[str, Iterable[str]], *, own: bool) -> None:
        """Give the planned access lists; where another one is wanted by now, only take away."""
        wanted = {name: tuple(sorted(set(acl))) for name, acl in access.items()}
        planned = {name: acl for name, acl in wanted.items() if self._take("access", name, acl=acl)}
        if planned:
            self.inner.set_access(planned, own=own)
        for name in wanted.keys() - planned.keys():
            stored = self.catalog.stored(self.plan.source, name)
            if stored and not stored.acl <= set(wanted[name]):
                self.inner.narrow(name, stored.acl & set(wanted[name]), own=own)

    def narrow(self, document_id: str, acl: Iterable[str], *, own: bool) -> None:
        """Always."""
        self.inner.narrow(document_id, acl, own=own)

    def touch(self, document_id: str, *, revision: str | None) -> None:
        """Where nothing else has moved: a revision that is stored is not looked at again."""
        if document_id not in self.moved:
            self.inner.touch(document_id, revision=revision)

    def delete(self, document_ids: Iterable[str]) -> int:
        """Delete the planned ones."""
        planned = [name for name in document_ids if self._take("delete", name)]
        return self.inner.delete(planned) if planned else 0

    def set_aside(self, record: QuarantineRecord) -> None:
        """Always; one that was to come in has moved."""
        self._take("quarantine", record.document_id)
        self.inner.set_aside(record)

    def release(self, document_ids: Iterable[str]) -> None:
        """Always."""
        self.inner.release(document_ids)

    def reach(self, state: Cursor) -> None:
        """Only while everything was as planned, so that what has moved is met again."""
        if not self.moved:
            self.inner.reach(state)

    def tidy(self) -> None:
        """Always."""
        self.inner.tidy()

    def check(self) -> None:
        """See that the plan was carried out whole.

        Raises:
            SourceMovedError: Something was different, or did not come any more.
        """
        rest = [name for _, name in self._open]
        if self.moved or rest:
            named = [*self.moved, *(name for name in rest if name not in self.moved)]
            raise SourceMovedError(
                f"{self.plan.source}: {len(named):,} documents are not as in the manifest ({', '.join(named[:3])}"
                + (", …)" if len(named) > 3 else ")"),  # noqa: PLR2004 - as many as fit a line
                hint="what was as planned is done, the rest was left alone; plan again",
            )

    def _is_planned(self, document: Prepared) -> bool:
        record = document.record
        action: Action = "add" if document.is_new else "change"
        return self._take(action, record.document_id, content_hash=record.content_hash, acl=record.acl)

    def _take(self, action: Action, document_id: str, *, content_hash: str = "", acl: tuple[str, ...] = ()) -> bool:
        change = self._open.get((action, document_id))
        if change is not None and change.content_hash == content_hash and change.acl == acl:
            del self._open[action, document_id]
            return True
        self.moved.append(document_id)
        return False
