import contextlib
import os
import random
import shutil
import sqlite3
import threading
import time
from dataclasses import replace

import pytest
from chromadb import Collection

from llmapp.catalog.lock import FileLock
from llmapp.errors import IndexUnavailableError, LockedError
from llmapp.retrieval.dense import DenseRetriever
from llmapp.retrieval.indexes.chroma.embedded import ChromaIndex
from llmapp.retrieval.indexes.chroma.seal import Seal
from llmapp.retrieval.planning import Costs
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import LOCAL_USER

SLOW_TO_COMPARE = Costs(number_s=1.0)
"""Makes the index the faster way, however few there are."""


def documents(count):
    """Texts at all distances: HNSW finds no way among vectors that are all equally far from each other."""
    words = random.Random(7)
    return {f"d{number:04}": " ".join(f"word{words.randrange(150)}" for _ in range(8)) for number in range(count)}


def truncate_to(share, name):
    def damage(folder):
        for path in folder.rglob(name):
            os.truncate(path, int(path.stat().st_size * share))

    return damage


def remove(name):
    return lambda folder: [path.unlink() for path in folder.rglob(name)]


def remove_segments(folder):
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)


SEGMENT_FILES = ["data_level0.bin", "header.bin", "length.bin", "link_lists.bin"]
DAMAGES = {
    "folder removed": shutil.rmtree,
    "segments removed": remove_segments,
    "database removed": remove("chroma.sqlite3"),
    "database emptied": truncate_to(0, "chroma.sqlite3"),
    "database cut": truncate_to(0.5, "chroma.sqlite3"),
    **{f"{name} emptied": truncate_to(0, name) for name in SEGMENT_FILES},
    **{f"{name} cut": truncate_to(0.5, name) for name in SEGMENT_FILES if name != "link_lists.bin"},
    **{f"{name} removed": remove(name) for name in SEGMENT_FILES},
}


def test_what_was_committed_is_applied_once(projection, catalog, index, lock, put):
    put(**documents(20))
    assert projection.apply_pending() == 20
    assert projection.apply_pending() == 0
    assert catalog.pending() == []
    assert not lock.held
    assert index.ids() == catalog.chunk_ids()


def test_changes_and_deletions_follow(projection, catalog, index, put):
    put(**documents(5))
    projection.apply_pending()
    catalog.delete("test", ["d0001"])
    put(extra="wine")
    assert projection.apply_pending() == 2
    assert index.ids() == catalog.chunk_ids() == {"c-d0000", "c-d0002", "c-d0003", "c-d0004", "c-extra"}
    assert projection.verify().ok


def test_a_clean_index_verifies(projection, put):
    put(**documents(30))
    projection.apply_pending()
    check = projection.verify()
    assert check.ok
    assert (check.chunks, check.pending, check.missing, check.unknown, check.lost, check.searched, check.reason) == (
        30, 0, 0, 0, 0, 30, "",
    )  # fmt: skip


def test_an_empty_catalog_verifies(projection):
    assert projection.verify().ok


def test_pending_work_is_no_fault(projection, put):
    put(**documents(3))
    assert projection.verify().ok
    projection.apply_pending()
    put(extra="wine")
    assert projection.verify().pending == 1
    assert projection.verify().ok


def test_more_chunks_than_one_batch_takes(projection, index, catalog, put, monkeypatch):
    monkeypatch.setattr("llmapp.retrieval.projection._BATCH_CHUNKS", 7)
    put(**documents(40))
    assert projection.apply_pending() == 40
    assert index.ids() == catalog.chunk_ids()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_index_is_noticed_search_goes_on_and_a_rebuild_heals(
    projection, catalog, embedder, index, lock, serve, put, tmp_path, damage
):
    put(**documents(1_010))  # beyond the 1,000 writes after which Chroma writes its segment
    projection.apply_pending()
    expected = DenseRetriever(catalog, embedder).retrieve("word7", principal=LOCAL_USER, top_k=3)
    embedded = len(embedder.embedded)
    damage(tmp_path / "chroma")

    check = projection.verify()
    assert not check.ok
    assert check.reason
    retriever = DenseRetriever(catalog, embedder, index=serve(index, lock), exact_up_to=0, costs=SLOW_TO_COMPARE)
    with lock:
        assert retriever.retrieve("word7", principal=LOCAL_USER, top_k=3) == expected
    assert "exact search serves" in retriever.degraded

    assert projection.rebuild() == 1_010
    assert projection.verify().ok
    assert len(embedder.embedded) == embedded
    with lock:
        assert retriever.retrieve("word7", principal=LOCAL_USER, top_k=3) == expected
    assert retriever.degraded is None
    index.close()


@pytest.mark.parametrize("damage", [shutil.rmtree, remove("chroma.sqlite3")], ids=["folder", "database"])
def test_new_work_heals_a_damaged_index(projection, catalog, index, put, tmp_path, damage):
    put(**documents(10))
    projection.apply_pending()
    damage(tmp_path / "chroma")
    put(extra="wine")
    assert projection.apply_pending() == 11
    assert index.ids() == catalog.chunk_ids()


@pytest.mark.parametrize("is_over", [True, False])
def test_a_stall_is_no_damage_what_is_stored_is_not_written_anew(
    project, catalog, lock, put, tmp_path, monkeypatch, is_over
):
    index = ChromaIndex(tmp_path / "chroma", read_deadline_s=1)
    projection = project(index, lock)
    put(**documents(10))
    with lock:
        projection.apply_pending()
        ends, query = threading.Event(), Collection.query
        with monkeypatch.context() as patch:
            patch.setattr(Collection, "query", lambda self, **asked: (ends.wait(), query(self, **asked))[1])
            with pytest.raises(IndexUnavailableError, match="has not answered"):
                index.query(next(iter(catalog.vectors(["c-d0000"]).values())), top_k=1)
        if is_over:
            ends.set()
            time.sleep(0.5)
        put(extra="wine")
        # While the call hangs a write fails, and is tried again in the next turn.
        assert [projection.apply_pending() for _ in range(2)] == ([1, 0] if is_over else [0, 1])
        assert projection.verify().ok
        ends.set()
    index.close()


def test_damage_under_a_running_server_heals_too(projection, catalog, index, lock, put, tmp_path):
    put(**documents(10))
    with lock:
        projection.apply_pending()
        shutil.rmtree(tmp_path / "chroma")
        put(extra="wine")
        projection.apply_pending()
        assert projection.verify().ok
        index.close()


def test_an_index_that_lost_vectors_in_silence_is_noticed(projection, catalog, index, put):
    put(**documents(10))
    projection.apply_pending()
    index.delete(["c-d0003"])
    index.upsert(["stranger"], catalog.vectors(["c-d0001"])["c-d0001"][None, :])
    check = projection.verify()
    assert (check.missing, check.unknown) == (1, 1)
    assert check.reason == "1 chunks are missing, 1 ids belong to no chunk"


def test_a_vector_that_is_not_the_chunk_s_own_is_noticed(projection, catalog, index, put):
    put(**{f"d{number:04}": f"water in the cellar {number}" for number in range(10)}, far="entirely different things")
    projection.apply_pending()
    index.upsert(["c-d0004"], catalog.vectors(["c-far"])["c-far"][None, :])
    check = projection.verify()
    assert (check.lost, check.reason) == (1, "1 chunks have another vector, or none")


@pytest.mark.parametrize("name", ["segments", "database rows"])
def test_vectors_that_are_gone_behind_a_whole_seal_are_noticed(projection, catalog, index, put, tmp_path, name):
    put(**documents(1_010))
    projection.apply_pending()
    index.close()
    if name == "segments":
        remove_segments(tmp_path / "chroma")
    else:
        with contextlib.closing(sqlite3.connect(tmp_path / "chroma/chroma.sqlite3", isolation_level=None)) as database:
            database.execute("DELETE FROM embeddings WHERE id IN (SELECT id FROM embeddings LIMIT 3)")
    Seal(tmp_path / "chroma").make()
    check = projection.verify()
    assert not check.ok
    assert check.reason


def test_a_few_that_an_approximate_search_overlooks_are_no_fault_but_many_are(projection, index, put, monkeypatch):
    put(**documents(100))
    projection.apply_pending()
    found = type(index).query
    blind = {"c-d0003"}
    monkeypatch.setattr(
        index, "query", lambda vector, top_k: [hit for hit in found(index, vector, top_k=top_k) if hit[0] not in blind]
    )
    check = projection.verify()
    assert (check.ok, check.lost, check.searched, check.overlooked) == (True, 0, 100, 1)
    blind.update(f"c-d{number:04}" for number in range(10))
    check = projection.verify()
    assert check.reason == "10 of 100 chunks are not found by their own vector"


def test_vectors_of_another_length_take_the_place_of_the_old_ones(projection, catalog, index, make_record):
    for dim, name in ((64, "old"), (32, "new")):
        catalog.replace([make_record("d", name)], {name: HashEmbedder(dim=dim).embed_query(name)})
        record = make_record("d", name)
        chunk = replace(record.chunks[0], id=f"c-{name}")  # another embedder makes other chunks, as in life
        catalog.replace([replace(record, chunks=(chunk,))], {name: HashEmbedder(dim=dim).embed_query(name)})
        assert projection.apply_pending()
        assert projection.failure is None
    assert index.ids() == {"c-new"}
    assert projection.verify().ok


def test_many_equal_chunks_are_not_taken_for_lost_ones(projection, put, make_record):
    put(*(make_record(f"d{number}", "all the same") for number in range(1_200)))
    projection.apply_pending()
    assert projection.verify().ok


def test_without_the_lock_nothing_is_touched(project, catalog, index, put, tmp_path):
    put(**documents(3))
    other = FileLock(tmp_path / "index.lock", purpose="the index")
    waiting = project(index, FileLock(tmp_path / "index.lock", purpose="the index"))
    with other:
        assert waiting.apply_pending() == 0
        with pytest.raises(LockedError):
            waiting.verify()
        with pytest.raises(LockedError):
            waiting.rebuild()
    assert len(catalog.pending()) == 3
    assert not (tmp_path / "chroma").exists()
    assert waiting.apply_pending() == 3


def test_an_index_that_cannot_be_written_fails_no_ingest(project, catalog, lock, put, tmp_path):
    put(**documents(3))
    (tmp_path / "blocked").write_text("a file where the folder should be")
    projection = project(ChromaIndex(tmp_path / "blocked" / "chroma"), lock)
    assert projection.apply_pending() == 0
    assert projection.failure
    assert len(catalog.pending()) == 3
    with pytest.raises(IndexUnavailableError):
        projection.rebuild()
