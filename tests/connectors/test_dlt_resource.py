"""Resources of the kinds that there are, run by the real dlt, outside any pipeline."""

import json
import socket
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import dlt
import pytest
from pydantic import SecretStr, ValidationError

from llmapp.connector import (
    Checkpoint,
    ConnectorAuthError,
    ConnectorError,
    CursorRejectedError,
    Delete,
    Failure,
    SourceUnavailableError,
    Upsert,
)
from llmapp.errors import MissingDependencyError
from llmapp.testing.contracts import ConnectorContract
from llmapp_connectors.bridges.dlt_resource import DltRows

HERE = "resources_of_the_test"
TABLE = []
"""The rows of the source, which a test changes."""


def day(number):
    return datetime(2026, 1, number, tzinfo=UTC)


def row(number, text, updated=1, **others):
    return {"id": number, "body": text, "updated_at": day(updated)} | others


@dlt.resource(primary_key="id")
def everything():
    yield from TABLE


@dlt.resource(primary_key="id")
def changed(updated=dlt.sources.incremental("updated_at", initial_value=day(1))):  # noqa: B008 - as dlt has it
    yield [row for row in TABLE if row["updated_at"] >= updated.last_value]


@dlt.resource
def pages():
    """Keeps its own place in the state."""
    state = dlt.current.resource_state()
    for number in range(state.get("page", 0), len(TABLE)):
        yield TABLE[number]
        state["page"] = number + 1


@dlt.source
def shop():
    yield dlt.resource([row(1, "an order")], name="orders")
    yield dlt.resource([row(1, "a customer")], name="customers")


@dlt.source
def single():
    return everything


@dlt.resource(parallelized=True)
def parallel():
    yield from TABLE


@dlt.transformer(data_from=everything)
def shouted(row):
    return {**row, "body": row["body"].upper()}


@dlt.resource
async def asynchronous():
    for one in TABLE:
        yield one


@dlt.resource
def guarded(token, failure=None):
    yield row(1, "words", link=f"http://host/?token={token}")
    if isinstance(failure, int):
        error = ValueError(f"{failure} for {token}")
        error.response = type("Response", (), {"status_code": failure})()
        raise error
    if failure == "timeout":
        raise TimeoutError(token)
    if failure:
        raise ValueError(f"failed with {token}")


@dlt.resource
def configured(api_key: str = dlt.secrets.value):
    yield row(1, f"{len(api_key)} characters")


@dlt.resource
def numbers():
    yield from range(3)


class Batch:
    """As Arrow tables are read."""

    def to_pylist(self):
        return list(TABLE)


@dlt.resource
def batches():
    yield Batch()


bound = dlt.resource([row(1, "made already")], name="bound")


def undecorated():
    yield row(1, "x")


@pytest.fixture(autouse=True)
def _importable(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])
    monkeypatch.setattr(sys.modules[__name__], "TABLE", [row(1, "one"), row(2, "two", 2), row(3, "three", 3)])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def rows(name="everything", **settings):
    return DltRows(resource=f"{HERE}:{name}", **{"text_keys": ("body",)} | settings)


def read(connector, cursor=None):
    """Changes without the last, and the cursor of the last, through JSON."""
    *changes, last = connector.read(cursor)
    return changes, json.loads(json.dumps(last.cursor))


def texts(changes):
    return {change.document.id: change.document.text for change in changes}


class TestASnapshotKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self):
        return rows()


class TestAnIncrementalResourceKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self):
        return rows("changed", incremental=True, updated_key="updated_at", deleted_key="gone")


class TestACarelessResourceKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self):
        return rows("guarded", secrets={"token": SecretStr("s3cret!")}, uri_key="link", metadata_keys=("link",))


def test_a_row_becomes_a_document():
    TABLE[:] = [
        row(1, "words", title="T", url="http://x/1", price=Decimal("1.50"), day=date(2026, 1, 2), tags={"b", "a"}, note=None)
    ]
    connector = rows(
        text_keys=("body", "note", "price"),
        title_key="title",
        uri_key="url",
        updated_key="updated_at",
        metadata_keys=("day", "tags", "none"),
    )
    (change,), _ = read(connector)
    document = change.document
    assert (document.id, document.uri, document.title) == ("1", "http://x/1", "T")
    assert document.text == "words\n\n1.50"
    assert document.revision == "2026-01-01T00:00:00+00:00"
    assert document.metadata == {"day": "2026-01-02", "tags": ["a", "b"], "none": None}


def test_a_row_without_an_address_gets_one_of_resource_and_id():
    assert read(rows())[0][0].document.uri == f"{HERE}:everything#1"


def test_without_memory_every_read_brings_every_row():
    connector = rows("changed")
    assert connector.snapshot
    changes, cursor = read(connector)
    assert cursor is None
    assert texts(changes) == {"1": "one", "2": "two", "3": "three"}
    assert texts(read(connector, {"sources": {}})[0]) == texts(changes)


def test_an_incremental_resource_goes_on_where_it_ended():
    connector = rows("changed", incremental=True)
    assert not connector.snapshot
    changes, cursor = read(connector)
    assert texts(changes) == {"1": "one", "2": "two", "3": "three"}
    assert read(connector, cursor) == ([], cursor)
    TABLE.append(row(4, "four", 4))
    TABLE[0] = row(1, "uno", 5)
    changes, cursor = read(connector, cursor)
    assert texts(changes) == {"1": "uno", "4": "four"}
    assert read(connector, cursor)[0] == []


def test_what_a_resource_keeps_in_its_own_state_is_kept_too():
    connector = rows("pages", incremental=True)
    cursor = read(connector)[1]
    TABLE.append(row(4, "four"))
    assert texts(read(connector, cursor)[0]) == {"4": "four"}


def test_a_read_that_was_cut_short_has_no_cursor_and_starts_again():
    connector = rows("pages", incremental=True)
    changes = connector.read(None)
    next(changes)
    changes.close()
    assert len(read(connector)[0]) == 3


def test_two_reads_at_once_do_not_share_their_state():
    connector = rows("pages", incremental=True)
    one, other = connector.read(None), connector.read(None)
    pairs = list(zip(one, other, strict=True))
    assert all(first == second for first, second in pairs)
    assert len(pairs) == 4


@pytest.mark.parametrize("cursor", ["text", 7, [1], {"sources": "\uf027no time"}])
def test_a_cursor_of_another_kind_is_rejected(cursor):
    with pytest.raises((CursorRejectedError, ConnectorError)) as caught:
        read(rows("changed", incremental=True), cursor)
    assert caught.value.hint


def test_a_row_that_is_marked_as_gone_is_deleted():
    TABLE[1]["gone"] = day(3)
    TABLE[2]["gone"] = False
    changes, _ = read(rows("changed", incremental=True, deleted_key="gone"))
    assert [type(change) for change in changes] == [Upsert, Delete, Upsert]
    assert changes[1] == Delete("2")


def test_a_row_without_an_id_is_a_failure_and_the_rest_goes_on():
    TABLE[0] = {"body": "nameless"}
    TABLE[1]["id"] = None
    changes, _ = read(rows())
    assert changes[:2] == [Failure(f"row {number}", "it has no id", uri=f"{HERE}:everything") for number in (1, 2)]
    assert texts(changes[2:]) == {"3": "three"}


@pytest.mark.parametrize("name", ["everything", "single", "parallel", "asynchronous", "batches"])
def test_every_kind_of_resource_is_read(name):
    assert texts(read(rows(name))[0]) == {"1": "one", "2": "two", "3": "three"}


def test_a_transformer_is_read_with_what_it_transforms():
    assert texts(read(rows("shouted"))[0]) == {"1": "ONE", "2": "TWO", "3": "THREE"}


def test_a_resource_that_is_made_already_is_read_as_often_as_asked():
    assert read(rows("bound")) == read(rows("bound"))
    assert texts(read(rows("bound"))[0]) == {"1": "made already"}


def test_one_resource_of_a_source_is_selected():
    assert texts(read(rows("shop", select="customers"))[0]) == {"1": "a customer"}
    for select in (None, "goods"):
        with pytest.raises(ConnectorError) as caught:
            read(rows("shop", select=select))
        assert "orders, customers" in caught.value.hint


@pytest.mark.parametrize("name", ["undecorated", "no_such_name", "TABLE", "numbers", "day"])
def test_what_is_no_resource_or_yields_no_rows_is_refused(name):
    with pytest.raises(ConnectorError) as caught:
        read(rows(name))
    assert caught.value.hint


def test_what_is_no_import_path_is_refused():
    with pytest.raises(ValidationError):
        DltRows(resource="os.system", text_keys=("body",))


def test_a_secret_of_dlt_itself_is_found_by_dlt(monkeypatch):
    with pytest.raises(ConnectorError, match="configured failed: ConfigFieldMissingException"):
        read(rows("configured"))
    monkeypatch.setenv("API_KEY", "12345")
    assert texts(read(rows("configured"))[0]) == {"1": "5 characters"}


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        ("plain", ConnectorError, "ValueError"),
        ("timeout", SourceUnavailableError, "TimeoutError"),
        (403, ConnectorAuthError, "status 403"),
        (503, SourceUnavailableError, "status 503"),
    ],
)
def test_a_resource_that_fails_stops_the_run_without_a_word_about_the_secret(failure, kind, words):
    changes = rows("guarded", arguments={"failure": failure}, secrets={"token": "s3cret!"}).read(None)
    assert next(changes).document.id == "1"
    with pytest.raises(ConnectorError, match=words) as caught:
        list(changes)
    assert type(caught.value) is kind
    assert "s3cret!" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_without_secrets_the_resources_own_words_are_told():
    with pytest.raises(ConnectorError, match="guarded failed: ValueError: failed with abc"):
        read(rows("guarded", arguments={"token": "abc", "failure": "now"}))


def test_nothing_is_written_and_nobody_is_called(tmp_path, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection is opened"))
    read(rows("changed", incremental=True))
    assert list(tmp_path.iterdir()) == []


def test_without_dlt_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlt.common.json", None)
    with pytest.raises(MissingDependencyError) as caught:
        read(rows())
    assert "llmapp[dlt]" in caught.value.hint


def test_an_empty_resource_is_only_a_checkpoint():
    TABLE.clear()
    assert list(rows().read(None)) == [Checkpoint(None)]


def test_the_host_stores_what_the_resource_remembers(ingestor, catalog):
    connector = rows("changed", incremental=True, deleted_key="gone")
    assert ingestor.run("rows", connector, default_acl=("public",)).added == 3
    TABLE[:] = [row(4, "four", 4), row(2, "", 5, gone=True)]
    report = ingestor.run("rows", connector, default_acl=("public",))
    assert (report.added, report.deleted) == (1, 1)
    assert set(catalog.document_ids("rows")) == {"1", "3", "4"}
