import psycopg
import pytest

from llmapp.errors import ConfigError, IndexUnavailableError, MissingDependencyError
from llmapp.retrieval.indexes.pgvector.connections import is_too_old
from llmapp.retrieval.indexes.pgvector.table import PgVectorIndex
from llmapp.testing.contracts import VectorIndexContract
from llmapp.testing.vectors import clustered

VECTORS = clustered(20, 8)
IDS = [f"c{number}" for number in range(20)]


@pytest.fixture
def on_postgres(postgres, own_name):
    opened = PgVectorIndex(postgres, own_name)
    yield opened
    opened.close()


@pytest.fixture
def database(postgres):
    """A connection of an operator."""
    with psycopg.connect(postgres.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


class TestContract(VectorIndexContract):
    @pytest.fixture
    def open_index(self, postgres, own_name):
        return lambda: PgVectorIndex(postgres, own_name)


@pytest.mark.parametrize("url", ["", "localhost", "mysql://localhost/a", "postgresql://localhost:x/a"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ConfigError, match="is not postgresql://"):
        PgVectorIndex(url, "chunks")


def test_a_server_that_is_gone_is_a_typed_error_and_a_fault(tmp_path):
    gone = PgVectorIndex("postgresql://me:s3cret@127.0.0.1:1/a", "chunks")
    for call in (
        lambda: gone.query(VECTORS[0], top_k=1),
        lambda: gone.upsert(IDS, VECTORS),
        gone.ids,
        gone.clear,
        gone.settle,
    ):
        with pytest.raises(IndexUnavailableError, match="cannot be reached") as raised:
            call()
        assert "s3cret" not in str(raised.value)
    assert "cannot be reached" in gone.fault()


def test_without_its_packages_the_extra_is_named(on_postgres, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pgvector", None)
    with pytest.raises(MissingDependencyError) as raised:
        on_postgres.ids()
    assert "llmapp[pgvector]" in raised.value.hint


def test_a_table_that_is_gone_is_missing_not_empty(on_postgres, database, own_name):
    assert on_postgres.fault() == "the vector index is missing"
    on_postgres.upsert(IDS, VECTORS)
    assert on_postgres.fault() is None
    database.execute(f'DROP TABLE "{own_name}"')
    for call in (on_postgres.ids, lambda: on_postgres.query(VECTORS[0], top_k=1), lambda: on_postgres.vectors(IDS)):
        with pytest.raises(IndexUnavailableError, match="is missing"):
            call()


def test_a_search_that_takes_too_long_is_given_up_and_the_next_one_serves(on_postgres, postgres, database, own_name):
    on_postgres.upsert(IDS, VECTORS)
    hurried = PgVectorIndex(postgres, own_name, read_deadline_s=0.2)
    with database.transaction():
        database.execute(f'LOCK TABLE "{own_name}"')
        with pytest.raises(IndexUnavailableError, match=r"has not answered for 0\.2 s"):
            hurried.query(VECTORS[0], top_k=1)
    assert hurried.query(VECTORS[7], top_k=1)[0][0] == "c7"
    hurried.close()


def test_connections_that_the_server_has_ended_cost_one_failure(on_postgres, database):
    on_postgres.upsert(IDS, VECTORS)
    database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'llmapp'")
    with pytest.raises(IndexUnavailableError, match="cannot be reached"):
        on_postgres.ids()
    assert on_postgres.ids() == set(IDS)


def test_a_user_who_may_not_make_the_extension_is_told_who_may(postgres, database):
    database.execute("DROP ROLE IF EXISTS guest")
    database.execute("CREATE ROLE guest LOGIN")
    database.execute("CREATE DATABASE bare OWNER guest")
    bare = PgVectorIndex(postgres.replace("postgres@/postgres", "guest@/bare"), "chunks")
    with pytest.raises(IndexUnavailableError, match="extension") as raised:
        bare.upsert(IDS, VECTORS)
    assert "superuser" in raised.value.hint
    bare.close()
    database.execute("DROP DATABASE bare")


def test_what_another_process_has_made_anew_with_other_vectors_is_told_apart(on_postgres, postgres, own_name):
    on_postgres.upsert(IDS, VECTORS)
    other = PgVectorIndex(postgres, own_name)
    other.clear()
    longer = clustered(20, 12)
    other.upsert(IDS[:3], longer[:3])
    assert on_postgres.query(longer[2], top_k=1)[0][0] == "c2"
    other.close()


def is_indexed(database, name):
    found = database.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", (name,)).fetchall()
    return [row[0].split("USING ")[1] for row in found if "hnsw" in row[0]]


@pytest.mark.parametrize(
    ("dim", "index"),
    [(16, "hnsw (vector vector_ip_ops)"), (2_500, "hnsw (((vector)::halfvec(2500)) halfvec_ip_ops)"), (4_100, None)],
)
def test_the_index_is_made_when_there_are_many_and_used(on_postgres, database, own_name, monkeypatch, dim, index):
    monkeypatch.setattr("llmapp.retrieval.indexes.pgvector.table._INDEXED_FROM", 300)
    vectors = clustered(300, dim, clusters=5)
    ids = [f"c{number}" for number in range(300)]
    on_postgres.upsert(ids[:299], vectors[:299])
    on_postgres.settle()
    assert is_indexed(database, own_name) == []
    on_postgres.upsert(ids, vectors)
    on_postgres.settle()
    on_postgres.settle()
    assert is_indexed(database, own_name) == ([index] if index else [])
    for place in range(0, 300, 60):
        name, score = on_postgres.query(vectors[place], top_k=3)[0]
        assert (name, score) == (ids[place], pytest.approx(1, abs=1e-4))
    if index:
        database.execute("SELECT pg_stat_reset()")
        with on_postgres._connections.borrowed(deadline_s=5) as connection:
            connection.execute("SET enable_seqscan = off; SET enable_sort = off")
        on_postgres.query(vectors[0], top_k=3)
        with on_postgres._connections.borrowed(deadline_s=5) as connection:
            connection.execute("SELECT pg_stat_force_next_flush()")
        scans = database.execute(
            "SELECT idx_scan FROM pg_stat_user_indexes WHERE relname = %s AND indexrelname LIKE '%%vector%%'", (own_name,)
        )
        assert scans.fetchone()[0] >= 1


def test_names_with_quotes_are_names(postgres):
    odd = PgVectorIndex(postgres, 'a"b; DROP TABLE c')
    odd.upsert(IDS, VECTORS)
    assert odd.ids() == set(IDS)
    odd.clear()
    odd.close()


@pytest.mark.parametrize(
    ("version", "is_old"), [("0.7.4", True), ("0.8.1", True), ("0.8.2", False), ("0.10.0", False), ("1.0", False)]
)
def test_a_version_with_a_known_hole_is_too_old(version, is_old):
    assert is_too_old(version) == is_old
