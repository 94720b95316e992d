"""Vectors move from any store to any other, whatever happens meanwhile."""

import contextlib
import itertools
import os
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from llmapp.bootstrap import Parts
from llmapp.config import IndexSettings, Settings
from llmapp.errors import ConfigError, IndexUnavailableError, LockedError
from llmapp.retrieval.indexes.chroma.embedded import ChromaIndex
from llmapp.retrieval.indexes.pgvector.table import PgVectorIndex
from llmapp.testing.fakes import HashEmbedder

STORES = ("chroma", "chroma-server", "pgvector", "exact")


class NoEmbedder(HashEmbedder):
    """Moving is free: nothing may be embedded."""

    def embed_documents(self, texts):
        raise AssertionError("something was embedded")

    embed_query = embed_documents


@pytest.fixture
def open_parts(tmp_path, chroma_server, postgres):
    opened = []

    def build(store="chroma"):
        index = IndexSettings(store=store, chroma_url=chroma_server.url, pgvector_url=postgres)
        opened.append(Parts(Settings(root=tmp_path, index=index), embedder=NoEmbedder()))
        return opened[-1]

    yield build
    for parts in opened:
        for store in parts.catalog.other_stores():
            parts.index.drop_other(store)
        parts.index.clear()
        parts.close()


@pytest.fixture
def fill(make_record):
    """fill(parts, name, ...): commits documents of these names."""

    def write(parts, *names, text="water number {}"):
        records = [make_record(name, text.format(name)) for name in names]
        parts.catalog.replace(records, {record.text: somewhere(record.text) for record in records})

    return write


def somewhere(text):
    """A vector of its own for each text. Texts that share their words would all be equally far apart: no graph finds a way there."""
    vector = np.random.default_rng(zlib.crc32(text.encode())).normal(size=64).astype(np.float32)
    return vector / np.linalg.norm(vector)


def some(count, start=0):
    return [f"d{number:04}" for number in range(start, start + count)]


def is_whole(parts):
    parts.projection.apply_pending()
    return parts.projection.verify().ok and parts.index.ids() == parts.catalog.chunk_ids()


@pytest.mark.parametrize(("former", "store"), list(itertools.permutations(STORES, 2)))
def test_vectors_move_from_any_store_to_any_other(open_parts, fill, former, store):
    parts = open_parts(former)
    fill(parts, *some(40))
    parts.projection.apply_pending()
    digest = parts.catalog.digest()
    report = parts.move(store).run()
    assert (report.former, report.store, report.chunks, report.pending) == (former, store, 40, 0)
    assert report.put == (0 if store == "exact" else 40)
    assert parts.index.name == store
    assert is_whole(parts)
    assert parts.catalog.digest() == digest
    assert parts.catalog.other_stores() in ({}, {former: "retired"})
    parts.projection.apply_pending()
    assert parts.catalog.other_stores() == {}
    if former != "exact":
        with contextlib.closing(parts.index.open_other(former)) as emptied, pytest.raises(IndexUnavailableError):
            emptied.ids()
    later = open_parts(former)
    assert later.index.name == store


def test_a_plan_changes_nothing_and_says_what_would_be_done(open_parts, fill):
    parts = open_parts()
    fill(parts, *some(10))
    parts.projection.apply_pending()
    plan = parts.move("pgvector").plan()
    assert (plan.former, plan.store, plan.chunks, plan.to_put, plan.to_remove) == ("chroma", "pgvector", 10, 10, 0)
    assert parts.index.name == "chroma"
    assert parts.catalog.other_stores() == {}
    with contextlib.closing(parts.index.open_other("pgvector")) as store:
        assert store.fault() == "the vector index is missing"


def test_a_plan_opens_no_store_that_another_process_may_have_open(open_parts, fill, monkeypatch):
    def refuse(*_):
        raise AssertionError("it was opened")

    parts, other = open_parts(), open_parts()
    fill(parts, *some(10))
    parts.projection.apply_pending()
    with monkeypatch.context() as patch:
        patch.setattr(ChromaIndex, "ids", refuse)
        plan = parts.move("chroma").plan()
        assert (plan.former, plan.store, plan.chunks, plan.to_put, plan.to_remove) == ("chroma", "chroma", 10, 0, 0)
        parts.move("pgvector").run(keep_former=True)
        with other.move_lock, pytest.raises(LockedError, match="a move of the vectors"):
            parts.move("chroma").plan()
    assert parts.move("chroma").plan().to_put == 0


def test_a_store_that_serves_already_is_left_as_it_is(open_parts, fill):
    parts = open_parts()
    fill(parts, *some(10))
    parts.projection.apply_pending()
    report = parts.move("chroma").run()
    assert (report.former, report.store, report.put) == ("chroma", "chroma", 0)
    assert is_whole(parts)


def test_a_store_that_is_unknown_or_nowhere_is_a_matter_of_settings(open_parts, tmp_path):
    parts = open_parts()
    with pytest.raises(ConfigError, match="no store milvus"):
        parts.move("milvus")
    for store in ("pgvector", "chroma-server"):
        with Parts(Settings(root=tmp_path / store)) as bare, pytest.raises(ConfigError, match="is not"):
            bare.move(store)


def test_what_is_committed_between_batches_is_not_missed(open_parts, fill, monkeypatch):
    monkeypatch.setattr("llmapp.retrieval.moving._BATCH_CHUNKS", 10)
    parts = open_parts()
    fill(parts, *some(50))
    parts.projection.apply_pending()
    writer = open_parts()
    numbers, put = itertools.count(1000), PgVectorIndex.upsert

    def put_while_others_write(self, ids, vectors):
        put(self, ids, vectors)
        number = next(numbers)
        fill(writer, f"d{number}")
        writer.catalog.delete("test", [f"d{number - 1000:04}"])
        writer.projection.apply_pending()  # the former store is kept up

    monkeypatch.setattr(PgVectorIndex, "upsert", put_while_others_write)
    report = parts.move("pgvector").run()
    monkeypatch.setattr(PgVectorIndex, "upsert", put)
    assert report.pending > 0
    assert len(parts.catalog.pending()) == report.pending
    assert writer.index.name == "pgvector"
    assert is_whole(parts)
    assert "c-d1000" in parts.index.ids()
    assert "c-d0000" not in parts.index.ids()


def ingest_until(ended, parts, fill):
    for number in itertools.count(1000):
        fill(parts, f"d{number}")
        parts.catalog.delete("test", [f"d{number - 1000:04}"])
        parts.projection.apply_pending()
        if ended.is_set():
            return


def search_until(ended, parts):
    vector = somewhere("water number d0007")
    while not ended.is_set():
        with contextlib.suppress(IndexUnavailableError):  # exact search serves
            assert parts.index.query(vector, top_k=5)


def test_threads_that_ingest_and_search_all_the_while_lose_nothing(open_parts, fill, monkeypatch):
    monkeypatch.setattr("llmapp.retrieval.moving._BATCH_CHUNKS", 20)
    parts, mover, ended = open_parts(), open_parts(), threading.Event()
    fill(parts, *some(200))
    parts.projection.apply_pending()
    with ThreadPoolExecutor(2) as threads:
        work = [threads.submit(ingest_until, ended, parts, fill), threads.submit(search_until, ended, parts)]
        try:
            mover.move("pgvector").run()
        finally:
            ended.set()
        for each in work:
            each.result()
    assert parts.index.name == "pgvector"
    assert is_whole(parts)


def test_work_that_was_read_before_the_swap_does_not_touch_the_store_after_it(open_parts, fill):
    parts = open_parts()
    fill(parts, *some(5))
    parts.projection.apply_pending()
    parts.catalog.delete("test", ["d0001"])
    assert len(parts.catalog.pending(store="chroma")) == 1
    parts.move("pgvector").run()
    fill(parts, "d0009")
    assert parts.catalog.pending(store="chroma") == []
    assert len(parts.catalog.pending(store="pgvector")) == 1


def test_a_writer_whose_store_is_closed_by_the_swap_leaves_the_work_of_the_new_store_as_it_is(open_parts, fill, monkeypatch):
    parts, mover = open_parts(), open_parts()
    fill(parts, *some(20))
    parts.projection.apply_pending()
    put = ChromaIndex.upsert

    def put_into_what_is_closed(self, ids, vectors):
        monkeypatch.setattr(ChromaIndex, "upsert", put)
        mover.move("pgvector").run(keep_former=True)
        parts.catalog.delete("test", ["d0002"])
        raise IndexUnavailableError("it was closed meanwhile")

    monkeypatch.setattr(ChromaIndex, "upsert", put_into_what_is_closed)
    fill(parts, "new")
    assert parts.projection.apply_pending() == 0
    assert [(work.chunk_id, work.action) for work in parts.catalog.pending()] == [("c-d0002", "delete")]
    assert is_whole(parts)
    with contextlib.closing(parts.index.open_other("chroma")) as kept:
        assert len(kept.ids()) == 20


def test_a_store_that_fails_midway_leaves_the_former_one_serving_and_the_next_run_goes_on(open_parts, fill, monkeypatch):
    monkeypatch.setattr("llmapp.retrieval.moving._BATCH_CHUNKS", 10)
    parts = open_parts()
    fill(parts, *some(50))
    parts.projection.apply_pending()
    put, calls = PgVectorIndex.upsert, itertools.count()

    def break_down(self, ids, vectors):
        if next(calls) == 3:
            raise IndexUnavailableError("the disk is full")
        put(self, ids, vectors)

    monkeypatch.setattr(PgVectorIndex, "upsert", break_down)
    with pytest.raises(IndexUnavailableError, match="disk is full"):
        parts.move("pgvector").run()
    assert parts.index.name == "chroma"
    assert is_whole(parts)
    assert parts.catalog.other_stores() == {"pgvector": "begun"}
    assert parts.move("pgvector").plan().to_put == 20
    report = parts.move("pgvector").run()
    assert (report.chunks, report.put) == (50, 20)
    assert is_whole(parts)


def test_a_store_that_loses_what_it_was_given_does_not_serve(open_parts, fill, monkeypatch):
    parts = open_parts()
    fill(parts, *some(20))
    parts.projection.apply_pending()
    put = PgVectorIndex.upsert
    monkeypatch.setattr(PgVectorIndex, "upsert", lambda self, ids, vectors: put(self, ids, vectors[::-1].copy()))
    with pytest.raises(IndexUnavailableError, match="does not hold what was put: 20 vectors"):
        parts.move("pgvector").run()
    assert parts.index.name == "chroma"
    monkeypatch.setattr(PgVectorIndex, "upsert", put)
    parts.move("pgvector").run()
    assert is_whole(parts)


def test_a_vector_that_is_another_by_now_is_put_again(open_parts, fill):
    parts = open_parts()
    fill(parts, *some(20))
    parts.projection.apply_pending()
    store = parts.index.open_other("pgvector")
    wrong = parts.catalog.vectors(["c-d0003"])["c-d0003"]
    store.upsert(["c-d0004", "stranger"], np.stack([wrong, wrong]))
    store.close()
    report = parts.move("pgvector").run()
    assert report.removed == 1
    assert is_whole(parts)


def test_a_move_that_was_begun_with_another_embedder_starts_anew(open_parts, fill):
    parts = open_parts()
    store = parts.index.open_other("pgvector")
    store.upsert(["old"], HashEmbedder(dim=32).embed_query("old")[None, :])
    store.close()
    fill(parts, *some(20))
    parts.projection.apply_pending()
    parts.move("pgvector").run()
    assert is_whole(parts)


def test_two_moves_at_once_are_one_too_many(open_parts, fill):
    parts, other = open_parts(), open_parts()
    with other.move_lock, pytest.raises(LockedError, match="a move of the vectors"):
        parts.move("exact").run()


def test_a_store_for_one_process_is_not_written_while_another_one_may_have_it_open(open_parts, fill):
    parts, other = open_parts(), open_parts()
    fill(parts, *some(30))
    parts.projection.apply_pending()
    assert other.index.query(somewhere("water number d0003"), top_k=1)[0][0] == "c-d0003"
    parts.move("exact").run(keep_former=True)
    fill(parts, *some(10, start=30))
    for step in (parts.move("chroma").plan, parts.move("chroma").run):
        with pytest.raises(LockedError, match="the index is held by process"):
            step()
    nearest = somewhere("water number d0033")
    assert other.index.query(nearest, top_k=1)[0][0] == "c-d0033"  # it follows, and lets go
    assert parts.move("chroma").run().put == 10
    assert other.index.query(nearest, top_k=1)[0][0] == "c-d0033"


def test_a_former_store_that_is_kept_makes_the_way_back_short(open_parts, fill):
    parts = open_parts()
    fill(parts, *some(30))
    parts.projection.apply_pending()
    parts.move("pgvector").run(keep_former=True)
    parts.projection.apply_pending()
    assert parts.catalog.other_stores() == {"chroma": "kept"}
    fill(parts, "new")
    parts.catalog.delete("test", ["d0001"])
    parts.projection.apply_pending()
    report = parts.move("chroma").run()
    assert (report.put, report.removed) == (1, 1)
    assert is_whole(parts)


def test_a_former_store_that_cannot_be_emptied_is_left_with_a_warning_and_named(open_parts, fill, monkeypatch, caplog):
    parts = open_parts()
    fill(parts, *some(5))
    parts.projection.apply_pending()
    clear = ChromaIndex.clear
    monkeypatch.setattr(ChromaIndex, "clear", lambda self: (_ for _ in ()).throw(IndexUnavailableError("it is locked")))
    parts.move("pgvector").run()
    for _ in range(2):
        parts.projection.apply_pending()
    assert caplog.text.count("chroma served before and could not be emptied: it is locked") == 1
    assert parts.catalog.other_stores() == {"chroma": "retired"}
    monkeypatch.setattr(ChromaIndex, "clear", clear)
    later = open_parts()
    later.projection.apply_pending()
    assert later.catalog.other_stores() == {}


KILLED = """
import os, sys
from pathlib import Path
from llmapp.bootstrap import Parts
from llmapp.config import IndexSettings, Settings
from llmapp.retrieval import moving
from llmapp.retrieval.indexes.chroma import embedded, server
from llmapp.retrieval.indexes.chroma.seal import Seal
from llmapp.retrieval.indexes.pgvector import table
moving._BATCH_CHUNKS = 40
store, root, chroma_url, pgvector_url = sys.argv[1:]
kind = {"chroma": embedded.ChromaIndex, "chroma-server": server.ChromaServerIndex, "pgvector": table.PgVectorIndex}[store]
calls = iter(range(10))
def die():
    if next(calls) == 3:
        os.kill(os.getpid(), 9)
if store == "chroma":  # in a write, when the files are written and not yet sealed
    make = Seal.make
    Seal.make = lambda self: (die(), make(self))
else:
    put = kind.upsert
    kind.upsert = lambda self, ids, vectors: (put(self, ids, vectors), die())
index = IndexSettings(store="exact", chroma_url=chroma_url, pgvector_url=pgvector_url)
with Parts(Settings(root=Path(root), index=index)) as parts:
    parts.move(store).run()
"""


@pytest.mark.parametrize("store", ["chroma", "chroma-server", "pgvector"])
def test_a_move_that_is_killed_goes_on_where_it_was(open_parts, fill, tmp_path, chroma_server, postgres, store):
    parts = open_parts("exact")
    fill(parts, *some(400))
    parts.projection.apply_pending()
    digest = parts.catalog.digest()
    arguments = [store, str(tmp_path), chroma_server.url, postgres]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, env=os.environ, timeout=120)
    assert killed.returncode == -9
    assert parts.index.name == "exact"
    fill(parts, "later")
    parts.catalog.delete("test", ["d0000"])
    report = parts.move(store).run()
    assert report.chunks == 400
    assert report.put <= 400 - 3 * 40 + 1
    assert report.removed == 1
    assert parts.index.name == store
    assert is_whole(parts)
    fill(parts, "d0000")
    parts.catalog.delete("test", ["later"])
    assert parts.catalog.digest() == digest


def test_files_that_end_the_process_that_opens_them_are_thrown_away_by_the_next(open_parts, fill, tmp_path):
    parts = open_parts("exact")
    fill(parts, *some(20))
    parts.projection.apply_pending()
    store = parts.index.open_other("chroma")
    store.upsert(["c-d0001"], parts.catalog.vectors(["c-d0001"])["c-d0001"][None, :])
    store.close()
    (tmp_path / ".llmapp/chroma.seal").unlink()
    (tmp_path / ".llmapp/chroma.mending").touch()
    assert parts.move("chroma").run().put == 20
    assert is_whole(parts)
    assert not (tmp_path / ".llmapp/chroma.mending").exists()
