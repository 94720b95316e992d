import shutil
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from chromadb import Collection

from llmapp.errors import IndexUnavailableError
from llmapp.retrieval.indexes.chroma.collection import ChromaCollection
from llmapp.retrieval.indexes.chroma.embedded import ChromaIndex
from llmapp.testing.contracts import VectorIndexContract


class TestContract(VectorIndexContract):
    @pytest.fixture
    def open_index(self, tmp_path):
        return lambda: ChromaIndex(tmp_path / "store")


def units(count, dim=8, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


VECTORS = units(20)
IDS = [f"c{number}" for number in range(20)]


@pytest.fixture
def filled(index):
    index.upsert(IDS, VECTORS)
    return index


def test_nothing_to_write_makes_no_store(index, tmp_path):
    index.upsert([], units(0))
    index.delete([])
    assert not (tmp_path / "chroma").exists()


def test_a_store_that_was_never_written_cannot_be_searched(index):
    with pytest.raises(IndexUnavailableError, match="is missing"):
        index.query(VECTORS[0], top_k=1)
    with pytest.raises(IndexUnavailableError, match="is missing"):
        index.ids()


def test_it_can_be_closed_and_opened_again(filled, tmp_path):
    filled.close()
    filled.close()
    assert filled.ids() == set(IDS)
    filled.close()
    again = ChromaIndex(tmp_path / "chroma")
    assert again.query(VECTORS[7], top_k=1)[0][0] == "c7"
    again.close()


def test_clearing_works_when_the_folder_is_gone(filled, tmp_path):
    shutil.rmtree(tmp_path / "chroma")
    filled.clear()
    filled.upsert(IDS[:2], VECTORS[:2])
    assert filled.ids() == set(IDS[:2])


def test_a_write_that_fails_leaves_a_store_that_is_not_trusted(filled, monkeypatch):
    monkeypatch.setattr(ChromaCollection, "check_dim", lambda *_: None)
    with pytest.raises(IndexUnavailableError, match="failed"):
        filled.upsert(["c99"], units(1, dim=5))
    with pytest.raises(IndexUnavailableError, match="was not written to the end"):
        filled.ids()


def test_a_nearly_full_disk_is_refused_before_the_write(filled, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(IndexUnavailableError, match="needs 64 MB of free disk, there are 1"):
        filled.upsert(["c99"], units(1))
    assert filled.ids() == set(IDS)


@pytest.fixture
def stall(monkeypatch):
    """Lets the next search of any collection hang until the event that this is."""
    ends, query = threading.Event(), Collection.query

    def late(self, **asked):
        monkeypatch.setattr(Collection, "query", query)
        ends.wait()
        return query(self, **asked)

    monkeypatch.setattr(Collection, "query", late)
    yield ends
    ends.set()


def test_a_store_that_hangs_is_asked_nothing_until_the_call_ends(filled, tmp_path, stall):
    filled.close()
    hanging = ChromaIndex(tmp_path / "chroma", read_deadline_s=0.5)
    for _ in range(2):
        with pytest.raises(IndexUnavailableError, match=r"has not answered for 0\.5 s"):
            hanging.query(VECTORS[0], top_k=1)
    stall.set()
    time.sleep(0.5)
    assert hanging.query(VECTORS[0], top_k=1)[0][0] == "c0"
    hanging.close()


def test_a_store_that_hangs_is_opened_anew_after_it_was_closed(filled, tmp_path, stall):
    filled.close()
    hanging = ChromaIndex(tmp_path / "chroma", read_deadline_s=0.5)
    with pytest.raises(IndexUnavailableError, match="has not answered"):
        hanging.query(VECTORS[0], top_k=1)
    hanging.close()
    assert hanging.query(VECTORS[0], top_k=1)[0][0] == "c0"
    hanging.close()


def test_a_store_whose_opening_was_left_behind_can_be_cleared(filled, tmp_path):
    filled.close()
    hanging = ChromaIndex(tmp_path / "chroma", read_deadline_s=0)
    with pytest.raises(IndexUnavailableError, match="has not answered for 0 s"):
        hanging.query(VECTORS[0], top_k=1)
    hanging._read_deadline_s = 15
    time.sleep(0.5)  # the call that was left behind ends by itself
    hanging.clear()
    hanging.upsert(IDS, VECTORS)
    assert hanging.ids() == set(IDS)
    hanging.close()


def test_a_process_killed_in_a_write_leaves_a_store_that_is_not_trusted(tmp_path):
    script = f"""
import os, numpy as np
from pathlib import Path
from llmapp.retrieval.indexes.chroma.collection import ChromaCollection
from llmapp.retrieval.indexes.chroma.embedded import ChromaIndex
index = ChromaIndex(Path({str(tmp_path)!r}) / "chroma")
index.upsert(["a"], np.eye(4, dtype=np.float32)[:1])
index._seal.make = lambda: os.kill(os.getpid(), 9)
index.upsert(["b"], np.eye(4, dtype=np.float32)[1:2])
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with pytest.raises(IndexUnavailableError, match="was not written to the end"):
        ChromaIndex(tmp_path / "chroma").ids()
