"""What a run does with listings, with many deletions, with what has failed before, and with what was purged."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar
from urllib.parse import quote

import pytest
from pydantic import BaseModel, Field, SecretStr

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
from llmapp.errors import CatalogError, EmbedderError, MassDeletionError, ParserCrashedError, TooManyFailuresError
from llmapp.ingestion.access import AccessRules
from llmapp.ingestion.deletions import Brake
from llmapp.ingestion.ingestor import IngestLimits, Ingestor
from llmapp.ingestion.pipeline import Bounds
from llmapp.ingestion.retrying import RetryPolicy
from llmapp.ingestion.source_run import RunOptions
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import PUBLIC, Principal

ACL = (PUBLIC,)


@pytest.fixture(params=["sqlite", "postgres"])
def database_kind(request):
    return request.param


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
    """Its changes, and a checkpoint."""

    snapshot: ClassVar[bool] = True

    def read(self, cursor) -> Iterator:
        yield from super().read(cursor)
        yield Checkpoint(None)


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


def test_removals_above_no_checkpoint_wait_for_one(ingestor, catalog):
    run(ingestor, *upserts("a", "b"), Checkpoint(1))
    with pytest.raises(ConnectorError):
        run(ingestor, Delete("a"), ConnectorError("down"))
    assert ids(catalog) == {"a", "b"}
    run(ingestor, Delete("a"), Checkpoint(2))
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
            yield from Script.read(self, cursor)

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
    run(ingestor, broken_file("2"), kind=Snapshot, retry_now=None)
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


LONG = "".join(chr(0x4E00 + number) for number in range(4_000))


@pytest.mark.parametrize(
    "bad",
    [
        Upsert(Document(id=LONG, uri="bad", text="words")),
        Upsert(document("bad", acl=(f"user:{LONG}",))),
        Upsert(Document(id="a\0b", uri="bad", text="words")),
        Upsert(Document(id="bad", uri="a\0b", text="words")),
        Upsert(document("bad", acl=("user:a\0b",))),
        Upsert(document("bad", title="a\0b")),
        Failure(LONG, "cannot open a\0b", uri="a\0b"),
    ],
    ids=["long id", "long grant", "id", "uri", "grant", "title", "failed"],
)
def test_what_no_database_takes_concerns_one_document_only(ingestor, catalog, bad):
    for attempts in (1, 2):
        report = run(ingestor, Upsert(document("a")), bad, Upsert(document("b")), Delete(LONG[1:]), Checkpoint(1))
        assert (report.added + report.unchanged, report.quarantined) == (2, 1)
        (record,) = catalog.quarantined()
        assert record.attempts == attempts


def test_long_and_odd_metadata_can_be_stored(ingestor, catalog):
    run(ingestor, Upsert(document("a", title=LONG, metadata={"x" * 200: LONG, "nul": "a\0b"}, revision=LONG)), Checkpoint(1))
    assert catalog.quarantined() == []
    assert len(catalog.chunk_ids()) == 1


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


# ---- what a review has found


def moved(names, folder):
    return [
        change
        for name in names
        for change in (Delete(name), Upsert(document(f"{folder}/{name}", f"words of {name}", title=name)))
    ]


@pytest.mark.parametrize("large_chars", [10**9, 1])
def test_documents_that_move_while_others_land_lose_no_chunk_and_are_not_embedded_again(
    catalog, parser, chunker, monkeypatch, large_chars
):
    class Slow(HashEmbedder):
        def embed_documents(self, texts):
            time.sleep(0.05)
            return super().embed_documents(texts)

    monkeypatch.setattr("llmapp.ingestion.preparing.LARGE_CHARS", large_chars)
    embedder = Slow()
    ingestor = Ingestor(catalog, parser, chunker, embedder, bounds=Bounds(batch_chunks=4))
    names = many(9)
    run(ingestor, *(Upsert(document(name, f"words of {name}", title=name)) for name in names), Checkpoint(1))
    embedder.embedded.clear()
    report = run(ingestor, *moved(names, "new"), Upsert(document("late", "x y z", title="late")), Checkpoint(2))
    assert (report.added, report.deleted) == (10, 9)
    assert ids(catalog) == {*(f"new/{name}" for name in names), "late"}
    assert len(embedder.embedded) == 1
    assert catalog.counts().chunks == catalog.counts().embeddings == 10


def test_a_document_that_was_narrowed_is_not_widened_by_rules_before_its_new_content_is_in(ingestor, catalog):
    everyone, ann = Principal("x"), Principal("ann")
    run(ingestor, Upsert(document("a", "for all", revision="1")), Checkpoint(1))
    run(ingestor, Upsert(document("a", " ", revision="2", acl=("user:ann",))), Checkpoint(2))
    for acl in (("group:other", PUBLIC), ACL):
        run(ingestor, Checkpoint(3), acl=acl)
        assert catalog.text("notes", "a", principal=everyone) is None
    run(ingestor, Upsert(document("a", "for ann", revision="3", acl=("user:ann",))), Checkpoint(4))
    assert catalog.text("notes", "a", principal=ann) == "for ann"


def test_a_document_that_follows_the_rules_now_is_narrowed_by_them_though_its_new_content_failed(ingestor, catalog):
    run(ingestor, Upsert(document("a", "for all", acl=(PUBLIC, "user:ann"))), Checkpoint(1))
    run(ingestor, Upsert(document("a", " ")), Checkpoint(2))
    assert catalog.text("notes", "a", principal=Principal("x")) == "for all"
    run(ingestor, Checkpoint(3), acl=("group:hr",))
    assert catalog.text("notes", "a", principal=Principal("x")) is None


def test_a_listed_document_that_goes_back_gets_back_the_access_that_was_taken(ingestor, catalog):
    first = listed("a", "1", acl=(PUBLIC,))
    run(ingestor, first, kind=Snapshot)
    run(ingestor, listed("a", "2", text=" ", acl=("user:ann",)), kind=Snapshot)
    assert catalog.text("notes", "a", principal=Principal("x")) is None
    run(ingestor, first, kind=Snapshot)
    assert catalog.text("notes", "a", principal=Principal("x")) == "some words"


def test_a_read_that_does_not_end_with_a_checkpoint_deletes_nothing(ingestor, catalog):
    class Careless(Script, frozen=True):
        snapshot: ClassVar[bool] = True

    run(ingestor, *upserts("a", "b"), kind=Snapshot)
    for changes in (upserts("a"), (Upsert(document("a")), Checkpoint(None), Upsert(document("c")))):
        assert run(ingestor, *changes, kind=Careless).deleted == 0
    assert ids(catalog) == {"a", "b", "c"}


@pytest.mark.parametrize("junk", [document("b"), "b", None, Upsert(document(3)), Upsert(document(""))], ids=repr)
def test_what_is_no_change_stops_the_run_and_deletes_nothing(ingestor, catalog, junk):
    run(ingestor, *upserts("a", "b"), kind=Snapshot)
    with pytest.raises(ConnectorError):
        run(ingestor, Upsert(document("a")), junk, kind=Snapshot)
    assert ids(catalog) == {"a", "b"}


def test_a_large_document_that_was_cut_short_is_cut_anew_by_another_parser(catalog, chunker, monkeypatch):
    class Parser:
        def __init__(self, version, text):
            self.version, self._text = version, text

        def parse(self, content, *, media_type, name):
            from llmapp.types import ParsedDocument

            return ParsedDocument(self._text, parser=self.version)

        def close(self):
            pass

    class Stopping(HashEmbedder):
        left = 2

        def embed_documents(self, texts):
            self.left -= 1
            if self.left < 0:
                raise EmbedderError("gone")
            return super().embed_documents(texts)

    monkeypatch.setattr("llmapp.ingestion.preparing.LARGE_CHARS", 10)
    text = "\n\n".join(f"# Part {n}\n\nThe words of part {n}." for n in range(9))
    file = Upsert(Document(id="a", uri="a.md", content=lambda: b"bytes", revision="1"))
    embedder = Stopping()
    with pytest.raises(EmbedderError):
        run(Ingestor(catalog, Parser("1", text), chunker, embedder, bounds=Bounds(batch_chunks=2)), file, Checkpoint(1))
    embedder.left = 99
    other = "A new beginning. " + text.replace("words", "new words")
    run(Ingestor(catalog, Parser("2", other), chunker, embedder, bounds=Bounds(batch_chunks=2)), file, Checkpoint(1))
    chunks = catalog.chunks(sorted(catalog.chunk_ids()), principal=Principal("x")).values()
    assert chunks
    assert all(other[chunk.start_char : chunk.end_char] == chunk.text for chunk in chunks)


class Secretive(Script, frozen=True):
    token: SecretStr = SecretStr("s3cr3t-canary")


@pytest.mark.parametrize(
    "last",
    [
        RuntimeError("GET https://api?token=s3cr3t-canary failed"),
        ConnectorError("401 for s3cr3t-canary", hint="not s3cr3t-canary"),
    ],
)
@pytest.mark.parametrize("database_kind", ["sqlite"])  # it looks into the file
def test_no_secret_of_a_connector_gets_into_the_catalog_or_out_of_the_run(ingestor, catalog, last):
    def broken():
        raise RuntimeError("404 for https://api/x?token=s3cr3t-canary")

    bad = Upsert(Document(id="bad", uri="https://api/x?token=s3cr3t-canary", content=broken))
    with pytest.raises(ConnectorError) as error:
        run(ingestor, bad, Failure("f", "no s3cr3t-canary", uri="u?s3cr3t-canary"), last, kind=Secretive)
    told = f"{error.value} {error.value.hint} {catalog.runs()} {catalog.quarantined()}"
    assert "s3cr3t" not in told
    assert "404 for https://api/x?token=***" in told
    assert b"s3cr3t-canary" not in catalog._db.path.read_bytes() + catalog._db.path.with_name("catalog.db-wal").read_bytes()


SECRET = "p'ss\nwörd/1"


class Escaped(Script, frozen=True):
    token: SecretStr = SecretStr(SECRET)


@pytest.mark.parametrize("write", [str, repr, json.dumps, quote, partial(quote, safe="")])
def test_a_secret_is_kept_out_of_the_catalog_however_it_is_written(ingestor, catalog, write):
    run(ingestor, Failure("f", f"401 for token={write(SECRET)}; renew it"), kind=Escaped)
    (record,) = catalog.quarantined()
    assert re.fullmatch(r"401 for token=[\"']?\*\*\*[\"']?; renew it", record.reason)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), CatalogError("full")])
def test_an_error_in_closing_the_source_does_not_hide_what_has_stopped_the_run(ingestor, catalog, stop, monkeypatch):
    class Closing(Script, frozen=True):
        def read(self, cursor):
            try:
                yield Upsert(document("a"))
                yield Upsert(document("b"))
            finally:
                raise OSError("session is closed")

    def stopping(*_):
        raise stop

    monkeypatch.setattr(type(catalog), "stored", stopping)
    with pytest.raises(type(stop)):
        run(ingestor, kind=Closing)


def test_the_brake_adds_up_over_stopped_runs_until_one_passes(ingestor, catalog):
    run(ingestor, *upserts(*many(40)), Checkpoint(0))
    for _ in range(3):
        gone = sorted(ids(catalog))
        pages = [change for n in range(4) for change in (*map(Delete, gone[n * 5 : n * 5 + 5]), Checkpoint(n + 1))]
        with pytest.raises(MassDeletionError) as stopped:
            run(ingestor, *pages)
    assert stopped.value.held == 40
    assert len(ids(catalog)) == 30, "no night has passed the brake"
    run(ingestor, *map(Delete, sorted(ids(catalog))[:20]), Checkpoint(9), confirm_deletions=True)
    assert run(ingestor, Delete(min(ids(catalog))), Checkpoint(10)).deleted == 1


def test_documents_that_were_only_set_aside_do_not_touch_the_brake(ingestor, catalog):
    bad = [Failure(f"q{number}", "locked") for number in range(11)]
    with contextlib.suppress(TooManyFailuresError):
        run(ingestor, *upserts(*many(20)), *bad, Checkpoint(1))
    report = run(ingestor, *upserts(*many(20)), *(Delete(failure.id) for failure in bad), Checkpoint(2))
    assert (report.deleted, catalog.quarantined()) == (0, [])


def test_a_feed_is_not_read_from_its_start_for_ever_for_an_item_that_has_left_it(ingestor, catalog):
    class Feed(Script, frozen=True):
        accumulates: ClassVar[bool] = True

    cursors = []
    run(ingestor, *upserts("a"), Failure("gone", "503"), Checkpoint(1), kind=Feed)
    for number in range(3):
        run(ingestor, *upserts("a"), Checkpoint(number + 2), kind=Feed, cursors=cursors)
    assert cursors == [None, 2, 3]
    assert (ids(catalog), catalog.quarantined()) == ({"a"}, [])


def test_a_read_that_knows_of_a_gap_is_made_again(ingestor):
    cursors = []
    run(ingestor, *upserts("a"), Checkpoint(1), cursors=cursors)
    run(ingestor, *upserts("b"), Checkpoint(2, complete=False), cursors=cursors)
    run(ingestor, *upserts("b"), Checkpoint(3), cursors=cursors)
    run(ingestor, Checkpoint(3), cursors=cursors)
    assert cursors == [None, 1, 1, 3]


def test_asking_again_has_an_incremental_source_bring_what_no_parser_could_read(catalog, chunker, embedder):
    from llmapp.errors import ParseError

    parser = CountingParser(ParseError("broken"))
    ingestor = at(NOW, parser, catalog, chunker, embedder)
    run(ingestor, broken_file(), Checkpoint(1))
    run(ingestor, broken_file(), Checkpoint(1), retry_now=None)
    assert parser.calls == 2


@pytest.mark.parametrize("change", [Failure("a", "locked"), Upsert(document("a", " "))], ids=["failure", "no revision"])
def test_what_was_let_go_of_stays_so_while_it_fails_in_the_same_way(ingestor, catalog, change):
    run(ingestor, change, kind=Snapshot)
    catalog.drop_quarantined("notes", ["a"])
    report = run(ingestor, change, kind=Snapshot)
    assert (catalog.quarantined(), report.quarantined, report.status) == ([], 0, "completed")
    run(ingestor, Upsert(document("a", "\n")), kind=Snapshot)
    assert len(catalog.quarantined()) == 1


def test_settings_that_are_sets_are_the_same_in_every_process():
    from llmapp.ingestion.listening import settings_of

    class Boards(Script, frozen=True):
        names: frozenset[str] = frozenset("abcdefghij")
        token: SecretStr = SecretStr("x")

    assert settings_of(Boards(changes=())) == settings_of(Boards(changes=(), names=frozenset("jihgfedcba")))
    assert '["a", "b"' in settings_of(Boards(changes=()))


def test_a_purged_document_that_fails_is_not_named_again(ingestor, catalog):
    run(ingestor, *upserts("a", "b"), Checkpoint(1))
    catalog.purge("notes", "a")
    unread = Listed("a", "9", lambda: pytest.fail("read"))
    report = run(ingestor, Failure("a", "letter of Mr X"), unread, Upsert(document("b")), Checkpoint(2))
    assert (report.purged, catalog.quarantined()) == (2, [])


def test_documents_that_expand_are_not_all_prepared_at_once(catalog, chunker, embedder):
    class Expanding:
        version = "1"

        def parse(self, content, *, media_type, name):
            from llmapp.types import ParsedDocument

            prepared.append(name)
            return ParsedDocument("word " * 2000, parser="1")

        def close(self):
            pass

    class Watching(HashEmbedder):
        def embed_documents(self, texts):
            seen.append(len(prepared) - len(ids(catalog)))
            return super().embed_documents(texts)

    prepared, seen = [], []
    bounds = Bounds(batch_chunks=60, content_bytes=100_000)
    ingestor = Ingestor(catalog, Expanding(), chunker, Watching(), bounds=bounds)
    run(
        ingestor,
        *(Upsert(Document(id=str(n), uri=f"{n}.txt", content=lambda: b"x", revision="1")) for n in range(40)),
        Checkpoint(1),
    )
    assert len(ids(catalog)) == 40
    assert max(seen) <= 8


def test_counts_are_of_documents_also_when_the_rules_have_changed(ingestor):
    run(ingestor, *upserts(*many(5)), kind=Snapshot)
    report = run(ingestor, *upserts(*many(5)), kind=Snapshot, acl=("group:hr",))
    assert (report.access_changed, report.unchanged) == (5, 0)


def test_a_fact_that_no_json_can_hold_is_a_failure_that_lasts(ingestor, catalog):
    run(ingestor, Upsert(document("a", metadata={"score": float("nan")})), Checkpoint(1))
    (record,) = catalog.quarantined()
    assert (record.code, record.retry) == ("invalid_document", "never")
