"""Filters as the catalog answers them, against the same said in plain Python."""

import time
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from filters import oracle
from filters.strategies import FIELDS, filters, metadata
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmapp.catalog.catalog import Catalog
from llmapp.errors import UnknownFieldError
from llmapp.filters import parse_filter
from llmapp.retrieval.dense import DenseRetriever
from llmapp.retrieval.fusion import convex
from llmapp.retrieval.hybrid import HybridRetriever
from llmapp.retrieval.lexical import LexicalRetriever
from llmapp.types import PUBLIC, Principal

ANYONE = Principal("anyone")
grants = st.sampled_from([PUBLIC, "user:ann", "group:claims", "tenant:acme"])
EVERY_FIELD = ({name: ["anything", {"b": "anything"}] for name in FIELDS if "." not in name}, [PUBLIC])
"""A document that all may read, so that no field is unknown."""
principals = st.builds(
    Principal,
    st.sampled_from(["ann", "bob"]),
    st.sampled_from([(), ("claims",)]),
    st.sampled_from([None, "acme"]),
)


@pytest.fixture
def filled(put, record):
    """filled([metadata, ...]): a document of one chunk for each, named by its place."""

    def fill(*known, acls=None):
        acls = acls or [(PUBLIC,)] * len(known)
        put(
            *(
                replace(record(str(n), f"water {n}", acl=acl), metadata=one)
                for n, (one, acl) in enumerate(zip(known, acls, strict=True))
            )
        )

    return fill


def found(catalog, where, principal=ANYONE):
    """Ids of the documents whose chunks are readable and satisfy the filter."""
    rows = set(catalog.readable_rows(principal, parse_filter(where)).tolist())
    documents = catalog._db.read("SELECT c.id, d.document_id FROM chunks c JOIN documents d ON d.id = c.document")
    return {row[1] for row in documents if row[0] in rows}


def test_documents_are_found_by_their_metadata(catalog, filled):
    filled({"year": 2023, "tags": ["a", "b"]}, {"year": 2024, "author": {"name": "Ann"}}, {})
    assert found(catalog, "year >= 2023") == {"0", "1"}
    assert found(catalog, 'tags = "b"') == {"0"}
    assert found(catalog, 'author.name = "Ann" or not exists(year)') == {"1", "2"}


def test_documents_are_found_by_what_the_catalog_knows_of_them(catalog, put, record):
    put(replace(record("a", "water", title="Flood"), metadata={"title": "Other", "source": 7}))
    for where in (
        'source = "s"',
        'document_id = "a"',
        'uri = "u/a"',
        'title = "Flood"',
        'media_type = "text/plain"',
        "committed_at >= 2024-01-01",
        'metadata.title = "Other" and metadata.source = 7',
    ):
        assert found(catalog, where) == {"a"}, where
    assert not found(catalog, 'title = "Other" or source = 7 or committed_at < 2024-01-01')


def test_matching_documents_are_row_numbers_in_ascending_order(catalog, filled):
    filled(*({"n": n} for n in range(20)))
    matching = catalog.matching_documents(parse_filter("n >= 10"))
    assert matching.dtype == np.int64
    assert list(matching) == sorted(matching)
    assert len(matching) == 10


def test_a_filter_never_widens_what_may_be_read(catalog, filled):
    filled({"year": 2023}, {"year": 2023}, acls=[("user:ann",), ("user:bob",)])
    assert found(catalog, "year = 2023", Principal("ann")) == {"0"}
    assert found(catalog, "not year = 1", Principal("eve")) == set()


def test_metadata_that_change_alone_change_what_is_found(catalog, filled):
    filled({"year": 2023})
    assert found(catalog, "year = 2023") == {"0"}
    filled({"year": 2024})
    assert found(catalog, "year = 2023") == set()
    assert found(catalog, "year = 2024") == {"0"}


def test_a_document_that_was_deleted_is_not_found(catalog, filled):
    filled({"year": 2023}, {"year": 2023})
    catalog.delete("s", ["0"])
    assert found(catalog, "year = 2023") == {"1"}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    known=st.lists(st.tuples(metadata, st.lists(grants, max_size=2)), min_size=1, max_size=5),
    where=filters,
    principal=principals,
)
def test_no_retriever_finds_what_the_filter_or_the_access_list_excludes(
    tmp_path, embedder, put_into, known, where, principal
):
    known = [*known, EVERY_FIELD]
    with put_into(tmp_path, known) as catalog:
        expected = {
            str(number)
            for number, (one, acl) in enumerate(known)
            if principal.grants.intersection(acl) and oracle.satisfies(where, one)
        }
        assert found(catalog, where, principal) == expected
        fuse = partial(convex, weights=(0.5, 0.5))
        dense, lexical = DenseRetriever(catalog, embedder), LexicalRetriever(catalog)
        for retriever in (dense, lexical, HybridRetriever(dense, lexical, fuse=fuse, candidates=30, moments=catalog)):
            hits = retriever.retrieve("water", principal=principal, top_k=10, where=where)
            assert {hit.chunk.document_id for hit in hits} == expected


@pytest.fixture
def put_into(embedder, record):
    """A new catalog for each example."""

    @contextmanager
    def opened(folder, known):
        with TemporaryDirectory(dir=folder) as place, closing(Catalog(Path(place) / "catalog.db")) as catalog:
            records = [
                replace(record(str(number), f"water {number}", acl=acl), metadata=one)
                for number, (one, acl) in enumerate(known)
            ]
            vectors = {key: embedder.embed_query("water") for item in records for key in item.embedding_keys}
            catalog.replace(records, vectors)
            yield catalog

    return opened


def test_a_field_that_no_document_has_is_refused_with_the_nearest(catalog, filled):
    filled({"year": 2023})
    with pytest.raises(UnknownFieldError) as raised:
        found(catalog, "yaer = 2023 and source = 's'")
    assert raised.value.field == "yaer"
    assert raised.value.nearest == "year"
    assert "year" in raised.value.hint


def test_the_nearest_field_is_near_whatever_its_case(catalog, filled):
    filled({"Lang": "de", "flag": True})
    with pytest.raises(UnknownFieldError) as raised:
        found(catalog, "lang = 'de'")
    assert raised.value.nearest == "Lang"


def test_whether_a_field_exists_may_be_asked_though_no_document_has_it(catalog, filled):
    filled({"year": 2023}, {"year": 2024})
    assert found(catalog, "not exists(draft)") == found(catalog, "draft = null") == {"0", "1"}
    assert found(catalog, "exists(draft)") == set()
    with pytest.raises(UnknownFieldError):
        found(catalog, "not draft = true")


@pytest.mark.parametrize("count", [1, 2, 3, 1_999])
def test_as_many_days_as_a_filter_may_name_can_be_asked_for(catalog, filled, count):
    first = date(2020, 1, 1)
    filled({"day": "2020-01-01T10:00"}, {"day": "2031-01-01"})
    days = [{"$date": (first + timedelta(days=number)).isoformat()} for number in range(count)]
    assert found(catalog, {"day": {"$in": days}}) == {"0"}
    assert found(catalog, {"$or": [{"day": {"$in": days[: count // 2]}}, {"day": {"$in": days[count // 2 :]}}]}) == {"0"}


def test_filters_that_match_nothing_do_not_fill_the_memory(catalog, filled, monkeypatch):
    filled({"year": 2023})
    monkeypatch.setattr("llmapp.catalog.filtering._MOST_CACHED_BYTES", 100_000)
    catalog._views._most_bytes = 100_000
    for number in range(30):
        found(catalog, {"year": {"$in": [number * 200 + each for each in range(3_000, 3_100)]}})
    assert 1 < len(catalog._matching) < 15
    assert 1 < len(catalog._views._views) < 15
    kept = catalog.matching_documents(parse_filter("year = 2023"))
    assert catalog.matching_documents(parse_filter("year = 2023")) is kept


def test_a_mistyped_field_is_not_compared_with_any_number_of_names(catalog, filled):
    filled({f"name_of_a_field_{number}": 1 for number in range(3_000)}, acls=[("user:ann",)])
    filled({"year": 2023})
    start = time.process_time()
    with pytest.raises(UnknownFieldError):
        found(catalog, f"{'name_of_a_field_' * 12} = 1")
    assert time.process_time() - start < 5


def test_a_name_that_no_database_takes_is_on_no_access_list(catalog, filled):
    filled({"year": 2023}, {"year": 2024}, acls=[(PUBLIC,), ("group:hr",)])
    assert found(catalog, "year > 1", Principal("a\0b", ("hr", "\ud800"))) == {"0", "1"}
    assert len(catalog.chunks(list(catalog.chunk_ids()), principal=Principal("\ud800"))) == 1


def test_where_nothing_may_be_read_every_field_is_taken(catalog, filled):
    assert found(catalog, "year = 2023") == set()
    filled({"year": 2023}, acls=[("user:ann",)])
    assert found(catalog, "anything = 2023") == set()


def test_a_field_of_documents_that_may_not_be_read_is_not_told(catalog, filled):
    filled({"secret_plan": 1}, {"year": 1}, acls=[("user:ann",), (PUBLIC,)])
    with pytest.raises(UnknownFieldError) as raised:
        found(catalog, "secret_plam = 1")
    assert "secret_plan" not in raised.value.message + raised.value.hint
    with pytest.raises(UnknownFieldError):
        found(catalog, "secret_plan = 1")
    assert "secret_plan" not in {field.name for field in catalog.fields(ANYONE)}
    assert "secret_plan" in {field.name for field in catalog.fields(Principal("ann"))}


def test_a_field_that_comes_or_goes_is_noticed(catalog, filled):
    filled({"year": 2023})
    filled({"month": 5})
    assert found(catalog, "month = 5") == {"0"}
    with pytest.raises(UnknownFieldError):
        found(catalog, "year = 2023")


def test_fields_are_listed_with_the_kinds_of_their_values(catalog, filled):
    filled({"a": ["x", "y" * 300, True], "when": "2024-01-31"}, {"a": 1}, {"a": "z"})
    fields = {field.name: field.documents for field in catalog.fields(ANYONE)}
    assert fields["a"] == {"boolean": 1, "number": 1, "text": 2}
    assert fields["when"] == {"text": 1, "time": 1}
    assert set(fields) == {"a", "when", "committed_at", "document_id", "media_type", "source", "title", "uri"}


def test_facts_go_with_their_document(catalog, filled):
    filled({"year": 2023}, {"year": 2024})
    traces = catalog.traces_of("s", "0")
    catalog.purge("s", "0")
    assert catalog.rows_left(traces)["facts"] == 0
    catalog.delete("s", ["1"])
    assert catalog._db.read("SELECT count(*) FROM facts")[0][0] == 0


@pytest.mark.parametrize("noted", ["DELETE FROM meta", "UPDATE meta SET value = '1'"], ids=["none", "an earlier revision"])
def test_a_catalog_without_the_facts_of_today_is_filled_when_it_is_opened(tmp_path, put_into, embedder, noted):
    known = [({"year": year}, [PUBLIC]) for year in range(2000, 2005)]
    with put_into(tmp_path, known) as catalog:
        with catalog._db.transaction() as connection:
            connection.execute("DELETE FROM facts")
            connection.execute(f"{noted} WHERE key = 'facts'")
        with closing(Catalog(catalog._db.path)) as again:
            assert found(again, "year >= 2003") == {"3", "4"}


@pytest.mark.parametrize("value", ["x' OR 1=1 --", '"; DROP TABLE facts; --', ":p0", "?", "%s", "\0", "\ud800"])
def test_a_hostile_value_is_only_a_value(catalog, filled, value):
    filled({"a": "x", value.encode("ascii", "ignore").decode().replace("\0", "") or "b": 1})
    assert found(catalog, {"a": value}) == set()
    assert found(catalog, {"a": {"$nin": [value]}}) == {"0"}
    assert found(catalog, "a = 'x'") == {"0"}


def test_a_filter_as_large_as_one_may_be_is_answered(catalog, filled):
    filled({"n": 7})
    assert found(catalog, {"n": {"$in": list(range(1_900))}}) == {"0"}
    assert found(catalog, {"$or": [{"n": {"$gte": n}} for n in range(200)]}) == {"0"}
    deep = {"n": 7}
    for _ in range(30):
        deep = {"$not": deep}
    assert found(catalog, deep) == {"0"}
