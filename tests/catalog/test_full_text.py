"""Search by words, against BM25 counted by hand."""

import math
from collections import Counter
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmapp.catalog import postings
from llmapp.catalog.bm25 import Bm25
from llmapp.catalog.catalog import Catalog
from llmapp.catalog.records import StagedChunks
from llmapp.errors import CatalogError
from llmapp.types import LOCAL_USER, PUBLIC, Principal
from llmapp.words.analysis import Words

VOCABULARY = ["storm", "storms", "water", "claim", "INV-2031/7", "水害", "the", "who", "café", "x"]
PRINCIPALS = [Principal("local"), Principal("jane"), Principal("max", ("staff",)), Principal("nobody", tenant="t")]


def by_hand(chunks, query, *, parameters):
    """BM25 over a list of chunks, as the docstring of `llmapp.catalog.bm25` has it."""
    words, counted = Words(), {}
    for chunk in chunks:
        counted[chunk.id] = Counter()
        for weight, text in ((2, chunk.title), (1.5, chunk.heading), (1, chunk.text)):
            for term in words.terms(text):
                counted[chunk.id][term] += weight
    mean = sum(count.total() for count in counted.values()) / max(1, len(counted))
    scores = {}
    for name, count in counted.items():
        score = 0
        for term in words.question(query):
            df = sum(term in other for other in counted.values())
            idf = math.log(1 + (len(counted) - df + 0.5) / (df + 0.5))
            norm = parameters.k1 * (1 - parameters.b + parameters.b * count.total() / mean)
            score += idf * count[term] * (parameters.k1 + 1) / (count[term] + norm) if count[term] else 0
        if score:
            scores[name] = score
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def assert_same(found, expected, top_k):
    """Equal scores; chunks whose scores differ by rounding alone may change places."""
    scores = dict(expected)
    assert [score for _, score in found] == pytest.approx([score for _, score in expected[:top_k]])
    assert [score for _, score in found] == pytest.approx([scores[name] for name, _ in found])
    assert len({name for name, _ in found}) == len(found)
    assert found == sorted(found, key=lambda item: (-item[1], item[0]))


texts = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=8).map(" ".join)
acls = st.sampled_from([(PUBLIC,), ("user:jane",), ("group:staff",), ("tenant:t", "user:jane"), ()])
acts = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "delete", "acl", "stage", "purge", "tidy"]),
        st.integers(0, 5),
        st.lists(texts, min_size=1, max_size=3),
        acls,
        texts,
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    acts=acts,
    queries=st.lists(texts, min_size=1, max_size=4),
    top_k=st.integers(1, 6),
    b=st.floats(0, 1),
    k1=st.floats(0, 3),
)
def test_every_search_is_that_of_a_catalog_of_the_readable_chunks_alone(
    tmp_path_factory, monkeypatch, record, embedder, acts, queries, top_k, b, k1
):
    monkeypatch.setattr(postings, "_MOST_ALIKE", 3)  # so that few commits merge
    catalog = Catalog(tmp_path_factory.mktemp("c") / "catalog.db")
    held = {}
    for act, number, parts, acl, heading in acts:
        name, item = f"d{number}", record(f"d{number}", *parts, acl=acl, title=parts[0], heading=heading)
        vectors = dict.fromkeys(item.embedding_keys, embedder.embed_query("x"))
        if act == "put":
            catalog.replace([item], vectors)
            held[name] = (acl, item.chunks)
        elif act == "stage":
            for part in range(len(item.chunks)):
                some = StagedChunks(
                    "s", name, "v", item.chunks[: part + 1], item.embedding_keys[: part + 1], part + 1 == len(item.chunks)
                )
                catalog.stage([some], vectors)
            catalog.replace([replace(item, chunks=(), embedding_keys=(), is_staged=True)], {})
            held[name] = (acl, item.chunks)
        elif act == "acl" and name in held:
            catalog.set_access("s", {name: acl}, own=True)
            held[name] = (acl, held[name][1])
        elif act == "tidy":
            catalog.drop_unused()
        elif name in held:
            catalog.delete("s", [name]) if act == "delete" else catalog.purge("s", name)
            del held[name]
    parameters = Bm25(k1, b)
    for principal in PRINCIPALS:
        readable = [chunk for acl, chunks in held.values() if principal.grants & set(acl) for chunk in chunks]
        for query in queries:
            found = catalog.match(query, principal=principal, top_k=top_k, parameters=parameters)
            assert_same(found, by_hand(readable, query, parameters=parameters), top_k)
    catalog.close()


def test_a_filter_narrows_what_is_found_and_changes_no_score(catalog, put, record):
    items = [record(f"d{number}", "storm " * number + "and water") for number in range(1, 9)]
    put(*items)
    everything = dict(catalog.match("storm water", principal=LOCAL_USER, top_k=99))
    table = catalog.live_vectors()
    rows = table.rows[::3]
    within = set(catalog.ids_of_rows(rows.tolist()).values())
    found = catalog.match("storm water", principal=LOCAL_USER, top_k=99, rows=rows)
    assert dict(found) == {name: score for name, score in everything.items() if name in within}
    assert catalog.match("storm", principal=LOCAL_USER, top_k=9, rows=np.zeros(0, dtype=np.int64)) == []


def test_rows_that_may_not_be_read_are_not_found_by_naming_them(catalog, put, record):
    put(record("a", "storm", acl=()), record("b", "storm"))
    rows = catalog.live_vectors().rows
    assert len(catalog.match("storm", principal=LOCAL_USER, top_k=9, rows=rows)) == 1


def test_hidden_documents_move_no_score(catalog, put, record):
    put(record("a", "storm and water"), record("b", "water"))
    before = catalog.match("storm water", principal=LOCAL_USER, top_k=9)
    put(*(record(f"hidden{number}", "storm " * 20, acl=()) for number in range(30)))
    assert catalog.match("storm water", principal=LOCAL_USER, top_k=9) == before


def test_a_row_number_is_never_given_again(catalog, put, record):
    put(record("a", "one", "two"))
    first = set(catalog.live_vectors().rows.tolist())
    catalog.delete("s", ["a"])
    put(record("a", "one", "two"))
    assert not first & set(catalog.live_vectors().rows.tolist())


def test_many_small_commits_leave_few_segments_and_all_is_found(catalog, put, record):
    for number in range(100):
        put(record(f"d{number}", f"storm number{number}"))
    assert len(catalog._db.read("SELECT id FROM segments")) < 10
    assert len(catalog.match("storm", principal=LOCAL_USER, top_k=1000)) == 100
    assert len(catalog.match("number57", principal=LOCAL_USER, top_k=5)) == 1


def test_what_is_gone_leaves_the_segments_once_it_is_much(catalog, put, record):
    put(*(record(f"d{number}", f"storm number{number}") for number in range(20)))
    catalog.delete("s", [f"d{number}" for number in range(2)])
    catalog.drop_unused()
    assert catalog._db.read("SELECT sum(size) FROM segments")[0][0] == 20
    catalog.delete("s", [f"d{number}" for number in range(2, 10)])
    catalog.drop_unused()
    assert catalog._db.read("SELECT sum(size) FROM segments")[0][0] == 10
    assert catalog._db.read("SELECT count(*) FROM postings WHERE term = 'number3'")[0][0] == 0
    catalog.delete("s", [f"d{number}" for number in range(20)])
    catalog.drop_unused()
    assert catalog._db.read("SELECT count(*) FROM segments")[0][0] == 0
    assert catalog.match("storm", principal=LOCAL_USER, top_k=5) == []


def test_a_catalog_opened_with_another_language_is_searched_by_it(catalog_place, put, record, catalog, caplog):
    put(record("a", "Die Häuser stehen"))
    catalog.stage(
        [StagedChunks("s", "b", "v", *chunk_and_key(record("b", "Viele Häuser")), is_complete=True)],
        vector_of(record("b", "Viele Häuser")),
    )
    assert catalog.match("Hauses", principal=LOCAL_USER, top_k=5) == []
    with closing(Catalog(catalog_place, words=Words("de"))) as german:
        assert f"the words of 1 chunks are analysed anew, by {Words('de').identity}" in caplog.text
        assert len(german.match("Hauses", principal=LOCAL_USER, top_k=5)) == 1
        german.replace([replace(record("b", "Viele Häuser"), chunks=(), embedding_keys=(), is_staged=True)], {})
        assert len(german.match("Hauses", principal=LOCAL_USER, top_k=5)) == 2
        # A process that was there before goes on with the analysis that the postings have now.
        assert len(catalog.match("Hauses", principal=LOCAL_USER, top_k=5)) == 2
        put(record("c", "Das Haus"))
        assert len(german.match("Hauses", principal=LOCAL_USER, top_k=5)) == 3


def chunk_and_key(item):
    return item.chunks, item.embedding_keys


def vector_of(item):
    return {key: np.eye(64, dtype=np.float32)[0] for key in item.embedding_keys}


def test_writing_the_full_text_anew_goes_on_where_it_was_broken_off(catalog_place, put, record, catalog, monkeypatch):
    put(*(record(f"d{number}", f"Häuser Nummer {number}") for number in range(10)))
    monkeypatch.setattr("llmapp.catalog.full_text._REINDEX_CHUNKS", 4)
    written = []

    def write_twice(connection, words, *, most_chunks):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(1)
        return go_on(connection, words, most_chunks=most_chunks)

    go_on = postings.index_more
    monkeypatch.setattr(postings, "index_more", write_twice)
    with pytest.raises(KeyboardInterrupt):
        Catalog(catalog_place, words=Words("de"))
    assert len(catalog.match("Häuser", principal=LOCAL_USER, top_k=99)) == 10  # the former serve
    monkeypatch.setattr(postings, "index_more", go_on)
    put(record("late", "Häuser"))
    with closing(Catalog(catalog_place, words=Words("de"))) as german:
        assert len(german.match("Hauses", principal=LOCAL_USER, top_k=99)) == 11
        assert german._db.read("SELECT count(*) FROM segments WHERE size > 4")[0][0] == 0
        assert german._db.read("SELECT sum(size) FROM segments")[0][0] == 11


def test_full_text_of_a_newer_llmapp_is_not_searched_by_this_one(catalog, put, record):
    put(record("a", "storm"))
    with catalog._db.transaction() as connection:
        connection.execute("UPDATE meta SET value = 'words-99-en' WHERE key = 'words'")
    with pytest.raises(CatalogError, match="another version"):
        catalog.match("storm", principal=LOCAL_USER, top_k=5)


def test_a_search_while_segments_are_merged_finds_all(catalog, put, record, monkeypatch):
    put(record("a", "storm"), record("b", "storm"))
    put(record("c", "storm"))
    load, merged = catalog._load, []

    def merge_first(parts):
        if not merged:
            merged.append(1)
            with catalog._db.transaction() as connection:
                postings._rewrite(connection, postings.segments(connection))
        return load(parts)

    monkeypatch.setattr(catalog, "_load", merge_first)
    assert len(catalog.match("storm", principal=LOCAL_USER, top_k=5)) == 3
