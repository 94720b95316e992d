import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmapp.catalog.records import VectorTable
from llmapp.retrieval.exact import search_exact


def unit(array):
    return (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)


def table_of(vectors, rows=None):
    rows = np.arange(1, len(vectors) + 1) if rows is None else np.array(rows)
    return VectorTable(chunk_ids=[f"c{row:04}" for row in rows], rows=rows.astype(np.int64), vectors=vectors)


def brute_force(table, rows, query, top_k):
    scored = [
        (name, float((vector.astype(np.float64) * query).sum()))
        for name, row, vector in zip(table.chunk_ids, table.rows, table.vectors, strict=True)
        if row in set(rows.tolist())
    ]
    return sorted(scored, key=lambda hit: (-hit[1], hit[0]))[:top_k]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.floats(0, 1), st.integers(1, 20), st.booleans())
def test_finds_what_brute_force_finds(seed, count, share, top_k, with_repeats):
    random = np.random.default_rng(seed)
    vectors = unit(random.normal(size=(count, 16)))
    if with_repeats:
        vectors = vectors[random.integers(0, max(1, count // 10), size=count)]
    table = table_of(vectors, rows=np.sort(random.choice(1000, size=count, replace=False)))
    rows = np.sort(random.choice(table.rows, size=int(share * count), replace=False))
    query = unit(random.normal(size=16))
    assert search_exact(table, rows, query, top_k=top_k) == brute_force(table, rows, query, top_k)


def test_equal_vectors_come_in_the_order_of_their_ids():
    vectors = np.tile(unit(np.ones(8)), (100, 1))
    found = search_exact(table_of(vectors), np.arange(1, 101), vectors[0], top_k=3)
    assert [name for name, _ in found] == ["c0001", "c0002", "c0003"]
    assert len({score for _, score in found}) == 1


def test_rows_that_the_table_lacks_are_passed_over():
    vectors = unit(np.eye(4))
    found = search_exact(table_of(vectors, rows=[2, 4, 6, 8]), np.array([1, 2, 3, 9]), vectors[0], top_k=5)
    assert found == [("c0002", pytest.approx(1.0))]


@pytest.mark.parametrize(("vectors", "rows"), [(np.zeros((0, 0), np.float32), [1]), (unit(np.eye(3)), [])])
def test_nothing_to_search_finds_nothing(vectors, rows):
    assert search_exact(table_of(vectors), np.array(rows, dtype=np.int64), unit(np.ones(3)), top_k=5) == []
