import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from pydantic import BaseModel, Field

from llmapp.catalog.catalog import Catalog
from llmapp.connector import Checkpoint, ConnectorError, Delete, Document, Failure, Upsert
from llmapp.errors import BudgetExceededError, EmbedderError, EmbedderMismatchError, ParserCrashedError, TooManyFailuresError
from llmapp.filters import parse_filter
from llmapp.ingestion.ingestor import Ingestor
from llmapp.ingestion.parsing import ProcessParser
from llmapp.ingestion.pipeline import Bounds
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import PUBLIC, Principal
from llmapp_connectors.files import Files

LOCAL = Principal("local")
ACL = (PUBLIC,)


class Script(BaseModel, frozen=True):
    """Yields what it was given; an exception among the changes is raised. What it yields is no setting of it."""

    changes: tuple = Field(exclude=True)
    cursors: list = Field(default=[], exclude=True)
    setting: str = ""

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


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "folder"
    made.mkdir()
    return made


def document(name, text="some words", **fields):
    return Document(id=name, uri=f"notes/{name}.txt", text=text, **fields)


def upserts(*documents):
    return tuple(Upsert(each) for each in documents)


def run(ingestor, *changes, kind=Script, acl=ACL):
    return ingestor.run("notes", kind(changes=changes), default_acl=acl)


def texts(catalog, principal=LOCAL):
    return {name: catalog.text("notes", name, principal=principal) for name in catalog.document_ids("notes")}


# ---- what changes, and what does not


def test_files_become_documents_with_chunks(ingestor, catalog, folder):
    (folder / "a.md").write_text("# Claims\n\nReport water damage within 72 hours.")
    report = ingestor.run("docs", Files(path=folder), default_acl=ACL)
    assert (report.added, report.chunks, report.embedded_texts, report.status) == (1, 1, 1, "completed")
    (found, _), *_ = catalog.match("water", principal=LOCAL, top_k=5)
    chunk = catalog.chunks([found], principal=LOCAL)[found]
    assert (chunk.title, chunk.heading, chunk.page) == ("Claims", "Claims", None)
    assert catalog.text("docs", "a.md", principal=LOCAL)[chunk.start_char : chunk.end_char] == chunk.text
    assert report.embedded_tokens == 2 + len(
        ["Claims", "#", "Claims", "Report", "water", "damage", "within", "72", "hours", "."]
    )


def test_an_unchanged_or_touched_file_is_neither_parsed_nor_embedded(ingestor, catalog, embedder, folder, monkeypatch):
    (folder / "a.txt").write_text("words")
    ingestor.run("docs", Files(path=folder), default_acl=ACL)
    os.utime(folder / "a.txt", (1, 1))
    monkeypatch.setattr(ProcessParser, "parse", lambda *_, **__: pytest.fail("parsed again"))
    before, digest = list(embedder.embedded), catalog.digest()
    report = ingestor.run("docs", Files(path=folder), default_acl=ACL)
    assert (report.unchanged, report.added, report.changed, report.embedded_texts) == (1, 0, 0, 0)
    assert embedder.embedded == before
    assert catalog.digest() == digest


def test_content_is_not_read_when_the_revision_is_the_stored_one(ingestor):
    first = Document(id="a", uri="a.txt", content=lambda: b"words", revision="1")
    run(ingestor, Upsert(first), Checkpoint(1))
    again = replace(first, content=lambda: pytest.fail("read again"))
    assert run(ingestor, Upsert(again), Checkpoint(1)).unchanged == 1


def test_a_new_revision_of_the_same_content_is_only_noted(ingestor, catalog, embedder):
    run(ingestor, Upsert(document("a", revision="1")))
    before = list(embedder.embedded)
    assert run(ingestor, Upsert(document("a", revision="2"))).unchanged == 1
    assert embedder.embedded == before
    assert catalog.stored("notes", "a").revision.startswith("2@")


def test_a_changed_text_replaces_the_old_one(ingestor, catalog):
    run(ingestor, *upserts(document("a", "old words"), document("b", "other words")))
    report = run(ingestor, *upserts(document("a", "new words"), document("b", "other words")))
    assert (report.changed, report.unchanged) == (1, 1)
    assert texts(catalog) == {"a": "new words", "b": "other words"}
    assert catalog.match("old", principal=LOCAL, top_k=5) == []


def test_several_changed_documents_of_one_batch_keep_their_vectors(ingestor, catalog):
    names = [f"d{n}" for n in range(5)]
    run(ingestor, *upserts(*(document(name, f"old {name}") for name in names)))
    assert run(ingestor, *upserts(*(document(name, f"new {name}") for name in names))).changed == 5
    table = catalog.live_vectors()
    assert len(table.live_slots()) == 5
    assert np.allclose(np.linalg.norm(table.vectors, axis=1), 1)


def test_documents_that_swap_their_texts_keep_their_vectors(ingestor, catalog):
    run(ingestor, *upserts(document("a", "one", title="t"), document("b", "two", title="t")))
    report = run(ingestor, *upserts(document("a", "two", title="t"), document("b", "one", title="t")))
    assert (report.changed, report.embedded_texts) == (2, 0)
    assert len(catalog.live_vectors().live_slots()) == 2


def test_metadata_that_change_alone_are_filtered_by_and_embed_nothing(ingestor, catalog):
    run(ingestor, *upserts(document("a", "words", metadata={"year": 2023})))
    report = run(ingestor, *upserts(document("a", "words", metadata={"year": 2024})))
    assert (report.changed, report.embedded_texts) == (1, 0)
    assert len(catalog.readable_rows(LOCAL, parse_filter("year = 2024"))) == 1
    assert len(catalog.readable_rows(LOCAL, parse_filter("year = 2023"))) == 0


@pytest.mark.parametrize(
    "facts", [{"title": "Other"}, {"metadata": {"year": 2024}}, {"media_type": "text/csv"}, {"uri": "elsewhere/a.txt"}]
)
def test_a_changed_fact_is_seen_though_the_revision_is_the_same(ingestor, facts):
    first = document("a", revision="1")
    run(ingestor, Upsert(first))
    assert run(ingestor, Upsert(replace(first, **facts))).changed == 1


@pytest.mark.parametrize("revision", ["1", None])
def test_a_changed_access_list_alone_costs_no_embedding_and_no_parsing(ingestor, catalog, embedder, monkeypatch, revision):
    first = Document(id="a", uri="a.txt", content=lambda: b"some words", revision=revision)
    run(ingestor, Upsert(first))
    monkeypatch.setattr(ProcessParser, "parse", lambda *_, **__: pytest.fail("parsed again"))
    before = list(embedder.embedded)
    report = run(ingestor, Upsert(replace(first, acl=("user:ann",))))
    assert (report.changed, report.access_changed, report.unchanged, embedder.embedded) == (0, 1, 0, before)
    assert texts(catalog) == {"a": None}
    assert texts(catalog, Principal("ann")) == {"a": "some words"}


def test_a_changed_access_setting_of_the_source_is_seen(ingestor, catalog):
    run(ingestor, Upsert(document("a", revision="1")))
    assert run(ingestor, Upsert(document("a", revision="1")), acl=("group:staff",)).access_changed == 1
    assert texts(catalog) == {"a": None}
    assert texts(catalog, Principal("bo", ("staff",))) == {"a": "some words"}


def test_an_empty_access_list_is_for_nobody(ingestor, catalog):
    run(ingestor, Upsert(document("a", acl=())))
    assert texts(catalog) == {"a": None}


def test_equal_texts_are_embedded_once(ingestor, embedder):
    report = run(ingestor, *upserts(*(document(str(n), "the same", title="t") for n in range(20))))
    assert (report.chunks, report.embedded_texts, len(embedder.embedded)) == (20, 1, 1)


def test_another_embedder_is_refused(ingestor, catalog, parser, chunker):
    run(ingestor, Upsert(document("a")))
    with pytest.raises(EmbedderMismatchError, match="hash/64"):
        run(Ingestor(catalog, parser, chunker, HashEmbedder(dim=32)), Upsert(document("a")))


def test_the_last_word_on_a_document_wins(ingestor, catalog):
    run(ingestor, Upsert(document("a", "kept", revision="1")))
    run(ingestor, Upsert(document("a", "between", revision="2")), Upsert(document("a", "kept", revision="3")))
    assert texts(catalog) == {"a": "kept"}
    run(ingestor, Upsert(document("a", "back", revision="4")), Delete("a"))
    assert texts(catalog) == {}


def test_the_same_documents_give_the_same_digest_in_any_order_and_batch_size(tmp_path, parser, chunker):
    documents = [document(f"d{n}", f"text number {n}. " * (n * 9)) for n in range(1, 12)]
    digests = set()
    for batch_chunks, order in ((1, documents), (3, documents[::-1]), (1000, sorted(documents, key=lambda d: d.text[::-1]))):
        catalog = Catalog(tmp_path / f"{batch_chunks}.db")
        run(Ingestor(catalog, parser, chunker, HashEmbedder(), bounds=Bounds(batch_chunks=batch_chunks)), *upserts(*order))
        digests.add(catalog.digest())
        catalog.close()
    assert len(digests) == 1


def test_windows_line_ends_become_newlines(ingestor, catalog):
    run(ingestor, Upsert(document("a", "one\r\ntwo")))
    assert texts(catalog) == {"a": "one\ntwo"}


def test_a_document_without_title_is_named_after_its_uri(ingestor, catalog):
    run(ingestor, Upsert(Document(id="7", uri="https://host/Claims%20guide.html?x=1#top", text="words")))
    (chunk_id,) = catalog.chunk_ids()
    assert catalog.chunks([chunk_id], principal=LOCAL)[chunk_id].title == "Claims%20guide"


# ---- what disappears


def test_what_a_snapshot_no_longer_mentions_is_deleted(ingestor, catalog):
    run(ingestor, *upserts(document("a"), document("b")), kind=Snapshot)
    report = run(ingestor, Upsert(document("a")), Checkpoint(None), kind=Snapshot)
    assert (report.deleted, report.unchanged) == (1, 1)
    assert set(texts(catalog)) == {"a"}


def test_a_source_without_snapshot_deletes_only_what_it_says(ingestor, catalog):
    run(ingestor, *upserts(document("a"), document("b"), document("c")), Checkpoint(1))
    assert run(ingestor, Delete("b"), Delete("unknown"), Checkpoint(2)).deleted == 1
    assert set(texts(catalog)) == {"a", "c"}


def test_a_failed_document_counts_as_mentioned(ingestor, catalog):
    run(ingestor, *upserts(document("a"), document("b")), kind=Snapshot)
    report = run(ingestor, Upsert(document("a")), Failure("b", "locked"), kind=Snapshot)
    assert (report.deleted, report.quarantined) == (0, 1)
    assert set(texts(catalog)) == {"a", "b"}


def test_a_listing_that_fails_midway_deletes_nothing(ingestor, catalog):
    run(ingestor, *upserts(document("a"), document("b")), kind=Snapshot)
    with pytest.raises(ConnectorError):
        run(ingestor, Upsert(document("a")), ConnectorError("unreachable"), kind=Snapshot)
    assert set(texts(catalog)) == {"a", "b"}


def test_an_empty_listing_deletes_nothing_and_says_so(ingestor, catalog):
    run(ingestor, Upsert(document("a")), kind=Snapshot)
    report = run(ingestor, Checkpoint(None), kind=Snapshot)
    assert (report.deleted, report.found_nothing) == (0, True)
    assert set(texts(catalog)) == {"a"}


def test_a_deleted_file_is_deleted(ingestor, catalog, folder):
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(f"words of {name}")
    ingestor.run("docs", Files(path=folder), default_acl=ACL)
    (folder / "a.txt").unlink()
    assert ingestor.run("docs", Files(path=folder), default_acl=ACL).deleted == 1
    assert catalog.document_ids("docs") == {"b.txt"}


def test_other_sources_are_left_alone(ingestor, catalog):
    ingestor.run("other", Snapshot(changes=upserts(document("x"))), default_acl=ACL)
    run(ingestor, Upsert(document("a")), kind=Snapshot)
    assert catalog.document_ids("other") == {"x"}


# ---- what fails


def unreadable():
    raise OSError("disk on fire")


@pytest.mark.parametrize(
    ("bad", "stage", "code"),
    [
        (Document(id="bad", uri="bad.txt", content=unreadable), "read", "unexpected"),
        (Document(id="bad", uri="bad.txt"), "read", "source_failed"),
        (Document(id="bad", uri="bad.txt", text="x", content=lambda: b"x"), "read", "source_failed"),
        (Document(id="bad", uri="bad.txt", text="lone \ud800"), "read", "unexpected"),
        (Document(id="bad", uri="bad.txt", text=" \n"), "parse", "parse_failed"),
        (Document(id="bad", uri="bad.txt", text="nul \0"), "parse", "parse_failed"),
        (Document(id="bad", uri="bad.pdf", content=lambda: b"%PDF-1.4"), "parse", "parse_failed"),
        (Document(id="bad", uri="bad.png", content=lambda: b"\x89PNG\r\n\x1a\n"), "parse", "unsupported_media_type"),
    ],
)
def test_a_bad_document_is_set_aside_with_its_reason_and_the_run_goes_on(ingestor, catalog, bad, stage, code):
    report = run(ingestor, *upserts(document("a"), bad, document("b")), Checkpoint(1))
    assert (report.added, report.quarantined, report.status) == (2, 1, "completed_with_failures")
    (record,) = catalog.quarantined("notes")
    assert (record.document_id, record.stage, record.code) == ("bad", stage, code)
    assert record.reason
    assert "\n" not in record.reason


@pytest.mark.parametrize(
    "bad",
    [
        Upsert(Document(id="bad", uri="\udcff", text="words")),
        Upsert(Document(id="\udcff", uri="bad", text="words")),
        Upsert(document("bad", revision="\udcff")),
        Upsert(document("bad", acl=("user:\udcff",))),
        Upsert(document("bad", title="\udcff")),
        Upsert(document("bad", metadata={"name": "\udcff"})),
        Failure("bad", "cannot open \udcff", uri="\udcff"),
        Failure("\udcff", "cannot open"),
    ],
    ids=["uri", "id", "revision", "acl", "title", "metadata", "error", "failed id"],
)
def test_a_lone_surrogate_concerns_one_document_only(ingestor, catalog, bad):
    for _ in range(2):
        report = run(ingestor, Upsert(document("a")), bad, Upsert(document("b")), Delete("\udcfe"), Checkpoint(1))
        assert (report.added + report.unchanged, report.quarantined) == (2, 1)
    (record,) = catalog.quarantined()
    assert record.document_id in ("bad", "\\udcff")
    assert record.attempts == 2


def test_a_crash_of_the_parser_is_set_aside(catalog, chunker, embedder, parser):
    class Crashing:
        version = "crashing"

        def parse(self, content, *, media_type, name):
            raise ParserCrashedError("ended with signal 9")

    run(Ingestor(catalog, Crashing(), chunker, embedder), Upsert(Document(id="a", uri="a.txt", content=lambda: b"x")))
    assert [record.code for record in catalog.quarantined()] == ["parser_crashed"]


def test_a_document_that_the_embedder_cannot_take_fails_alone(catalog, parser, chunker):
    class Picky(HashEmbedder):
        def embed_documents(self, texts):
            vectors = super().embed_documents(texts)
            vectors[[n for n, text in enumerate(texts) if "poison" in text]] = np.nan
            return vectors

    ingestor = Ingestor(catalog, parser, chunker, Picky(), bounds=Bounds(batch_chunks=100))
    report = run(ingestor, *upserts(document("a", "good"), document("b", "poison"), document("c", "fine")))
    assert (report.added, report.quarantined) == (2, 1)
    assert [(record.document_id, record.stage) for record in catalog.quarantined()] == [("b", "embed")]


def test_a_document_that_recovers_leaves_quarantine(ingestor, catalog):
    run(ingestor, Upsert(document("a", " ")))
    run(ingestor, Upsert(document("a", "words")))
    assert catalog.quarantined() == []


def test_a_document_that_fails_and_goes_back_to_its_old_revision_leaves_quarantine(ingestor, catalog):
    run(ingestor, Upsert(document("a", "words", revision="1")))
    run(ingestor, Upsert(document("a", " ", revision="2")))
    assert len(catalog.quarantined()) == 1
    assert run(ingestor, Upsert(document("a", "words", revision="1"))).unchanged == 1
    assert catalog.quarantined() == []


def test_a_failed_document_that_is_gone_from_a_snapshot_leaves_quarantine(ingestor, catalog):
    run(ingestor, *upserts(document("a"), document("b", " ")), kind=Snapshot)
    run(ingestor, Upsert(document("a")), kind=Snapshot)
    assert catalog.quarantined() == []


def test_a_document_that_now_fails_keeps_its_last_good_version(ingestor, catalog):
    run(ingestor, Upsert(document("a", "good")))
    run(ingestor, Upsert(document("a", " ")))
    assert texts(catalog) == {"a": "good"}


def test_a_document_that_now_fails_keeps_no_grant_that_its_new_access_list_lacks(ingestor, catalog):
    run(ingestor, Upsert(document("a", "good", acl=("user:ann", "group:hr"))))
    run(ingestor, Upsert(document("a", " ", acl=("group:hr", PUBLIC))))
    assert len(catalog.quarantined()) == 1
    assert texts(catalog) == texts(catalog, Principal("ann")) == {"a": None}
    assert texts(catalog, Principal("bo", ("hr",))) == {"a": "good"}


def test_a_document_whose_access_list_cannot_be_told_is_for_nobody_and_loses_nothing(ingestor, catalog, embedder):
    run(ingestor, Upsert(document("a", "good")))
    run(ingestor, Upsert(document("a", "good", acl=("user:\udcff",))))
    assert texts(catalog) == texts(catalog, Principal("\udcff")) == {"a": None}
    assert len(catalog.quarantined()) == 1
    before = len(embedder.embedded)
    run(ingestor, Upsert(document("a", "good")))
    assert (texts(catalog), catalog.quarantined(), len(embedder.embedded)) == ({"a": "good"}, [], before)


@pytest.mark.parametrize(
    "changes",
    [
        (Failure("a", "locked"), Checkpoint(2)),
        (Checkpoint(2),),
        (ConnectorError("unreachable"),),
        (Upsert(document("b")), KeyboardInterrupt()),
    ],
    ids=["failure", "nothing", "error", "crash"],
)
def test_a_narrowed_setting_of_the_source_holds_whatever_the_source_says_of_a_document(ingestor, catalog, changes):
    run(ingestor, *upserts(document("a"), document("own", acl=("user:ann",))), Checkpoint(1))
    with contextlib.suppress(ConnectorError, KeyboardInterrupt):
        run(ingestor, *changes, acl=("group:hr",))
    assert texts(catalog).get("a") is None
    if "own" in catalog.document_ids("notes"):
        assert texts(catalog, Principal("ann"))["own"] == "some words"


def test_a_narrowed_access_list_holds_though_the_embedder_stops_the_run(catalog, parser, chunker):
    class Broken(HashEmbedder):
        def embed_documents(self, texts):
            raise EmbedderError("gone")

    first = Upsert(document("a"))
    run(Ingestor(catalog, parser, chunker, HashEmbedder()), first, Checkpoint(1))
    narrowed = upserts(document("a", acl=("group:hr",)), document("b", "new"))
    with pytest.raises(EmbedderError):
        run(Ingestor(catalog, parser, chunker, Broken()), *narrowed, Checkpoint(2))
    assert texts(catalog) == {"a": None}
    run(Ingestor(catalog, parser, chunker, HashEmbedder()), *narrowed, Checkpoint(2))
    assert texts(catalog, Principal("bo", ("hr",))) == {"a": "some words", "b": "new"}


def test_a_setting_that_was_tried_in_a_run_that_stopped_leaves_no_grant_behind(catalog, parser, chunker, embedder):
    ingestor = Ingestor(catalog, parser, chunker, embedder, bounds=Bounds(batch_chunks=1))
    first = upserts(document("a", revision="1"), document("b", revision="1"))
    run(ingestor, *first, Checkpoint(1), acl=("group:hr",))
    with pytest.raises(ConnectorError):
        run(ingestor, first[0], ConnectorError("down"), acl=(PUBLIC,))
    assert texts(catalog) == {"a": "some words", "b": "some words"}
    again = Script(changes=(Checkpoint(1),), cursors=[])
    ingestor.run("notes", again, default_acl=("group:hr",))
    assert again.cursors == [1]
    assert texts(catalog) == {"a": None, "b": None}


def test_a_document_that_has_come_to_follow_the_setting_of_its_source_follows_it(ingestor, catalog):
    run(ingestor, Upsert(document("a", acl=ACL, revision="1")), Checkpoint(1))
    run(ingestor, Upsert(document("a", revision="1")), Checkpoint(2))
    run(ingestor, Failure("a", "locked"), Checkpoint(3), acl=("group:hr",))
    assert texts(catalog) == {"a": None}


def test_a_grant_that_comes_back_after_a_run_that_stopped_is_given_again(ingestor, catalog):
    first = Upsert(document("a", revision="1"))
    run(ingestor, first, Checkpoint(1))
    with pytest.raises(ConnectorError):
        run(ingestor, ConnectorError("down"), acl=("group:hr",))
    assert texts(catalog) == {"a": None}
    run(ingestor, first, Checkpoint(1))
    assert texts(catalog) == {"a": "some words"}


def test_a_failure_of_the_connector_is_set_aside_with_its_words(ingestor, catalog):
    run(ingestor, Failure("a", "permission\ndenied", uri="notes/a.txt"))
    (record,) = catalog.quarantined()
    assert (record.uri, record.stage, record.reason) == ("notes/a.txt", "read", "permission denied")


# ---- where it stops, and where it goes on


def test_changes_are_committed_before_their_checkpoint(ingestor, catalog):
    with pytest.raises(ConnectorError):
        run(ingestor, Upsert(document("a")), Checkpoint("page 1"), Upsert(document("b")), ConnectorError("down"))
    assert set(texts(catalog)) == {"a", "b"}
    resumed = Script(changes=(Upsert(document("b")), Checkpoint("page 2")))
    ingestor.run("notes", resumed, default_acl=ACL)
    assert resumed.cursors == ["page 1"]
    assert set(texts(catalog)) == {"a", "b"}


def test_a_source_is_read_from_the_start_when_a_setting_has_changed_and_the_vanished_is_seen(ingestor, catalog):
    run(ingestor, *upserts(document("a"), document("b")), Checkpoint(5))
    again = Script(changes=(Upsert(document("a")), Checkpoint(6)), setting="another folder")
    report = ingestor.run("notes", again, default_acl=ACL)
    assert again.cursors == [None]
    assert (report.unchanged, report.deleted) == (1, 1)


def test_a_snapshot_is_never_read_from_a_cursor(ingestor, catalog):
    run(ingestor, *upserts(document("a"), document("b")), Checkpoint("page 1"), kind=Snapshot)
    again = Snapshot(changes=(*upserts(document("a"), document("b")), Checkpoint("page 1")), cursors=[])
    assert ingestor.run("notes", again, default_acl=ACL).deleted == 0
    assert again.cursors == [None]


class Feed(BaseModel, frozen=True):
    """Everything from the start; after a cursor, nothing. Fails after `stops_after` changes."""

    changes: tuple = Field(exclude=True)
    stops_after: int | None = Field(default=None, exclude=True)
    setting: str = ""

    def read(self, cursor) -> Iterator:
        yield from self.changes[: self.stops_after] if cursor is None else [Checkpoint(cursor)]
        if self.stops_after is not None:
            raise ConnectorError("down")


def feed(ingestor, *changes, stops_after=None, setting=""):
    return ingestor.run("notes", Feed(changes=changes, stops_after=stops_after, setting=setting), default_acl=ACL)


def test_a_reread_that_stops_after_a_checkpoint_is_a_reread_again(ingestor, catalog):
    feed(ingestor, *upserts(document("a"), document("gone"), document("b")), Checkpoint(1))
    now = (Upsert(document("a")), Checkpoint(1), Upsert(document("b")), Checkpoint(2))
    with pytest.raises(ConnectorError):
        feed(ingestor, *now, stops_after=2, setting="other")
    assert feed(ingestor, *now, setting="other").deleted == 1
    assert catalog.document_ids("notes") == {"a", "b"}
    assert catalog.cursor("notes")["cursor"] == 2


def test_a_first_run_that_stops_before_its_checkpoint_leaves_nothing_that_has_vanished(catalog, parser, chunker, embedder):
    ingestor = Ingestor(catalog, parser, chunker, embedder, bounds=Bounds(batch_chunks=1))
    with pytest.raises(ConnectorError):
        feed(ingestor, *upserts(document("a"), document("gone")), stops_after=2)
    assert catalog.document_ids("notes") == {"a", "gone"}
    feed(ingestor, *upserts(document("a"), document("b")), Checkpoint(1))
    assert catalog.document_ids("notes") == {"a", "b"}


def test_a_reread_that_mentions_nothing_is_not_the_last(ingestor, catalog):
    feed(ingestor, Upsert(document("a")), Checkpoint(1))
    assert feed(ingestor, Checkpoint(1), setting="other").found_nothing
    assert feed(ingestor, Upsert(document("a", "new")), Checkpoint(1), setting="other").changed == 1


def test_a_document_that_may_recover_is_read_again_though_the_source_is_incremental(ingestor, catalog):
    bad = Document(id="bad", uri="bad.txt", content=unreadable, revision="1")
    feed(ingestor, *upserts(document("a"), bad), Checkpoint(1))
    well = Upsert(replace(bad, content=lambda: b"well again"))
    assert feed(ingestor, Upsert(document("a")), well, Checkpoint(1)).added == 1
    assert catalog.quarantined() == []
    assert feed(ingestor, Upsert(document("not read")), Checkpoint(1)).added == 0


def test_a_document_that_cannot_be_parsed_does_not_have_the_source_read_again(ingestor, catalog):
    feed(ingestor, *upserts(document("a"), document("bad", " ")), Checkpoint(1))
    again = Script(changes=(Checkpoint(1),), cursors=[])
    ingestor.run("notes", again, default_acl=ACL)
    assert again.cursors == [1]
    assert len(catalog.quarantined()) == 1


@pytest.mark.parametrize("cursor", [object(), {1, 2}, b"bytes"])
def test_a_cursor_that_is_no_json_is_the_fault_of_the_connector(ingestor, catalog, cursor):
    with pytest.raises(ConnectorError, match="JSON"):
        run(ingestor, Upsert(document("a")), Checkpoint(cursor))
    assert set(texts(catalog)) == {"a"}


@pytest.mark.parametrize("error", [ConnectorError("down"), KeyError("page"), KeyboardInterrupt()])
def test_a_run_that_stops_is_recorded_with_what_it_has_done(ingestor, catalog, error):
    class Waiting(Script, frozen=True):
        def read(self, cursor):
            for change in super().read(cursor):
                yield change
                while isinstance(change, Checkpoint) and "cursor" not in catalog.cursor("notes"):
                    time.sleep(0.01)

    with pytest.raises((ConnectorError, KeyboardInterrupt)):
        run(ingestor, Upsert(document("a")), Checkpoint(1), error, kind=Waiting)
    (record,) = catalog.runs()
    assert record.status == ("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
    assert record.counts["added"] == 1
    assert record.ended_at
    assert record.error


@pytest.mark.parametrize(
    "error",
    [EmbedderError("gone"), BudgetExceededError(scope="day", limit_usd=1, committed_usd=1, requested_usd=1)],
)
def test_an_error_of_the_embedder_or_of_money_stops_the_run_and_keeps_what_is_committed(catalog, parser, chunker, error):
    class Failing(HashEmbedder):
        def embed_documents(self, texts):
            if any("expensive" in text for text in texts):
                raise error
            return super().embed_documents(texts)

    ingestor = Ingestor(catalog, parser, chunker, Failing(), bounds=Bounds(batch_chunks=1))
    with pytest.raises(type(error)):
        run(ingestor, *upserts(document("a"), document("b", "expensive"), document("c")), Checkpoint(1))
    assert set(texts(catalog)) == {"a"}
    assert catalog.quarantined() == []
    assert "cursor" not in catalog.cursor("notes")
    assert catalog.runs()[0].status == "failed"


def test_a_completed_run_is_recorded_with_its_counts(ingestor, catalog):
    report = run(ingestor, *upserts(document("a"), document("b", " ")))
    (record,) = catalog.runs()
    assert (record.status, record.counts["added"], record.counts["quarantined"]) == ("completed_with_failures", 1, 1)
    assert report.seconds >= 0


def test_progress_hears_of_every_document_and_of_the_end(ingestor):
    heard = []

    class Recorder:
        def start(self, total):
            heard.append(("start", total))

        def advance(self, label):
            heard.append(label)

        def close(self):
            heard.append("close")

    changes = (Upsert(document("a")), Failure("b", "x"), Checkpoint(1), KeyError("x"))
    with pytest.raises(ConnectorError, match="KeyError"):
        ingestor.run("notes", Script(changes=changes), default_acl=ACL, progress=Recorder())
    assert (heard[0], sorted(heard[1:-1]), heard[-1]) == (("start", None), ["b", "notes/a.txt"], "close")


# ---- real files, hostile ones among them


@pytest.mark.data
def test_every_file_of_the_parse_corpus_is_indexed_or_set_aside_with_a_reason(catalog, ingestor, folder, data_dir):
    root = data_dir / "parse-corpus"
    rows = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    hostile = [row for row in rows if row["class"] in {"hostile", "corrupt", "encrypted", "empty"}]
    chosen = (hostile + [row for row in rows if row["class"] not in {"clean", "large"} and row not in hostile] + rows)[:50]
    for row in chosen:
        (folder / row["path"].replace("/", "__")).write_bytes((root / row["path"]).read_bytes())
    names = {file.name for file in folder.iterdir()}
    with contextlib.suppress(TooManyFailuresError):
        ingestor.run("corpus", Files(path=folder), default_acl=ACL)
    counts = catalog.runs(1)[0].counts
    indexed = catalog.document_ids("corpus")
    aside = {record.document_id: record.reason for record in catalog.quarantined("corpus")}
    assert indexed | set(aside) == names
    assert not indexed & set(aside)
    assert all(aside.values())
    assert counts["added"] == len(indexed) >= 25
    assert counts["quarantined"] == len(aside) >= 10
