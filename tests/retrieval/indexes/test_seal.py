import os
import shutil

import pytest

from llmapp.retrieval.indexes.chroma.seal import Seal


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "store"
    (folder / "segment").mkdir(parents=True)
    (folder / "store.sqlite3").write_bytes(b"database")
    (folder / "segment" / "data.bin").write_bytes(b"vectors")
    Seal(folder).make()
    return folder


def test_a_sealed_folder_is_whole(folder):
    assert Seal(folder).broken() is None


def test_a_copy_with_its_seal_is_whole(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "elsewhere" / "store")
    shutil.copy(tmp_path / "store.seal", tmp_path / "elsewhere" / "store.seal")
    assert Seal(tmp_path / "elsewhere" / "store").broken() is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(folder / "store.sqlite3", 3),
        lambda folder: os.truncate(folder / "segment" / "data.bin", 3),
        lambda folder: (folder / "segment" / "data.bin").unlink(),
        lambda folder: (folder / "segment" / "more.bin").write_bytes(b""),
        shutil.rmtree,
        lambda folder: folder.with_name("store.seal").write_bytes(b"{"),
        lambda folder: Seal(folder).break_(),
    ],
)
def test_any_change_of_files_or_sizes_breaks_it(folder, damage):
    damage(folder)
    assert Seal(folder).broken()


def test_a_file_may_be_rewritten_in_place(folder):
    (folder / "store.sqlite3").write_bytes(b"DATABASE")
    assert Seal(folder).broken() is None


def test_a_folder_that_was_never_sealed_is_not_whole(tmp_path):
    (tmp_path / "bare").mkdir()
    assert Seal(tmp_path / "bare").broken() == "was not written to the end"
