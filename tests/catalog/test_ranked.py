import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmapp.catalog import ranked as module
from llmapp.catalog.ranked import ranked


class Read:
    """Ids by row number as the catalog gives them; counts what it hands out."""

    def __init__(self, ids):
        self.ids, self.handed_out = ids, 0

    def __call__(self, rows, first=None):
        live = {row: self.ids[row] for row in rows if row in self.ids}
        found = dict(sorted(live.items(), key=lambda item: item[1])[:first])
        self.handed_out += len(found)
        return found


@given(
    scores=st.lists(st.integers(0, 3), max_size=60), top_k=st.integers(1, 8), few=st.integers(0, 5), seed=st.integers(0, 99)
)
def test_the_best_come_by_score_and_then_by_id(scores, top_k, few, seed):
    rows = np.random.default_rng(seed).permutation(len(scores))
    ids = {int(row): f"c{number:03}" for number, row in enumerate(rows[::-1])}
    wanted = sorted(
        ((ids[int(row)], float(score)) for row, score in zip(rows, scores, strict=True)), key=lambda h: (-h[1], h[0])
    )
    former, module._FEW_TIES = module._FEW_TIES, few
    try:
        assert ranked(rows, np.array(scores, dtype=np.float64), top_k=top_k, names=Read(ids)) == wanted[:top_k]
    finally:
        module._FEW_TIES = former


def test_of_many_equal_ones_only_the_first_ids_are_read():
    read = Read({row: f"c{99_999 - row:05}" for row in range(20_000)})
    scores = np.ones(20_000)
    scores[7] = 2.0
    found = ranked(np.arange(20_000), scores, top_k=3, names=read)
    assert found == [("c99992", 2.0), ("c80000", 1.0), ("c80001", 1.0)]
    assert read.handed_out == 3


def test_the_catalog_reads_ids_in_their_own_order(catalog, put, record):
    put(*(record(f"d{number}", f"storm {number}") for number in range(30)))
    rows = catalog.live_vectors().rows.tolist()
    ids = catalog.ids_of_rows(rows)
    assert sorted(ids.values())[:4] == sorted(catalog.ids_of_rows(rows, 4).values())
