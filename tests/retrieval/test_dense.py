from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.lock import FileLock
from llmapp.retrieval.dense import DenseRetriever
from llmapp.retrieval.planning import Costs
from llmapp.types import LOCAL_USER, PUBLIC, Principal

WORDS = ["water", "fire", "glass", "wine", "claim", "policy", "paid", "broken"]
GRANTS = [PUBLIC, "user:ann", "user:bob", "group:claims", "group:sales"]
PRINCIPALS = [LOCAL_USER, Principal("ann"), Principal("bob", ("claims",)), Principal("eve", ("sales", "claims"))]

SLOW_TO_COMPARE = Costs(number_s=1.0)
"""Makes the index the faster way, however few there are."""


@pytest.fixture
def exact(catalog, embedder):
    return DenseRetriever(catalog, embedder)


@pytest.fixture
def through_index(catalog, embedder, index, lock, serve):
    lock.acquire()
    yield DenseRetriever(catalog, embedder, index=serve(index, lock), exact_up_to=0, costs=SLOW_TO_COMPARE)
    lock.release()


def names(hits):
    return [hit.chunk.document_id for hit in hits]


def test_the_nearest_comes_first(exact, put):
    put(flood="water damage in the cellar", fire="fire in the kitchen", wine="a bottle of wine")
    hits = exact.retrieve("water in the cellar", principal=LOCAL_USER, top_k=2)
    assert names(hits) == ["flood", "fire"]
    assert [hit.rank for hit in hits] == [1, 2]
    assert hits[0].score > hits[1].score
    assert {hit.retriever for hit in hits} == {"dense"}


@pytest.mark.parametrize("query", ["", "  "])
def test_a_blank_question_finds_nothing(exact, put, query):
    put(flood="water")
    assert exact.retrieve(query, principal=LOCAL_USER, top_k=3) == []


def test_a_small_set_is_searched_exactly_without_the_index(catalog, embedder, index, lock, put, serve):
    put(flood="water")
    retriever = DenseRetriever(catalog, embedder, index=serve(index, lock), exact_up_to=1)
    assert names(retriever.retrieve("water", principal=LOCAL_USER, top_k=3)) == ["flood"]
    assert retriever.degraded is None
    assert index._collection is None


def test_the_index_serves_a_large_set(through_index, projection, put, monkeypatch):
    put(**{f"d{number}": f"water word{number}" for number in range(50)})
    projection.apply_pending()
    monkeypatch.setattr("llmapp.retrieval.dense.search_exact", lambda *_, **__: pytest.fail("searched exactly"))
    assert names(through_index.retrieve("word7", principal=LOCAL_USER, top_k=3))[0] == "d7"
    assert through_index.degraded is None


def test_what_the_index_has_not_applied_is_found(through_index, projection, put):
    put(**{f"d{number}": f"water word{number}" for number in range(20)})
    projection.apply_pending()
    put(fresh="wine and cheese")
    assert names(through_index.retrieve("wine and cheese", principal=LOCAL_USER, top_k=3))[0] == "fresh"


def test_what_was_deleted_is_not_found_though_the_index_has_it(through_index, projection, catalog, put):
    put(**{f"d{number}": f"water word{number}" for number in range(20)})
    projection.apply_pending()
    catalog.delete("test", ["d7"])
    found = names(through_index.retrieve("water word7", principal=LOCAL_USER, top_k=20))
    assert len(found) == 19
    assert "d7" not in found


def test_few_readable_among_many_are_all_found(through_index, projection, put, make_record):
    put(*(make_record(f"d{number:03}", f"water word{number}", acl=("group:claims",)) for number in range(300)))
    put(*(make_record(f"p{number}", f"cheese word{number}") for number in range(3)))
    projection.apply_pending()
    found = names(through_index.retrieve("water word1", principal=LOCAL_USER, top_k=3))
    assert sorted(found) == ["p0", "p1", "p2"]


def test_an_index_that_another_process_holds_is_left_alone(catalog, embedder, index, put, serve, tmp_path):
    put(flood="water")
    lock = FileLock(tmp_path / "other.lock", purpose="the index")
    retriever = DenseRetriever(catalog, embedder, index=serve(index, lock), exact_up_to=0, costs=SLOW_TO_COMPARE)
    with FileLock(tmp_path / "other.lock", purpose="the index"):
        assert names(retriever.retrieve("water", principal=LOCAL_USER, top_k=3)) == ["flood"]
    assert retriever.degraded == "another process holds the vector index; exact search serves"
    assert index._collection is None


def test_too_much_pending_work_is_searched_exactly(through_index, projection, put, monkeypatch):
    put(**{f"d{number}": f"water word{number}" for number in range(20)})
    projection.apply_pending()
    monkeypatch.setattr("llmapp.retrieval.dense._MOST_PENDING", 5)
    put(**{f"e{number}": f"wine word{number}" for number in range(6)})
    assert names(through_index.retrieve("wine word3", principal=LOCAL_USER, top_k=3))[0] == "e3"


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
grants = st.lists(st.sampled_from(GRANTS), max_size=3, unique=True).map(tuple)
actions = st.lists(st.tuples(st.integers(0, 15), texts, grants, st.booleans()), min_size=1, max_size=25)


def oracle(embedder, held, query, principal, top_k):
    vector = embedder.embed_query(query)
    scored = [
        (float((embedder.embed_query(text).astype(np.float64) * vector).sum()), f"c-{name}-{text}")
        for name, (text, acl) in held.items()
        if principal.grants & set(acl)
    ]
    return [(name, score) for score, name in sorted(scored, key=lambda hit: (-hit[0], hit[1]))[:top_k]]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions, texts, st.sampled_from(PRINCIPALS), st.integers(1, 8), st.booleans())
@example([(n, "water", ("public",), False) for n in (5, 3, 9, 1)], "water", LOCAL_USER, 1, True)
@example(
    [(0, "water", (), False), (1, "water", ("public",), False), (0, "water water", ("public",), False)],
    "water",
    LOCAL_USER,
    1,
    False,
)
def test_both_paths_find_what_brute_force_finds_and_nothing_foreign(
    tmp_path_factory, project, serve, make_record, embedder, index, actions, query, principal, top_k, apply_last
):
    folder = tmp_path_factory.mktemp("state")
    catalog = Catalog(folder / "catalog.db")
    lock = FileLock(folder / "index.lock", purpose="the index")
    index.clear()
    projection = project(index, lock, catalog)
    held = {}
    with lock:
        for number, text, acl, remove in actions:
            name = f"{number:02}"
            if remove:
                catalog.delete("test", [name])
                held.pop(name, None)
            else:
                record = make_record(name, text, acl=acl)
                chunk = replace(record.chunks[0], id=f"c-{name}-{text}")  # another text is another chunk, as in life
                catalog.replace([replace(record, chunks=(chunk,))], {text: embedder.embed_query(text)})
                held[name] = (text, acl)
            if number % 5 == 0:
                projection.apply_pending()
        if apply_last:
            projection.apply_pending()
        expected = oracle(embedder, held, query, principal, top_k)
        exact = DenseRetriever(catalog, embedder)
        serving = serve(index, lock, catalog)
        through_index = DenseRetriever(catalog, embedder, index=serving, exact_up_to=0, costs=SLOW_TO_COMPARE)
        for retriever in (exact, through_index):
            hits = retriever.retrieve(query, principal=principal, top_k=top_k)
            # An approximate index may prefer another of equally near chunks.
            assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected], abs=1e-5)
            if retriever is exact:
                assert [hit.chunk.id for hit in hits] == [chunk_id for chunk_id, _ in expected]
            assert all(principal.grants & set(held[hit.chunk.document_id][1]) for hit in hits)
        index.close()
    catalog.close()
