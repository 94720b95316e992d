"""What is purged is in no file, and stays out."""

import threading
from pathlib import Path

import pytest

from llmapp.catalog.sqlite import SQLiteDatabase
from llmapp.errors import CatalogError
from llmapp.types import LOCAL_USER

SECRET = "The merger with Halvorsen closes on the ninth of May for 12.7 million."


def bytes_of(catalog):
    """All that the files of a catalog hold. Of PostgreSQL without its log, which is the server's and is written round."""
    if isinstance(catalog._db, SQLiteDatabase):
        files = catalog._db.path.parent.glob("catalog.db*")
    else:
        with catalog._db._borrowed() as connection:
            connection.execute("CHECKPOINT")
        folder, number = catalog._db.read(
            "SELECT current_setting('data_directory'), (SELECT oid FROM pg_database WHERE datname = current_database())"
        )[0]
        files = Path(folder, "base", str(number)).iterdir()
    return b"".join(file.read_bytes() for file in files)


def test_a_purged_document_leaves_no_byte_in_any_file_nor_does_an_earlier_version_of_it(catalog, put, record):
    put(record("a", "Once it said: " + SECRET), record("b", "others"))
    put(record("a", "Now it says something else that is long enough to be looked for."))
    put(*(record(f"n{number}", f"filler {number} " * 50) for number in range(20)))
    assert SECRET.encode() in bytes_of(catalog)
    catalog.purge("s", "a")
    left = bytes_of(catalog)
    assert SECRET.encode() not in left
    assert b"something else that is long" not in left
    assert catalog.match("halvorsen", principal=LOCAL_USER, top_k=5) == []
    assert catalog.document_ids("s") == {"b", *(f"n{number}" for number in range(20))}


def test_a_plain_delete_does_leave_bytes_so_the_test_above_can_fail(catalog, put, record):
    put(record("a", SECRET))
    catalog.delete("s", ["a"])
    assert SECRET.encode() in bytes_of(catalog)


def test_a_vector_goes_when_no_other_document_uses_it_and_stays_when_one_does(catalog, put, record):
    put(record("a", "shared", "own words"), record("b", "shared"))
    traces = catalog.traces_of("s", "a")
    assert (len(traces.chunk_ids), len(traces.vectors)) == (2, 1)
    catalog.purge("s", "a")
    assert catalog.counts().embeddings == 1
    assert traces.vectors[0] not in bytes_of(catalog)


def test_pieces_that_another_document_has_too_are_not_looked_for(catalog, put, record):
    common = "This sentence stands in both of the documents, word for word."
    put(record("a", common, SECRET), record("b", "Before it. " + common))
    assert catalog.traces_of("s", "a").texts == (SECRET[:40].rsplit(maxsplit=1)[0],)


def test_what_is_left_is_counted_by_place(catalog, put, record):
    put(record("a", SECRET))
    traces = catalog.traces_of("s", "a")
    assert catalog.rows_left(traces)["chunks"] == 1
    assert catalog.rows_left(traces)["postings"] == 1
    assert catalog.terms_left(traces) == len(traces.terms) > 3
    catalog.purge("s", "a")
    assert set(catalog.rows_left(traces).values()) == {0}
    assert catalog.terms_left(traces) == 0


def test_a_term_is_looked_for_when_no_other_live_document_has_it(catalog, put, record):
    put(record("a", "alpha beta gamma"), record("b", "beta"), record("c", "gamma"), record("d", "delta"))
    catalog.delete("s", ["c"])
    assert set(catalog.traces_of("s", "a").terms) == {"alpha", "gamma"}


def test_no_segment_holds_a_word_that_only_purged_or_replaced_texts_had(catalog, put, record):
    put(record("a", "unusualword in it"), record("b", "anotherword in it"))
    put(record("a", "nothing of note"))
    assert b"unusualword" in bytes_of(catalog)
    assert catalog.match("in", principal=LOCAL_USER, top_k=5)
    catalog.purge("s", "b")
    left = bytes_of(catalog)
    assert b"unusualword" not in left
    assert b"anotherword" not in left
    assert len(catalog.match("note", principal=LOCAL_USER, top_k=5)) == 1


def test_a_purge_names_no_one_and_can_be_lifted(catalog, put, record):
    put(record("salary-of-jane-roe", "x"))
    catalog.purge("s", "salary-of-jane-roe")
    assert catalog.is_purged("s", "salary-of-jane-roe")
    assert catalog.any_purged()
    assert b"jane-roe" not in bytes_of(catalog)
    assert catalog.lift_purge("s", "salary-of-jane-roe")
    assert not catalog.lift_purge("s", "salary-of-jane-roe")
    assert not catalog.any_purged()


@pytest.mark.parametrize("name", ["s:a", "a", "u/a"])
def test_a_document_is_named_by_key_id_or_address(catalog, put, record, name):
    put(record("a", "x"), record("b", "y"))
    assert catalog.named(name) == [("s", "a")]


def test_a_reader_that_holds_on_to_the_old_state_is_said_to_stand_in_the_way(catalog, put, record, monkeypatch):
    put(record("a", SECRET, "and", "some", "more"))
    reader = catalog._db.iterate("SELECT chunk_id FROM chunks")
    next(reader)
    monkeypatch.setattr("llmapp.catalog.sqlite.BUSY_TIMEOUT_S", 0.05)
    monkeypatch.setattr("llmapp.catalog.postgres.BUSY_TIMEOUT_S", 0.05)
    failed = []

    def purge():
        while not catalog._db._idle.empty():  # connections with the long time-out
            catalog._db._idle.get().close()
        with pytest.raises(CatalogError, match="read"):
            catalog.purge("s", "a")
        failed.append(True)

    thread = threading.Thread(target=purge)
    thread.start()
    thread.join(30)
    reader.close()
    assert failed
    catalog.purge("s", "a")
    assert SECRET.encode() not in bytes_of(catalog)
