"""The table of live chunks follows the catalog: through edits, deletes, grants, other processes, and damaged files."""

import random
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from llmapp.catalog import live_table
from llmapp.catalog.catalog import Catalog
from llmapp.types import LOCAL_USER, PUBLIC, Principal

ANN = Principal("ann")
in_files = pytest.mark.parametrize("database_kind", ["sqlite"])
"""Beside a server the table is held in memory alone."""


def held(catalog):
    """What the table says of the live chunks: by id, the vector."""
    table = catalog.live_vectors()
    slots = table.live_slots()
    names = catalog.ids_of_rows(table.rows[slots].tolist())
    return {names[row]: bytes(vector) for row, vector in zip(table.rows[slots].tolist(), table.vectors[slots], strict=True)}


def true(catalog):
    return {name: vector.tobytes() for name, vector in catalog.vectors(list(catalog.chunk_ids())).items()}


def files(catalog):
    return sorted(catalog._db.path.with_suffix(".vectors").iterdir())


def column(catalog, name):
    return next(file for file in files(catalog) if file.suffix == f".{name}")


@pytest.fixture
def no_full_read(monkeypatch):
    """Fails when all chunks are read."""
    wanted = []
    read = live_table.LiveTableKeeper._read_chunks

    def noted(self, rows):
        wanted.extend(rows)
        return read(self, rows)

    monkeypatch.setattr(live_table.LiveTableKeeper, "_read_chunks", noted)
    return wanted


def test_an_empty_catalog_has_an_empty_table(catalog):
    assert held(catalog) == {}
    assert len(catalog.readable(LOCAL_USER).slots) == 0


def test_only_what_is_new_is_read(catalog, put, record, no_full_read):
    put(*(record(f"d{number}", f"words {number}") for number in range(50)))
    assert held(catalog) == true(catalog)
    no_full_read.clear()
    put(record("d7", "other words", "and more"))
    catalog.delete("s", ["d9"])
    assert held(catalog) == true(catalog)
    assert len(no_full_read) == 2


def test_an_access_list_is_followed_without_reading_a_vector(catalog, put, record, no_full_read):
    put(record("a", "one"), record("b", "two", acl=("user:ann",)))
    assert len(catalog.readable_rows(LOCAL_USER)) == 1
    assert len(catalog.readable_rows(ANN)) == 2
    no_full_read.clear()
    catalog.set_access("s", {"a": ("group:hr",), "b": (PUBLIC, "user:bob")}, own=True)
    assert len(catalog.readable_rows(LOCAL_USER)) == 1
    assert len(catalog.readable_rows(ANN)) == 1
    catalog.set_access("s", {"b": ()}, own=True)
    assert len(catalog.readable_rows(ANN)) == 0
    assert no_full_read == []


def test_the_last_document_is_written_anew_with_another_vector(catalog, put, record):
    put(record("a", "one"), record("b", "two"))
    assert held(catalog) == true(catalog)
    put(record("b", "three"))
    assert held(catalog) == true(catalog)


def test_a_reader_that_is_far_behind_catches_up(catalog, put, record, monkeypatch):
    put(*(record(f"d{number}", f"words {number}") for number in range(9)))
    assert held(catalog) == true(catalog)
    monkeypatch.setattr("llmapp.catalog.live_table.KEPT_GENERATIONS", 4)
    with catalog._db.transaction() as connection:
        connection.execute("DELETE FROM changes")
    for number in range(5):
        put(record(f"d{number}", f"new {number}", acl=("user:ann",)))
    catalog.delete("s", ["d8"])
    assert held(catalog) == true(catalog)
    assert len(catalog.readable_rows(LOCAL_USER)) == 3


def test_changes_are_kept_for_a_number_of_generations(catalog, put, record, monkeypatch):
    monkeypatch.setattr("llmapp.catalog.document_rows.KEPT_GENERATIONS", 3)
    for number in range(6):
        put(record(f"d{number}", "words"))
    assert [row[0] for row in catalog._db.read("SELECT DISTINCT generation FROM changes ORDER BY 1")] == [4, 5, 6]


@in_files
def test_a_table_of_which_much_has_left_begins_anew(catalog, put, record):
    put(*(record(f"d{number}", f"words {number}") for number in range(10)))
    assert held(catalog) == true(catalog)
    catalog.delete("s", [f"d{number}" for number in range(6)])
    assert held(catalog) == true(catalog)
    assert len(catalog.live_vectors().rows) == 4
    assert len([file for file in files(catalog) if file.suffix == ".vectors"]) == 1


@in_files
def test_a_new_process_reads_no_vector_from_the_catalog(catalog, put, record, no_full_read, monkeypatch):
    put(*(record(f"d{number}", f"words {number}") for number in range(50)))
    assert held(catalog) == true(catalog)
    no_full_read.clear()
    monkeypatch.setattr("llmapp.catalog.live_table._TRIED_CHUNKS", 5)
    with closing(Catalog(catalog._db.path)) as other:
        assert held(other) == true(catalog)
    assert len(no_full_read) <= 11  # 6 of all ages, and the last 5


def test_two_processes_follow_each_other(catalog, catalog_place, put, record):
    with closing(Catalog(catalog_place)) as other:
        for number in range(5):
            put(record(f"d{number}", f"words {number}"), record("again", f"words {number} again"))
            first, second = (catalog, other) if number % 2 else (other, catalog)
            assert held(first) == true(catalog)
            assert held(second) == true(catalog)


@in_files
@pytest.mark.parametrize("name", ["rows", "documents", "vectors"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_damaged_files_are_noticed_and_written_anew(catalog, put, record, name, damage):
    put(*(record(f"d{number}", f"words {number}") for number in range(20)))
    assert held(catalog) == true(catalog)
    path = column(catalog, name)
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[:-4])
    if damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with closing(Catalog(catalog._db.path)) as other:
        assert held(other) == true(catalog)
    assert held(catalog) == true(catalog)


@in_files
def test_a_head_that_cannot_be_read_is_written_anew(catalog, put, record):
    put(record("a", "one"))
    held(catalog)
    next(file for file in files(catalog) if file.name == "head.json").write_text('{"format": 99}')
    with closing(Catalog(catalog._db.path)) as other:
        assert held(other) == true(catalog)


@in_files
def test_what_a_dead_process_left_behind_the_end_is_overwritten(catalog, put, record):
    put(record("a", "one"))
    held(catalog)
    for name in ("rows", "documents", "vectors", "departed"):
        with column(catalog, name).open("ab") as file:
            file.write(b"half written")
    put(record("b", "two"))
    assert held(catalog) == true(catalog)
    with closing(Catalog(catalog._db.path)) as other:
        assert held(other) == true(catalog)


@in_files
def test_files_of_another_catalog_are_not_believed(catalog, put, record, embedder, tmp_path):
    put(*(record(f"d{number}", f"words {number}") for number in range(20)))
    held(catalog)
    with closing(Catalog(tmp_path / "other.db")) as other:
        records = [record(f"e{number}", f"other {number}") for number in range(20)]
        for item in records:  # of a higher generation than the files
            other.replace([item], {item.embedding_keys[0]: embedder.embed_query(item.text)})
        catalog._db.path.with_suffix(".vectors").rename(tmp_path / "other.vectors")
        assert held(other) == true(other)


@in_files
def test_files_that_are_newer_than_a_catalog_put_back_from_a_copy_are_not_believed(catalog, put, record, embedder, tmp_path):
    put(*(record(f"d{number}", f"words {number}") for number in range(200)))
    held(catalog)
    with closing(sqlite3.connect(catalog._db.path)) as now, closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        now.backup(copy)
    put(record("lost", "what was written after the copy was made"))
    held(catalog)
    catalog._db.path.with_suffix(".vectors").rename(tmp_path / "copy.vectors")
    with closing(Catalog(tmp_path / "copy.db")) as restored:
        for number in range(3):  # of the row number that was lost, and of a higher generation than the files
            item = record(f"new{number}", f"another history {number}")
            restored.replace([item], {item.embedding_keys[0]: embedder.embed_query(item.text)})
        assert held(restored) == true(restored)


@in_files
def test_a_folder_that_cannot_be_written_leaves_the_vectors_in_memory(catalog, put, record, caplog):
    catalog._db.path.with_suffix(".vectors").write_text("in the way")
    put(record("a", "one"), record("b", "two"))
    assert held(catalog) == true(catalog)
    put(record("a", "three"))
    catalog.delete("s", ["b"])
    assert held(catalog) == true(catalog)
    assert [entry.message for entry in caplog.records if "held in memory" in entry.message]


def test_another_embedder_begins_anew(catalog, put, record):
    put(record("a", "one"), record("b", "two"))
    held(catalog)
    catalog.forget_source("s")
    item = record("a", "one")
    catalog.replace([item], {item.embedding_keys[0]: np.ones(8, dtype=np.float32)})
    assert held(catalog) == true(catalog)
    assert catalog.live_vectors().vectors.shape == (1, 8)


def test_principals_who_may_read_the_same_share_one_view_and_others_do_not(catalog, put, record):
    put(record("a", "one"), record("b", "two", acl=("group:hr",)))
    eve, hr, also_hr = Principal("eve", ("sales",)), Principal("bob", ("hr",)), Principal("kim", ("hr", "sales"))
    assert catalog.readable(eve) is catalog.readable(LOCAL_USER)
    assert catalog.readable(hr) is catalog.readable(also_hr)
    assert catalog.readable(hr) is not catalog.readable(eve)
    assert catalog.readable(hr).holds(np.array([0, 1, 2, 3, 10**9])).sum() == 2


def test_the_views_that_were_used_least_go_when_there_are_too_many_bytes(catalog, put, record):
    put(*(record(f"d{number}", f"words {number}", acl=(f"user:u{number}", PUBLIC)) for number in range(9)))
    put(*(record(f"e{number}", f"words {number}", acl=(f"user:u{number}",)) for number in range(9)))
    catalog.readable(LOCAL_USER)
    catalog._views._most_bytes = 5 * catalog._views._bytes // 2
    views = [catalog.readable(Principal(f"u{number}")) for number in range(9)]
    assert [catalog.readable(Principal(f"u{number}")) is views[number] for number in (8, 7)] == [True, True]
    assert catalog.readable(Principal("u0")) is not views[0]


@pytest.mark.parametrize("seed", range(5))
def test_any_sequence_of_writes_and_readers_ends_in_what_the_catalog_holds(catalog, catalog_place, put, record, seed):
    chance = random.Random(seed)
    with closing(Catalog(catalog_place)) as other:
        for _ in range(60):
            names = [f"d{chance.randrange(12)}" for _ in range(chance.randrange(1, 4))]
            action = chance.randrange(4)
            if action == 0:
                catalog.delete("s", names)
            elif action == 1:
                catalog.set_access(
                    "s", {name: (chance.choice([PUBLIC, "user:ann", "user:bob"]),) for name in names}, own=True
                )
            else:
                texts = [f"w{chance.randrange(40)}" for _ in range(chance.randrange(1, 4))]
                put(*(record(name, *texts, acl=(chance.choice([PUBLIC, "user:ann"]),)) for name in dict.fromkeys(names)))
            for reader in (catalog, other):
                if chance.random() < 0.5:
                    assert held(reader) == true(catalog)
                    seen = set(catalog.chunks(list(catalog.chunk_ids()), principal=ANN))
                    assert set(reader.ids_of_rows(reader.readable_rows(ANN).tolist()).values()) == seen
