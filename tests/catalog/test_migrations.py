"""A catalog of an earlier version opens, keeps its documents, and embeds nothing when they come again."""

import sqlite3
from contextlib import closing
from importlib import resources

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.sqlite import _statements
from llmapp.types import LOCAL_USER


def first_version(path):
    """A catalog as the first version wrote it, with one document of a list of its own and one that follows its source."""
    script = (resources.files("llmapp.catalog.migrations") / "0001_catalog.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in _statements(script):
            db.execute(statement)
        for number, mark in enumerate(("own", "default"), start=1):
            row = (
                number,
                "s",
                mark,
                f"{mark}.txt",
                "Title",
                f"words of {mark}",
                "[]",
                None,
                "{}",
                "1@x",
                f"{mark}-abc:def",
                "p",
                "now",
            )
            db.execute(f"INSERT INTO documents VALUES ({','.join('?' * 13)})", row)
            db.execute("INSERT INTO grants VALUES (?, 'public')", (number,))
            db.execute("INSERT INTO embeddings VALUES (?, ?, ?)", (number, f"key{number}", bytes(4 * 64)))
            chunk = (number, f"c{number}", number, number, "Title", "", f"words of {mark}", 0, 10, None)
            db.execute(f"INSERT INTO chunks VALUES ({','.join('?' * 10)})", chunk)
        db.execute(
            "INSERT INTO quarantine VALUES ('s', 'bad', 'bad.txt', 'parse', 'parse_failed', 'broken', NULL, 2, 'then')"
        )
        db.execute("INSERT INTO runs VALUES (1, 's', 'then', 'later', 'completed', '{}')")
        db.execute("INSERT INTO meta VALUES ('embedder', 'e')")
        db.execute("PRAGMA user_version = 1")


def test_a_catalog_of_the_first_version_opens_with_all_it_held(tmp_path):
    first_version(tmp_path / "catalog.db")
    with closing(Catalog(tmp_path / "catalog.db")) as catalog:
        assert catalog.text("s", "own", principal=LOCAL_USER) == "words of own"
        assert [(catalog.stored("s", name).own_acl) for name in ("own", "default")] == [True, False]
        assert catalog.outdated("chunker", "e") == [("s", "default"), ("s", "own")]
        assert catalog.quarantined()[0].attempts == 2
        assert catalog.runs()[0].seconds == {}
        assert len(catalog.match("words", principal=LOCAL_USER, top_k=5)) == 2
        assert catalog.delete("s", ["own"]) == 1
        assert catalog.text("s", "own", principal=LOCAL_USER) is None


def test_what_the_second_version_had_staged_has_row_numbers_of_its_own_and_is_found_once_it_is_live(tmp_path):
    first_version(tmp_path / "catalog.db")
    script = (resources.files("llmapp.catalog.migrations") / "0002_ingestion.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)) as db:
        for statement in _statements(script):
            db.execute(statement)
        for start in (0, 10):
            chunk = ("s", "own", "v", start, start + 9, f"staged{start}", 1, "Title", "", f"stone number {start}", None)
            db.execute(f"INSERT INTO staged_chunks VALUES ({','.join('?' * 11)})", chunk)
        db.execute("INSERT INTO staged_documents VALUES ('s', 'own', 'v')")
        db.execute("PRAGMA user_version = 2")
    with closing(Catalog(tmp_path / "catalog.db")) as catalog:
        assert catalog.match("stone", principal=LOCAL_USER, top_k=5) == []
        catalog.swap_staged(chunker="c", embedder="e")
        assert len(catalog.match("stone", principal=LOCAL_USER, top_k=5)) == 2
        assert len(catalog.match("words", principal=LOCAL_USER, top_k=5)) == 1
        table = catalog.live_vectors()
        assert table.rows[table.live_slots()].tolist() == [2, 3, 4]


def test_opening_it_again_changes_nothing(tmp_path):
    first_version(tmp_path / "catalog.db")
    digests = set()
    for _ in range(2):
        with closing(Catalog(tmp_path / "catalog.db")) as catalog:
            digests.add(catalog.digest())
    assert len(digests) == 1


SQLITE_COLUMNS = """
    SELECT m.name AS "table", c.name AS "column", lower(c.type) AS type, c."notnull" = 0 AND c.pk = 0 AS is_optional
    FROM sqlite_master m JOIN pragma_table_info(m.name) c
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1, 2
"""
POSTGRES_COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable = 'YES' FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name <> 'schema_version' ORDER BY 1, 2
"""
SQLITE_KEYS = """
    SELECT m.name, (SELECT group_concat(name, ' ') FROM (SELECT c.name FROM pragma_index_info(i.name) c ORDER BY c.seqno)), i."unique"
    FROM sqlite_master m JOIN pragma_index_list(m.name) i WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'
    UNION SELECT m.name, c.name, 1 FROM sqlite_master m JOIN pragma_table_info(m.name) c
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND c.pk = 1
    AND NOT EXISTS (SELECT 1 FROM pragma_table_info(m.name) o WHERE o.pk = 2)
"""
POSTGRES_KEYS = """
    SELECT c.relname, string_agg(a.attname, ' ' ORDER BY k.place), CAST(i.indisunique AS INT)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
    unnest(i.indkey) WITH ORDINALITY AS k (number, place) JOIN pg_attribute a ON a.attnum = k.number
    WHERE a.attrelid = i.indrelid AND n.nspname = current_schema() AND c.relname <> 'schema_version'
    GROUP BY i.indexrelid, c.relname, i.indisunique
"""
TYPES = {"integer": {"bigint", "boolean"}, "text": {"text"}, "blob": {"bytea"}, "real": {"double precision"}}


def test_both_databases_end_in_the_same_tables_columns_and_keys(tmp_path, new_database):
    with closing(Catalog(tmp_path / "catalog.db")) as here, closing(Catalog(new_database())) as there:
        columns = [tuple(row) for row in here._db.read(SQLITE_COLUMNS)]
        others = [tuple(row) for row in there._db.read(POSTGRES_COLUMNS)]
        assert [(*row[:2], bool(row[3])) for row in columns] == [(*row[:2], row[3]) for row in others]
        assert [row for row, other in zip(columns, others, strict=True) if other[2] not in TYPES[row[2]]] == []
        assert {tuple(row) for row in here._db.read(SQLITE_KEYS)} == {tuple(row) for row in there._db.read(POSTGRES_KEYS)}
