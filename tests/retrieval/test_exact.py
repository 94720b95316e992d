import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmapp.catalog.access_lists import AccessLists
from llmapp.catalog.live_table import LiveTable
from llmapp.retrieval.exact import search_exact


def unit(array):
    return (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)


def table_of(vectors, rows=None):
    rows = np.arange(1, len(vectors) + 1) if rows is None else np.array(rows)
    rows = rows.astype(np.int64)
    return LiveTable(1, rows, rows, vectors, np.full(len(rows), 2, dtype=np.int32), AccessLists())


def names(rows):
    return {row: f"c{row:04}" for row in rows}


def brute_force(table, slots, query, top_k):
    scored = [(f"c{table.rows[slot]:04}", float((table.vectors[slot].astype(np.float64) * query).sum())) for slot in slots]
    return sorted(scored, key=lambda hit: (-hit[1], hit[0]))[:top_k]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.floats(0, 1), st.integers(1, 20), st.booleans())
def test_finds_what_brute_force_finds(seed, count, share, top_k, with_repeats):
    random = np.random.default_rng(seed)
    vectors = unit(random.normal(size=(count, 16)))
    if with_repeats:
        vectors = vectors[random.integers(0, max(1, count // 10), size=count)]
    table = table_of(vectors, rows=np.sort(random.choice(1000, size=count, replace=False)))
    slots = np.sort(random.choice(count, size=int(share * count), replace=False))
    query = unit(random.normal(size=16))
    assert search_exact(table, slots, query, top_k=top_k, names=names) == brute_force(table, slots, query, top_k)


def test_equal_vectors_come_in_the_order_of_their_ids():
    vectors = np.tile(unit(np.ones(8)), (100, 1))
    found = search_exact(table_of(vectors), np.arange(100), vectors[0], top_k=3, names=names)
    assert [name for name, _ in found] == ["c0001", "c0002", "c0003"]
    assert len({score for _, score in found}) == 1


def test_chunks_that_have_left_meanwhile_are_passed_over():
    vectors = unit(np.eye(4))
    found = search_exact(table_of(vectors), np.arange(4), vectors[0], top_k=5, names=lambda rows: {2: "two"})
    assert found == [("two", pytest.approx(0.0))]


@pytest.mark.parametrize("slots", [[], [0, 1]])
def test_nothing_is_found_where_nothing_may_be(slots):
    table = table_of(unit(np.eye(3)))
    assert search_exact(table, np.array(slots, dtype=np.int32), unit(np.ones(3)), top_k=0, names=names) == []
    assert search_exact(table, np.zeros(0, dtype=np.int32), unit(np.ones(3)), top_k=5, names=names) == []
