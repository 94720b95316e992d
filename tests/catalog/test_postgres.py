"""What PostgreSQL needs beyond what the catalog's own tests show on both databases."""

import os
import threading
import time

import psycopg
import pytest

from llmapp.catalog import document_rows as rows
from llmapp.catalog.catalog import Catalog
from llmapp.catalog.postgres_connection import translated
from llmapp.errors import CatalogError, CatalogVersionError, LockedError

PASSWORD = "correct-horse/staple"


@pytest.fixture
def database_kind():
    return "postgres"


@pytest.fixture
def url(new_database):
    return new_database()


@pytest.fixture
def on_server(url):
    """A connection of somebody else to the same database."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


@pytest.fixture
def open_catalog(url):
    opened = []

    def open_again():
        opened.append(Catalog(url))
        return opened[-1]

    yield open_again
    for catalog in opened:
        catalog.close()


def hang_up(on_server):
    """End all other connections to the database, as a restart of the server does."""
    on_server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    time.sleep(0.2)


@pytest.mark.parametrize(
    ("sql", "there"),
    [
        ("SELECT :a, :a_b", "SELECT %(a)s, %(a_b)s"),
        ("SELECT 'it''s :a' || ':' || :a", "SELECT 'it''s :a' || ':' || %(a)s"),
        ("SELECT x::text, '5%', 7 % 2", "SELECT x::text, '5%%', 7 %% 2"),
        ('SELECT ":a" -- or :a, 100%\n, :a', 'SELECT ":a" -- or :a, 100%%\n, %(a)s'),
        ("SELECT CAST(x AS INTEGER), 'INTEGER'", "SELECT CAST(x AS BIGINT), 'INTEGER'"),
        (
            "CREATE TEMP TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)",
            "CREATE TEMP TABLE IF NOT EXISTS t (n BIGINT) ON COMMIT DELETE ROWS",
        ),
    ],
)
def test_a_statement_is_put_into_the_words_of_postgresql(sql, there):
    assert translated(sql) == there


def test_a_wrong_password_is_named_with_the_way_out_and_is_never_shown(url, on_server):
    on_server.execute("DROP ROLE IF EXISTS locked")
    on_server.execute("CREATE ROLE locked LOGIN PASSWORD 'another'")
    with pytest.raises(CatalogError, match="password") as caught:
        Catalog(url.replace("postgres@", "locked:" + PASSWORD.replace("/", "%2F") + "@"))
    on_server.execute("DROP ROLE locked")
    assert "LLMAPP_CATALOG_URL" in caught.value.hint
    told = " ".join(map(repr, (caught.value, caught.value.__cause__, caught.value.args))) + str(caught.value)
    assert "correct-horse" not in told
    assert "locked@" in told


def test_a_server_that_is_not_there_is_named_with_the_way_out():
    with pytest.raises(CatalogError, match=r"postgresql://me@127\.0\.0\.1:1/db") as caught:
        Catalog("postgresql://me:secret-word@127.0.0.1:1/db")
    assert "see that the server runs" in caught.value.hint
    assert "secret-word" not in str(caught.value)


def test_a_database_that_is_not_there_is_named_with_the_way_out(postgres):
    with pytest.raises(CatalogError, match="nowhere") as caught:
        Catalog(postgres.replace("/postgres?", "/nowhere?"))
    assert "create the database" in caught.value.hint


def test_a_user_who_may_not_make_tables_is_told_so(url, on_server):
    on_server.execute("DROP ROLE IF EXISTS reader")
    on_server.execute("CREATE ROLE reader LOGIN")
    with pytest.raises(CatalogError, match="permission denied") as caught:
        Catalog(url.replace("postgres@", "reader@"))
    on_server.execute("DROP ROLE reader")
    assert "must own the schema" in caught.value.hint


def test_a_full_disk_is_told_with_the_way_out(catalog):
    sql = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    with pytest.raises(CatalogError, match="extend") as caught, catalog._db.transaction() as connection:
        connection.execute(sql)
    assert "free some disk space" in caught.value.hint


def test_the_newest_tables_are_made_once_however_many_open_at_the_same_time(url):
    opened, errors = [], []

    def open_it():
        try:
            opened.append(Catalog(url))
        except Exception as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for catalog in opened:
        catalog.close()
    assert (len(opened), errors) == (6, [])


def test_tables_of_a_newer_llmapp_are_refused_untouched(url, on_server, open_catalog):
    open_catalog()
    on_server.execute("UPDATE schema_version SET version = 999")
    with pytest.raises(CatalogVersionError, match="999"):
        Catalog(url)
    assert on_server.execute("SELECT version FROM schema_version").fetchone() == (999,)


def test_two_schemas_of_one_database_hold_two_catalogs(url, on_server):
    catalogs = []
    for name in ("one", "two"):
        on_server.execute(f"CREATE SCHEMA {name}")
        catalogs.append(Catalog(f"{url}&options=-csearch_path%3D{name}"))
    one, two = catalogs
    one.start_run("s")
    assert (one.sources(), two.sources()) == (["s"], [])
    with one.ingest_lock(), two.ingest_lock():
        pass
    for catalog in catalogs:
        catalog.close()


def test_connections_that_the_server_has_hung_up_are_made_anew(catalog, on_server_of):
    with on_server_of(catalog) as server:
        catalog.start_run("s")
        assert catalog.sources() == ["s"]
        hang_up(server)
        assert catalog.sources() == ["s"]
        catalog.start_run("t")
    assert catalog.sources() == ["s", "t"]


@pytest.fixture
def on_server_of():
    return lambda catalog: psycopg.connect(catalog._db._url.replace("+psycopg", ""), autocommit=True)


def test_whoever_has_lost_the_lock_with_its_connection_writes_nothing_more_under_it(catalog, on_server_of):
    with on_server_of(catalog) as server, catalog.ingest_lock() as lock:
        catalog.start_run("s")
        hang_up(server)
        assert not lock.held
        for _ in range(2):
            with pytest.raises(CatalogError, match="lock of ingest"):
                catalog.start_run("t")
    assert catalog.sources() == ["s"]
    with catalog.ingest_lock():
        catalog.start_run("t")
    assert catalog.sources() == ["s", "t"]


def test_a_lock_that_was_lost_can_be_taken_again_without_giving_it_back(catalog, on_server_of):
    lock = catalog.index_lock()
    with on_server_of(catalog) as server:
        assert lock.try_acquire()
        hang_up(server)
    assert not lock.held
    assert lock.try_acquire()
    catalog.start_run("s")
    lock.release()
    assert not lock.held


def test_one_process_holds_a_lock_and_the_message_names_it(open_catalog):
    one, two = open_catalog(), open_catalog()
    with one.ingest_lock(), pytest.raises(LockedError, match=rf"ingestion is held by llmapp .* {os.getpid()}"):
        two.ingest_lock().acquire()
    with two.ingest_lock():
        pass


def test_two_locks_of_one_process_exclude_each_other_and_one_is_reentrant(catalog):
    one, two = catalog.ingest_lock(), catalog.ingest_lock()
    with one, one:
        assert not two.try_acquire()
        one.release()
        one.acquire()
    assert not one.held
    assert two.try_acquire()
    two.release()


def test_whoever_waits_gets_the_lock_as_soon_as_it_is_free(open_catalog):
    one, two = open_catalog(), open_catalog()
    held = one.ingest_lock()
    held.acquire()
    threading.Timer(0.3, held.release).start()
    started = time.monotonic()
    with two.ingest_lock(wait_s=30):
        assert 0.2 < time.monotonic() - started < 20


def test_writers_of_two_processes_write_one_after_the_other(open_catalog):
    catalogs = [open_catalog(), open_catalog()]

    def count(catalog):
        for _ in range(25):
            with catalog._db.transaction() as connection:
                found = connection.execute("SELECT value FROM meta WHERE key = 'n'").fetchone()
                connection.execute("DELETE FROM meta WHERE key = 'n'")
                connection.execute("INSERT INTO meta VALUES ('n', :n)", {"n": str(int(found[0]) + 1 if found else 1)})

    threads = [threading.Thread(target=count, args=(catalog,)) for catalog in catalogs for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert catalogs[0]._db.read("SELECT value FROM meta WHERE key = 'n'")[0][0] == "100"


def test_a_writer_that_waits_too_long_is_told_that_another_writes(open_catalog, monkeypatch):
    one, two = open_catalog(), open_catalog()
    begin = two._db._begin.__globals__["_BEGIN"]
    monkeypatch.setattr("llmapp.catalog.postgres._BEGIN", begin.replace("'10s'", "'0.1s'"))
    with one._db.transaction(), pytest.raises(CatalogError) as caught:
        two.start_run("s")
    assert "another process holds the tables" in caught.value.hint


def test_rows_are_streamed_and_a_reader_may_stop_early(catalog):
    for _ in range(3):
        numbers = catalog._db.iterate("SELECT n FROM generate_series(1, 10000000) AS n")
        assert next(numbers)["n"] == 1
        numbers.close()
    assert catalog._db.read("SELECT 1 AS one")[0]["one"] == 1


def test_notes_of_a_transaction_do_not_pile_up(catalog, put, record):
    for number in range(30):
        put(record(f"d{number}", "one", "two", "three"))
    own = catalog._db._own
    assert own.execute("SELECT count(*) FROM former").fetchone()[0] == 0
    assert own.execute("SELECT pg_relation_size('touched') + pg_relation_size('former')").fetchone()[0] == 0


def test_a_document_is_written_without_reading_the_chunks_of_all_others(catalog, put, record):
    put(*(record(f"d{number}", *(f"text {number} {part}" for part in range(8))) for number in range(200)))
    with catalog._db.transaction() as connection:
        rows.begin(connection)
        rows.touch(connection, [1])
        plan = connection.execute("EXPLAIN DELETE FROM chunks WHERE document IN (SELECT document FROM touched)").fetchall()
    assert "chunks_by_place" in "\n".join(row[0] for row in plan)


def test_what_another_process_commits_is_seen_at_once(open_catalog, record, embedder):
    writer, reader = open_catalog(), open_catalog()
    assert reader.generation() == 0
    item = record("a", "text")
    writer.replace([item], {item.embedding_keys[0]: embedder.embed_query("text")})
    assert reader.generation() == 1
    assert reader.document_ids("s") == {"a"}
    assert reader.live_vectors().live == 1
