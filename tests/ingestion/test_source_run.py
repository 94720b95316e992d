"""What a run does with listings, with many deletions, with what has failed before, and with what was purged."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from pydantic import BaseModel, Field

from llmapp.connector import (
    Checkpoint,
    ConnectorError,
    CursorRejectedError,
    Delete,
    Document,
    Failure,
    Listed,
    SourceUnavailableError,
    Upsert,
)
from llmapp.errors import MassDeletionError, ParserCrashedError, TooManyFailuresError
from llmapp.ingestion.access import AccessRules
from llmapp.ingestion.deletions import Brake
from llmapp.ingestion.ingestor import IngestLimits, Ingestor
from llmapp.ingestion.retrying import RetryPolicy
from llmapp.ingestion.source_run import RunOptions
from llmapp.types import PUBLIC, Principal

ACL = (PUBLIC,)


class Script(BaseModel, frozen=True):
    changes: tuple = Field(exclude=True)
    cursors: list = Field(default=[], exclude=True)

    def read(self, cursor) -> Iterator:
        self.cursors.append(cursor)
        for change in self.changes:
            if isinstance(change, BaseException):
                raise change
            yield change


class Snapshot(Script, frozen=True):
    snapshot: ClassVar[bool] = True


def document(name, text="some words", **fields):
    return Document(id=name, uri=f"notes/{name}.txt", text=text, **fields)


def upserts(*names):
    return tuple(Upsert(document(name)) for name in names)


def run(ingestor, *changes, kind=Script, acl=ACL, cursors=None, **options):
    connector = kind(changes=changes, cursors=[])
    try:
        return ingestor.run("notes", connector, options=RunOptions(AccessRules(acl), **options))
    finally:
        (cursors if cursors is not None else []).extend(connector.cursors)


def ids(catalog):
    return catalog.document_ids("notes")


# ---- listings


def listed(name, revision="1", text="some words", read=None, **fields):
    return Listed(name, revision, read or (lambda: document(name, text, **fields)))


def test_a_listed_document_is_read_once_for_each_revision(ingestor, catalog):
    reads = []

    def change(revision, text):
        return Listed("a", revision, lambda: reads.append(revision) or document("a", text))

    for revision, text in (("1", "one"), ("1", "one"), ("2", "two"), ("2", "two")):
        run(ingestor, change(revision, text), Checkpoint(None), kind=Snapshot)
    assert reads == ["1", "2"]
    assert catalog.text("notes", "a", principal=Principal("x")) == "two"


def test_what_a_listing_no_longer_names_is_deleted_and_the_rest_is_not_read(ingestor, catalog):
    run(ingestor, listed("a"), listed("b"), kind=Snapshot)
    unread = listed("a", read=lambda: pytest.fail("read again"))
    assert run(ingestor, unread, kind=Snapshot).deleted == 1
    assert ids(catalog) == {"a"}


def test_a_listed_document_that_cannot_be_read_is_set_aside_alone(ingestor, catalog):
    def broken():
        raise SourceUnavailableError("503 from the server")

    report = run(ingestor, listed("a"), listed("b", read=broken), listed("c", read=lambda: document("other")), kind=Snapshot)
    assert (report.added, report.quarantined) == (1, 2)
    reasons = {record.document_id: record.reason for record in catalog.quarantined()}
    assert reasons["b"] == "503 from the server"
    assert "'other'" in reasons["c"]
    assert run(ingestor, listed("a"), listed("b"), listed("c"), kind=Snapshot).added == 2
    assert catalog.quarantined() == []


def test_the_access_list_of_a_listed_document_is_its_own_or_that_of_the_source(ingestor, catalog):
    run(ingestor, listed("own", acl=("user:ann",)), listed("none"), kind=Snapshot)
    run(ingestor, listed("own"), listed("none"), kind=Snapshot, acl=("group:hr",))
    assert catalog.text("notes", "own", principal=Principal("ann"))
    assert catalog.text("notes", "none", principal=Principal("ann")) is None
    assert catalog.text("notes", "none", principal=Principal("bo", ("hr",)))


# ---- deletions


def many(count):
    return [f"d{number:02}" for number in range(count)]


@pytest.mark.parametrize(
    ("held", "kept", "stops"),
    [(40, 28, False), (40, 27, True), (30, 20, False), (12, 1, True), (11, 1, False), (100, 75, False)],
)
def test_the_brake_stops_a_snapshot_that_would_lose_too_much(ingestor, catalog, held, kept, stops):
    run(ingestor, *upserts(*many(held)), kind=Snapshot)
    if stops:
        with pytest.raises(MassDeletionError) as stopped:
            run(ingestor, *upserts(*many(kept), "new"), kind=Snapshot)
        assert (len(stopped.value.documents), stopped.value.held) == (held - kept, held)
        assert "--confirm-deletions notes" in stopped.value.hint
        assert ids(catalog) == {*many(held), "new"}
        assert run(ingestor, *upserts(*many(kept), "new"), kind=Snapshot, confirm_deletions=True).deleted == held - kept
    else:
        assert run(ingestor, *upserts(*many(kept)), kind=Snapshot).deleted == held - kept
    assert ids(catalog) - {"new"} == set(many(kept))


def test_the_brake_stops_a_source_that_names_its_removals_and_its_cursor_stays(ingestor, catalog):
    run(ingestor, *upserts(*many(40)), Checkpoint(1))
    doomed = [Delete(name) for name in many(40)[:20]]
    with pytest.raises(MassDeletionError):
        run(ingestor, Upsert(document("new")), *doomed, Checkpoint(2))
    assert ids(catalog) == {*many(40), "new"}
    cursors = []
    assert run(ingestor, *doomed, Checkpoint(2), confirm_deletions=True, cursors=cursors).deleted == 20
    assert cursors == [1]


def test_the_brake_adds_up_the_deletions_of_one_run(ingestor, catalog):
    run(ingestor, *upserts(*many(40)), Checkpoint(1))
    pages = [
        change for n in range(4) for change in (*(Delete(name) for name in many(40)[n * 5 : n * 5 + 5]), Checkpoint(2 + n))
    ]
    with pytest.raises(MassDeletionError):
        run(ingestor, *pages)
    assert len(ids(catalog)) == 30
    assert catalog.cursor("notes")["cursor"] == 3


def test_a_document_that_is_deleted_and_comes_back_before_the_checkpoint_stays(ingestor, catalog):
    run(ingestor, *upserts("a", "b"), Checkpoint(1))
    report = run(ingestor, Delete("a"), Delete("b"), Upsert(document("a", "again")), Checkpoint(2))
    assert (report.deleted, report.changed) == (1, 1)
    assert ids(catalog) == {"a"}


def test_removals_that_were_named_hold_though_the_source_fails_later(ingestor, catalog):
    run(ingestor, *upserts("a", "b"), Checkpoint(1))
    with pytest.raises(ConnectorError):
        run(ingestor, Delete("a"), ConnectorError("down"))
    assert ids(catalog) == {"b"}


def test_limits_of_the_brake_can_be_set(catalog, parser, chunker, embedder):
    ingestor = Ingestor(catalog, parser, chunker, embedder, limits=IngestLimits(brake=Brake(share=0.0, documents=0)))
    run(ingestor, *upserts("a", "b"), kind=Snapshot)
    with pytest.raises(MassDeletionError):
        run(ingestor, *upserts("a"), kind=Snapshot)


def test_an_empty_listing_deletes_everything_only_when_that_is_confirmed(ingestor, catalog):
    run(ingestor, *upserts(*many(3)), kind=Snapshot)
    assert run(ingestor, Checkpoint(None), kind=Snapshot).deleted == 0
    assert run(ingestor, Checkpoint(None), kind=Snapshot, confirm_deletions=True).deleted == 3
    assert ids(catalog) == set()


def test_a_cursor_that_the_source_no_longer_takes_has_it_read_from_the_start(ingestor, catalog):
    class Rewritten(Script, frozen=True):
        def read(self, cursor):
            if cursor is not None:
                raise CursorRejectedError("history was rewritten")
            yield from super().read(cursor)

    run(ingestor, *upserts("a", "gone"), Checkpoint("old"))
    cursors = []
    report = run(ingestor, *upserts("a", "new"), Checkpoint("new"), kind=Rewritten, cursors=cursors)
    assert (report.unchanged, report.added, report.deleted, cursors) == (1, 1, 1, [None])
    assert catalog.cursor("notes")["cursor"] == "new"


# ---- what failed before


def at(moment, parser, catalog, chunker, embedder, **settings):
    policy = RetryPolicy(first_s=100, jitter=0, now=lambda: moment)
    return Ingestor(catalog, parser, chunker, embedder, policy=policy, **settings)


NOW = datetime(2026, 11, 24, tzinfo=UTC)


class CountingParser:
    version = "counting-1"

    def __init__(self, error):
        self.error, self.calls = error, 0

    def parse(self, content, *, media_type, name):
        self.calls += 1
        raise self.error

    def close(self):
        pass


def broken_file(revision="1"):
    return Upsert(Document(id="a", uri="a.txt", content=lambda: b"words", revision=revision))


def test_a_transient_failure_waits_longer_each_time_and_is_tried_when_due(catalog, chunker, embedder):
    parser = CountingParser(ParserCrashedError("killed"))
    seen = []
    for seconds in (0, 50, 100, 250, 299, 301, 10_000):
        ingestor = at(NOW + timedelta(seconds=seconds), parser, catalog, chunker, embedder)
        report = run(ingestor, broken_file(), Upsert(document("good")), kind=Snapshot)
        seen.append((report.quarantined, report.still_quarantined, parser.calls))
    assert seen == [(1, 0, 1), (0, 1, 1), (1, 0, 2), (0, 1, 2), (0, 1, 2), (1, 0, 3), (1, 0, 4)]
    assert catalog.quarantined()[0].attempts == 4


def test_what_no_parser_reads_is_not_parsed_again_until_it_changes_or_somebody_asks(catalog, chunker, embedder):
    from llmapp.errors import ParseError

    parser = CountingParser(ParseError("broken"))
    ingestor = at(NOW, parser, catalog, chunker, embedder)
    for _ in range(3):
        run(ingestor, broken_file(), kind=Snapshot)
    assert parser.calls == 1
    run(ingestor, broken_file("2"), kind=Snapshot)
    assert (parser.calls, catalog.quarantined()[0].attempts) == (2, 1)
    run(ingestor, broken_file("2"), kind=Snapshot, retry_now=True)
    assert (parser.calls, catalog.quarantined()[0].attempts) == (3, 2)


def test_another_parser_tries_what_the_last_one_could_not_read(catalog, chunker, embedder, parser):
    from llmapp.errors import ParseError

    run(at(NOW, CountingParser(ParseError("broken")), catalog, chunker, embedder), broken_file(), Checkpoint(1))
    cursors = []
    report = run(at(NOW, parser, catalog, chunker, embedder), broken_file(), Checkpoint(1), cursors=cursors)
    assert (report.added, catalog.quarantined(), cursors) == (1, [], [None])


def test_what_was_let_go_of_is_neither_listed_nor_tried_nor_counted_until_it_changes(catalog, chunker, embedder):
    parser = CountingParser(ParserCrashedError("killed"))
    ingestor = at(NOW, parser, catalog, chunker, embedder)
    run(ingestor, broken_file(), kind=Snapshot)
    catalog.drop_quarantined("notes", ["a"])
    late = at(NOW + timedelta(days=9), parser, catalog, chunker, embedder)
    report = run(late, broken_file(), kind=Snapshot)
    assert (catalog.quarantined(), parser.calls, report.still_quarantined, report.status) == ([], 1, 0, "completed")
    run(late, broken_file("2"), kind=Snapshot)
    assert (len(catalog.quarantined()), parser.calls) == (1, 2)


def test_a_failure_that_the_cursor_remembers_does_not_have_the_source_read_from_its_start(ingestor):
    run(ingestor, Upsert(document("a")), Failure("b", "503", remembered=True), Checkpoint(1))
    cursors = []
    run(ingestor, Checkpoint(2), cursors=cursors)
    assert cursors == [1]
    run(ingestor, Failure("b", "503"), Checkpoint(3))
    run(ingestor, *upserts("a"), Checkpoint(4), cursors=cursors)
    assert cursors == [1, None]


@pytest.mark.parametrize(("good", "bad", "fails"), [(10, 10, False), (10, 11, True), (40, 11, False), (30, 11, True)])
def test_a_run_with_too_many_failures_has_failed_with_what_was_good_committed(ingestor, catalog, good, bad, fails):
    changes = (*upserts(*many(good)), *(Failure(f"x{number}", "locked") for number in range(bad)), Checkpoint(1))
    if fails:
        with pytest.raises(TooManyFailuresError, match=f"{bad} of {good + bad}"):
            run(ingestor, *changes)
    else:
        run(ingestor, *changes)
    assert catalog.runs()[0].status == ("failed" if fails else "completed_with_failures")
    assert ids(catalog) == set(many(good))
    assert catalog.cursor("notes")["cursor"] == 1


# ---- what was purged


def test_a_purged_document_is_kept_out_until_the_purge_is_lifted(ingestor, catalog):
    run(ingestor, *upserts("a", "b"), kind=Snapshot)
    catalog.purge("notes", "a")
    report = run(ingestor, *upserts("a", "b"), kind=Snapshot)
    assert (report.purged, report.unchanged, ids(catalog)) == (1, 1, {"b"})
    catalog.lift_purge("notes", "a")
    assert run(ingestor, *upserts("a", "b"), kind=Snapshot).added == 1


# ---- access rules


def test_a_side_file_decides_who_reads_what_and_costs_no_embedding_when_it_changes(ingestor, catalog, embedder):
    def sync(rules):
        changes = (Upsert(document("hr/pay")), Upsert(document("news")), Checkpoint(1))
        return ingestor.run("notes", Script(changes=changes), options=RunOptions(rules))

    sync(AccessRules(ACL, {"hr/*": ("group:hr",)}))
    staff, hr = Principal("x"), Principal("y", ("hr",))
    assert catalog.text("notes", "hr/pay", principal=staff) is None
    assert catalog.text("notes", "hr/pay", principal=hr)
    before = list(embedder.embedded)
    report = sync(AccessRules(ACL, {"hr/*": ("tenant:acme",)}))
    assert (report.access_changed, report.changed, embedder.embedded) == (1, 0, before)
    assert catalog.text("notes", "hr/pay", principal=hr) is None
    assert catalog.text("notes", "hr/pay", principal=Principal("z", tenant="acme"))


def test_a_document_without_any_rule_is_visible_to_nobody_and_the_report_says_so(ingestor, catalog):
    report = run(ingestor, *upserts("a", "b"), acl=())
    assert report.hidden == 2
    assert catalog.text("notes", "a", principal=Principal("local")) is None


@pytest.mark.parametrize("grant", ["staff", "groups:hr", "user:", "PUBLIC"])
def test_a_grant_of_no_known_form_hides_the_document_rather_than_guess(ingestor, catalog, grant):
    run(ingestor, Upsert(document("a")))
    report = run(ingestor, Upsert(document("a", acl=(grant,))))
    assert (report.quarantined, report.hidden) == (1, 1)
    assert grant in catalog.quarantined()[0].reason
