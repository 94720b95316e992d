import sqlite3
import threading

import pytest

from llmapp.catalog.sqlite import SQLiteDatabase, _statements
from llmapp.errors import CatalogError, CatalogVersionError

MIGRATIONS = "llmapp.catalog.migrations"


def test_a_transaction_keeps_all_or_nothing(tmp_path):
    database = SQLiteDatabase(tmp_path / "a.db", migrations=MIGRATIONS)

    def write_and_fail():
        with database.transaction() as connection:
            connection.execute("INSERT INTO meta VALUES ('k', 'v')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert database.read("SELECT * FROM meta") == []
    database.close()


def test_threads_write_one_after_the_other(tmp_path):
    database = SQLiteDatabase(tmp_path / "a.db", migrations=MIGRATIONS)

    def write(number):
        for i in range(20):
            with database.transaction() as connection:
                connection.execute("INSERT INTO meta VALUES (:k, 'v')", {"k": f"{number}-{i}"})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.read("SELECT count(*) FROM meta")[0][0] == 80
    database.close()


def test_a_newer_database_is_refused_untouched(tmp_path):
    path = tmp_path / "a.db"
    SQLiteDatabase(path, migrations=MIGRATIONS).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(CatalogVersionError, match="999"):
        SQLiteDatabase(path, migrations=MIGRATIONS)
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone()[0] == 999


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path):
    (tmp_path / "a.db").write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    with pytest.raises(CatalogError, match=r"a\.db"):
        SQLiteDatabase(tmp_path / "a.db", migrations=MIGRATIONS)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CatalogError):
        SQLiteDatabase(tmp_path / "file" / "a.db", migrations=MIGRATIONS)


def test_opening_again_changes_nothing(tmp_path):
    path = tmp_path / "a.db"
    SQLiteDatabase(path, migrations=MIGRATIONS).close()
    before = path.read_bytes()
    SQLiteDatabase(path, migrations=MIGRATIONS).close()
    assert path.read_bytes() == before


def test_a_script_is_cut_into_its_statements():
    script = "CREATE TABLE a (x);\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n DELETE FROM a;\n DELETE FROM a;\nEND;\n"
    assert len(list(_statements(script))) == 2
