import datetime as dt
import json
import shutil
import subprocess
import sys
import tracemalloc
from decimal import Decimal

import pytest
import sqlalchemy
from pydantic import SecretStr, ValidationError

from llmapp.connector import (
    Checkpoint,
    ConnectorAuthError,
    ConnectorError,
    CursorRejectedError,
    Delete,
    Failure,
    SourceNotFoundError,
    SourceUnavailableError,
    Upsert,
)
from llmapp.errors import ConfigError
from llmapp.testing.contracts import ConnectorContract
from llmapp_connectors.sql import Sql
from llmapp_connectors.sql.session import rows, told
from llmapp_connectors.sql.values import as_cursor, as_grants, as_json, as_text, from_cursor, is_set

TABLE = """create table notes (
    id integer, body varchar(200), title varchar(50), changed {time}, number integer, gone {truth}, readers varchar(200))"""
NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
TYPES = {
    "sqlite": ("text", "integer"),
    "postgresql": ("timestamp with time zone", "boolean"),
    "mysql": ("datetime(6)", "bit(1)"),
}


class Database:
    """A database that a test writes to, and the settings that read it."""

    def __init__(self, url):
        self.url = url
        self.engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        self.kind = self.engine.dialect.name

    def run(self, *statements):
        with self.engine.begin() as connection:
            return [connection.exec_driver_sql(statement) for statement in statements]

    def count(self):
        with self.engine.connect() as connection:
            return connection.exec_driver_sql("select count(*) from notes").scalar()

    def add(self, *notes):
        """Rows of (id, body, minute), all that is left out NULL; a minute of None leaves the time NULL."""
        columns = ("id", "body", "changed", "number")
        made = sqlalchemy.table("notes", *map(sqlalchemy.column, columns))
        values = [dict(zip(columns, (*note[:2], self.time(note[2]), note[2]), strict=True)) for note in notes]
        with self.engine.begin() as connection:
            connection.execute(made.insert(), values)

    def time(self, minute):
        if minute is None:
            return None
        moment = dt.datetime(2024, 5, 1, 12, minute, 7, 250_000, tzinfo=dt.UTC)
        return {"sqlite": moment.isoformat(), "mysql": moment.replace(tzinfo=None)}.get(self.kind, moment)

    def connector(self, **settings):
        given = {"url": self.url, "table": "notes", "id_columns": "id", "text_columns": "body", **settings}
        return Sql(**{name: value for name, value in given.items() if value is not None})

    def read(self, cursor=None, **settings):
        return list(self.connector(**settings).read(cursor))


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def database(request, tmp_path):
    url = f"sqlite:///{tmp_path / 'a b.db'}" if request.param == "sqlite" else request.getfixturevalue(request.param)
    made = Database(url)
    time, truth = TYPES[made.kind]
    made.run("drop table if exists notes", TABLE.format(time=time, truth=truth))
    return made


@pytest.fixture
def sqlite(tmp_path):
    made = Database(f"sqlite:///{tmp_path / 'notes.db'}")
    made.run(TABLE.format(time="text", truth="integer"))
    return made


class TestSnapshotKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self, database):
        database.add((2, "two", 1), (1, "one", None), (None, "nameless", 1), (None, "nameless too", 1), (3, None, 1))
        database.run("update notes set readers = 'user:ann, group:staff' where id = 1")
        return database.connector(metadata_columns=["number", "changed"], acl_column="readers")


class TestChangesKeepTheContract(ConnectorContract):
    @pytest.fixture(params=["changed", "number"])
    def connector(self, request, database):
        database.add(
            *((number, f"note {number}", number // 2) for number in range(1, 9)), (9, "undated", None), (None, "?", 3)
        )
        return database.connector(cursor_column=request.param, checkpoint_rows=3)


def ids(changes):
    return [change.document.id for change in changes if isinstance(change, Upsert)]


def documents(changes):
    return {change.document.id: change.document for change in changes if isinstance(change, Upsert)}


def cursors(changes):
    return [change.cursor for change in changes if isinstance(change, Checkpoint)]


def test_without_a_cursor_column_it_is_a_snapshot_in_the_order_of_the_ids(database):
    database.add((3, "c", 1), (1, "a", 2), (2, "b", 3))
    assert database.connector().snapshot is True
    assert ids(database.read()) == ["1", "2", "3"]
    assert cursors(database.read()) == [None]
    assert ids(database.read(cursor="whatever a host might keep")) == ["1", "2", "3"]


def test_one_column_is_the_text_and_several_are_lines_with_their_names(sqlite):
    sqlite.add((1, "a body", 5))
    assert documents(sqlite.read())["1"].text == "a body"
    assert documents(sqlite.read(text_columns=["title", "body", "number"]))["1"].text == "body: a body\nnumber: 5"


def test_text_title_and_address_are_templates_and_columns(sqlite):
    sqlite.run("insert into notes (id, title, body) values (1, 'T {body}', 'B')")
    settings = {
        "text_columns": None,
        "text": "{title}: {body}",
        "title_column": "title",
        "uri": "https://x.example/{id}?q={body}",
    }
    document = documents(sqlite.read(**settings))["1"]
    assert (document.text, document.title) == ("T {body}: B", "T {body}")
    assert document.uri == "https://x.example/1?q=B"
    assert documents(sqlite.read())["1"].uri == "notes/1"


def test_a_query_is_read_like_a_table_whatever_signs_it_holds(database):
    database.add((1, "50 % at 12:30 :colon", 1), (2, "no", 2))
    query = "select id, upper(body) as body, number from notes where body like '%12:30 :colon%' -- :no \n;  "
    found = documents(database.read(table=None, query=query.replace("-- :no \n", ""), cursor_column="number"))
    assert {name: document.text for name, document in found.items()} == {"1": "50 % AT 12:30 :COLON"}


def test_a_cast_with_two_colons_is_left_alone(postgres):
    settings = {"query": "select 7::text as id, '1 day'::interval as body, array['a', 'b']::text[] as tags"}
    (found, _) = Sql(url=postgres, id_columns="id", text_columns="body", metadata_columns="tags", **settings).read(None)
    assert found.document.text == "1 day, 0:00:00"
    assert found.document.metadata == {"tags": ["a", "b"]}


def test_names_are_quoted_and_never_formatted_in(database):
    quote = "`" if database.kind == "mysql" else '"'
    odd = 'or"der; drop table notes --' if database.kind != "mysql" else "or`der; drop table notes --"
    written = quote + odd.replace(quote, quote * 2) + quote
    database.run(
        "drop table if exists odd_names", f"create table odd_names (id integer, {written.replace('%', '%%')} varchar(20))"
    )
    database.run("insert into odd_names values (1, 'fine')")
    assert documents(database.read(table="odd_names", text_columns=odd))["1"].text == "fine"
    with pytest.raises(SourceNotFoundError):
        database.read(table="notes; drop table notes")
    assert database.count() == 0


def test_a_table_in_a_schema_is_named_with_it(postgres):
    database = Database(postgres)
    database.run(
        "drop schema if exists shop cascade", "create schema shop", 'create table shop."Orders" (id integer, body text)'
    )
    database.run("insert into shop.\"Orders\" values (1, 'paid')")
    assert documents(database.read(table="shop.Orders"))["1"].text == "paid"


def test_several_id_columns_make_one_id_that_no_other_row_can_have(sqlite):
    sqlite.run("insert into notes (id, title, body) values (1, 'a/b', 'x'), (1, 'a', 'y'), (12, 'ü', 'z')")
    assert ids(sqlite.read(id_columns=["title", "id"])) == ["a/1", "a%2Fb/1", "%C3%BC/12"]


def test_rows_without_an_id_are_one_failure_and_the_rest_is_read(database):
    database.add((None, "a", 1), (None, "b", 2), (3, "c", 3))
    changes = database.read()
    assert [change for change in changes if isinstance(change, Failure)] == [
        Failure("(no id)", "a row or more with nothing in id", uri="notes")
    ]
    assert ids(changes) == ["3"]


def test_an_id_that_comes_twice_stops_the_run(database):
    database.add((1, "a", 1), (1, "b", 2))
    with pytest.raises(ConnectorError, match="two rows have the id '1'") as caught:
        database.read()
    assert "every column of the key" in caught.value.hint


def test_a_row_marked_as_deleted_is_a_deletion(database):
    database.add((1, "a", 1), (2, "b", 2), (3, "c", 3))
    yes, no = {"postgresql": ("true", "false"), "mysql": ("b'1'", "b'0'")}.get(database.kind, ("1", "0"))
    database.run(f"update notes set gone = {yes} where id = 1", f"update notes set gone = {no} where id = 2")
    changes = database.read(deleted_column="gone")
    assert Delete("1") in changes
    assert ids(changes) == ["2", "3"]


def test_access_lists_come_from_a_column_and_null_is_nobody(sqlite):
    sqlite.add((1, "a", 1), (2, "b", 2), (3, "c", 3))
    sqlite.run("update notes set readers = 'user:ann, public' where id = 1")
    sqlite.run("""update notes set readers = '["group:CN=a,OU=b"]' where id = 2""")
    found = documents(sqlite.read(acl_column="readers"))
    assert [found[name].acl for name in "123"] == [("user:ann", "public"), ("group:CN=a,OU=b",), ()]
    assert documents(sqlite.read())["1"].acl is None


@pytest.mark.parametrize("column", ["changed", "number"])
def test_from_a_cursor_come_the_rows_at_it_and_after_it_oldest_first(database, column):
    database.add((1, "a", 3), (2, "b", 1), (3, "c", 2), (4, "d", 3))
    first = database.read(cursor_column=column)
    assert database.connector(cursor_column=column).snapshot is False
    assert ids(first) == ["2", "3", "1", "4"]
    (cursor,) = cursors(first)
    database.add((5, "e", 4), (6, "f", 3), (7, "g", 2))
    assert ids(database.read(json.loads(json.dumps(cursor)), cursor_column=column)) == ["1", "4", "6", "5"]


def test_nothing_new_keeps_the_cursor(database):
    database.add((1, "a", 3))
    (cursor,) = cursors(database.read(cursor_column="changed"))
    database.run("delete from notes")
    assert database.read(cursor, cursor_column="changed") == [Checkpoint(cursor)]


@pytest.mark.parametrize("column", ["changed", "number"])
def test_rows_without_a_time_are_read_every_time_and_hold_nothing_up(database, column):
    database.add((1, "a", None), (2, "b", 1), (3, "c", 2), (4, "d", None))
    first = database.read(cursor_column=column, checkpoint_rows=1)
    assert set(ids(first)) == {"1", "2", "3", "4"}
    assert cursors(first)[-1] is not None
    assert set(ids(database.read(cursors(first)[-1], cursor_column=column))) == {"1", "3", "4"}


def test_a_row_dated_in_the_future_does_not_take_the_cursor_with_it(database):
    if database.kind == "sqlite":
        pytest.skip("SQLite has no type for time, so the text is taken as it is")
    database.run("insert into notes (id, body, changed) values (1, 'a', '2999-01-01 00:00:00')")
    (cursor,) = cursors(database.read(cursor_column="changed"))
    database.run("insert into notes (id, body, changed) values (2, 'b', current_timestamp)")
    assert ids(database.read(cursor, cursor_column="changed")) == ["2", "1"]


def test_a_cursor_of_another_making_is_refused(database):
    database.add((1, "a", 1))
    for cursor in ({"page": 1}, [1], {"datetime": "soon"}, {"datetime": 5}, {"Decimal": "x"}, {}):
        with pytest.raises(CursorRejectedError):
            database.read(cursor, cursor_column="changed")


@pytest.mark.parametrize(
    ("url", "query"),
    [
        ("sqlite", "delete from notes returning id, body"),
        ("postgres", "delete from notes returning id, body"),
        ("postgres", "select id, body from notes) as documents; commit; delete from notes; select (1"),
        ("postgres", "select id, body, wipe() from notes"),
        ("mariadb", "delete from notes returning id, body"),
        ("mariadb", "select id, concat(body, wipe()) as body from notes"),
    ],
)
def test_a_query_that_writes_fails_and_leaves_the_data_as_they_are(request, sqlite, url, query):
    database = sqlite if url == "sqlite" else Database(request.getfixturevalue(url))
    if database is not sqlite:
        time, truth = TYPES[database.kind]
        database.run("drop table if exists notes", TABLE.format(time=time, truth=truth), "drop function if exists wipe")
    if url == "postgres":
        database.run("create function wipe() returns int language sql as 'delete from notes; select 1'")
    if url == "mariadb":
        database.run("create function wipe() returns int begin delete from notes; return 1; end")
    database.add((1, "a", 1), (2, "b", 2))
    with pytest.raises(ConnectorError):
        database.read(table=None, query=query)
    assert database.count() == 2


def test_the_session_itself_refuses_to_write(database):
    database.add((1, "a", 1))
    for statement in (
        "delete from notes",
        "insert into notes (id) values (2)",
        "drop table notes",
        "create table more (id integer)",
    ):
        with pytest.raises(sqlalchemy.exc.DBAPIError, match=r"(?i)read.?only|DECLARE"):  # psycopg streams SELECTs alone
            list(rows(database.connector().url, sqlalchemy.text(statement)))
    assert database.count() == 1


def test_a_read_sees_one_instant_of_the_database(database):
    if database.kind == "sqlite":
        database.run("pragma journal_mode = wal")
    database.add(*((number, f"note {number}", 1) for number in range(2000)))
    changes = database.connector().read(None)
    next(changes)
    database.run("update notes set body = 'changed'", "delete from notes where id > 1500")
    found = documents(changes)
    assert len(found) == 1999
    assert {document.text for document in found.values()} == {f"note {number}" for number in range(1, 2000)}


def test_rows_are_streamed_not_held(database):
    body = "x" * 200
    database.run("drop table if exists many", "create table many (id integer primary key, body text)")
    made = sqlalchemy.table("many", sqlalchemy.column("id"), sqlalchemy.column("body"))
    with database.engine.begin() as connection:
        connection.execute(made.insert(), [{"id": number, "body": body * 20} for number in range(10_000)])  # 40 MB
    changes = database.connector(table="many").read(None)
    next(changes)
    tracemalloc.start()
    try:
        assert sum(1 for _ in changes) == 10_000
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


def test_a_read_may_end_early(database):
    database.add(*((number, f"note {number}", 1) for number in range(3000)))
    changes = database.connector().read(None)
    next(changes)
    changes.close()
    database.run("drop table notes")


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("no url with s3cret/pw", ConnectorError, "URL"),
        ("nosuchkind://me:s3cret@localhost/db", ConnectorError, "nosuchkind"),
        ("postgresql+pg8000://me:s3cret%2Fpw@localhost/db", ConnectorError, "driver pg8000 is not installed"),
        ("postgresql+psycopg://me:s3cret%2Fpw@127.0.0.1:1/db", SourceUnavailableError, "refused"),
        ("postgresql+psycopg://me@127.0.0.1:1/db?password=s3cret%2Fpw", SourceUnavailableError, "refused"),
        ("mysql+pymysql://me:s3cret%2Fpw@127.0.0.1:1/db", SourceUnavailableError, "refused"),
        ("sqlite:////nowhere/s3.db", SourceNotFoundError, "no database"),
    ],
)
def test_a_database_that_cannot_be_had_is_told_without_its_password(url, error, words):
    connector = Sql(url=url, table="notes", id_columns="id", text_columns="body")
    with pytest.raises(error, match=words) as caught:
        list(connector.read(None))
    assert type(caught.value) is error
    assert caught.value.hint
    for secret in ("s3cret/pw", "s3cret%2Fpw", "s3cret"):
        assert secret not in f"{caught.value} {caught.value.hint} {connector!r}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret%2Fpw@host/db",
        "postgresql://host/db?password=s3cret%2Fpw&user=me",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3Ds3cret%2Fpw",
    ],
)
def test_a_driver_that_repeats_the_url_is_silenced(url):
    decoded = "DRIVER=X;PWD=s3cret/pw" if "odbc" in url else "s3cret/pw"
    with pytest.raises(ConnectorError) as caught, told(SecretStr(url)):
        raise RuntimeError(f"no route to {url}\n{decoded}")
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_missing_database_file_is_not_created(tmp_path):
    with pytest.raises(SourceNotFoundError):
        list(Sql(url=f"sqlite:///{tmp_path}/none.db", table="t", id_columns="id", text_columns="id").read(None))
    assert not (tmp_path / "none.db").exists()


def test_a_wrong_password_is_an_authentication_error(postgres, mariadb):
    database = Database(postgres)
    database.run("drop role if exists locked", "create role locked login password 'right'")
    other = Database(mariadb)
    other.run("drop user if exists locked@localhost", "create user locked@localhost identified by 'right'")
    for url in (postgres.replace("postgres@", "locked:wr0ng%40pw@"), mariadb.replace("root@", "locked:wr0ng%40pw@")):
        with pytest.raises(ConnectorAuthError) as caught:
            list(Sql(url=url, table="notes", id_columns="id", text_columns="body").read(None))
        assert "wr0ng" not in str(caught.value)


def test_a_missing_right_is_an_authentication_error_too(postgres):
    database = Database(postgres)
    database.run("drop role if exists reader", "create role reader login", "drop table if exists private")
    database.run("create table private (id integer, body text)")
    with pytest.raises(ConnectorAuthError, match="permission denied"):
        list(
            Sql(url=postgres.replace("postgres@", "reader@"), table="private", id_columns="id", text_columns="body").read(
                None
            )
        )


@pytest.mark.parametrize("settings", [{"table": "nothere"}, {"text_columns": "nothere"}, {"metadata_columns": ["nothere"]}])
def test_a_missing_table_or_column_is_named(database, settings):
    with pytest.raises(SourceNotFoundError, match="nothere"):
        database.read(**settings)


def test_a_server_that_dies_during_a_read_raises_and_does_not_end_quietly(postgres):
    database = Database(postgres)
    database.run("drop table if exists notes", TABLE.format(time="timestamptz", truth="boolean"))
    database.add(*((number, f"note {number}", 1) for number in range(3000)))
    changes = database.connector().read(None)
    next(changes)
    database.run(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'FETCH%%' or query like 'DECLARE%%'"
    )
    with pytest.raises(SourceUnavailableError):
        list(changes)


@pytest.mark.parametrize(
    "settings",
    [
        {"table": "t", "query": "select 1", "text_columns": "b"},
        {"text_columns": "b"},
        {"table": "t"},
        {"table": "t", "text_columns": "b", "text": "{b}"},
    ],
)
def test_contradictory_settings_are_refused(settings):
    with pytest.raises(ConfigError, match="exactly one of"):
        Sql(url="sqlite://", id_columns="id", **settings)


def test_a_wrong_setting_does_not_repeat_the_url():
    with pytest.raises(ValidationError) as caught:
        Sql(url="postgresql://me:s3cret@h/d", table="t", id_columns=[], text_columns="b", colour="red")
    assert "s3cret" not in str(caught.value)


def test_sqlalchemy_is_imported_by_the_read_alone():
    script = "import sys; from llmapp_connectors.sql import Sql; print('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("value", "text", "written"),
    [
        (None, "", None),
        (True, "true", True),
        (7, "7", 7),
        (0.1, "0.1", 0.1),
        (float("inf"), "inf", "inf"),
        (Decimal("1E+3"), "1000", "1000"),
        (Decimal("19.90"), "19.90", "19.90"),
        (b"\x00\xff", "00ff", "00ff"),
        (memoryview(b"\x01"), "01", "01"),
        (dt.date(2024, 5, 1), "2024-05-01", "2024-05-01"),
        (dt.time(9, 5), "09:05:00", "09:05:00"),
        (dt.timedelta(minutes=5), "0:05:00", "0:05:00"),
        (NOON.replace(tzinfo=None), "2024-05-01T12:00:00", "2024-05-01T12:00:00"),
        (
            dt.datetime(2024, 5, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            "2024-05-01T10:00:00+00:00",
            "2024-05-01T10:00:00+00:00",
        ),
        (["ü", None, Decimal(1)], '["ü", null, "1"]', ["ü", None, "1"]),
        ({"b": 1, "a": [b"\x01"]}, '{"a": ["01"], "b": 1}', {"b": 1, "a": ["01"]}),
    ],
)
def test_values_become_stable_text_and_json(value, text, written):
    assert as_text(value) == text
    assert as_json(value) == written
    json.dumps(as_json(value), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "grants"),
    [
        (None, ()),
        ("", ()),
        ("public", ("public",)),
        ("user:a , group:b,", ("user:a", "group:b")),
        ('["user:a", "group:b,c"]', ("user:a", "group:b,c")),
        ('"public"', ("public",)),
        (["user:a", None, " "], ("user:a",)),
        ("[broken", ("[broken",)),
    ],
)
def test_grants_are_read_from_arrays_json_and_text(value, grants):
    assert as_grants(value) == grants


@pytest.mark.parametrize("value", [None, False, 0, b"\x00", "", "0", "F", "false ", "No", Decimal(0)])
def test_a_mark_that_says_no_deletes_nothing(value):
    assert not is_set(value)


@pytest.mark.parametrize("value", [True, 1, b"\x01", "1", "t", "2024-05-01", dt.date(2024, 5, 1)])
def test_a_mark_that_says_yes_deletes(value):
    assert is_set(value)


@pytest.mark.parametrize(
    "value",
    [
        5,
        2**40,
        0.5,
        "2024-05-01",
        dt.date(2024, 5, 1),
        NOON.replace(tzinfo=None, microsecond=4),
        NOON,
        Decimal("1.5"),
    ],
)
def test_a_cursor_comes_back_from_json_as_it_was(value):
    assert from_cursor(json.loads(json.dumps(as_cursor(value, None)))) == value


@pytest.mark.parametrize("value", [dt.date.max, NOON.replace(year=9999), NOON.replace(year=9999, tzinfo=None)])
def test_a_cursor_is_never_in_the_future(value):
    assert str(from_cursor(as_cursor(value, None))) < "2999"


def test_bytes_are_no_cursor():
    with pytest.raises(ConnectorError, match="cannot be a bytes"):
        as_cursor(b"\x01", None)


def test_the_host_takes_in_what_changed_and_deletes_what_is_gone(ingestor, catalog, database):
    database.add((1, "apples are red", 1), (2, "pears are green", 2), (3, "plums are blue", 3))
    connector = database.connector()
    assert ingestor.run("notes", connector, default_acl=("public",)).added == 3
    database.run("update notes set body = 'apples are yellow' where id = 1", "delete from notes where id = 3")
    report = ingestor.run("notes", connector, default_acl=("public",))
    assert (report.added, report.changed, report.unchanged, report.deleted) == (0, 1, 1, 1)


def test_the_host_goes_on_from_the_cursor(ingestor, catalog, database):
    database.add((1, "apples are red", 1), (2, "pears are green", 2))
    connector = database.connector(cursor_column="changed", deleted_column="gone")
    assert ingestor.run("notes", connector, default_acl=("public",)).added == 2
    yes = {"postgresql": "true", "mysql": "b'1'"}.get(database.kind, "1")
    later = f"'{database.time(9)}'"
    database.run(f"update notes set gone = {yes}, changed = {later} where id = 1")
    report = ingestor.run("notes", connector, default_acl=("public",))
    assert (report.deleted, report.unchanged, report.added) == (1, 1, 0)
    assert catalog.document_ids("notes") == {"2"}


@pytest.mark.data
def test_a_real_database_is_read_whole(data_dir, tmp_path):
    if not (data_dir / "sql-chinook").is_dir():
        pytest.skip("no evaluation data sql-chinook")
    shutil.copy(data_dir / "sql-chinook" / "Chinook_Sqlite.sqlite", tmp_path / "chinook.db")
    query = """select t.TrackId, t.Name, a.Title as Album, r.Name as Artist, t.UnitPrice
               from Track t join Album a using (AlbumId) join Artist r using (ArtistId)"""
    settings = {"id_columns": "TrackId", "title_column": "Name", "metadata_columns": "UnitPrice"}
    source = Sql(url=f"sqlite:///{tmp_path}/chinook.db", query=query, text_columns=["Name", "Album", "Artist"], **settings)
    found = documents(source.read(None))
    assert len(found) == 3503
    assert (
        found["1"].text
        == "Name: For Those About To Rock (We Salute You)\nAlbum: For Those About To Rock We Salute You\nArtist: AC/DC"
    )
    assert found["1"].metadata == {"UnitPrice": 0.99}
