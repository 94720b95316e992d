"""The best chunks are those that scoring every chunk gives, however early the search stops looking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmapp.catalog.bm25 import Bm25, TermPostings, Visible, best

SLOTS = 60


@st.composite
def searches(draw):
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    terms = []
    for share in draw(st.lists(st.sampled_from([0.02, 0.1, 0.5, 1.0]), max_size=8)):
        slots = np.flatnonzero(chance.random(SLOTS) < share).astype(np.uint32)
        freqs = chance.integers(1, draw(st.sampled_from([2, 3, 200])), size=len(slots)).astype(np.uint16)
        terms.append(TermPostings(slots, freqs))
    mask = chance.random(SLOTS) < draw(st.sampled_from([0.1, 0.6, 1.0]))
    lengths = chance.integers(1, draw(st.sampled_from([2, 400])), size=SLOTS).astype(np.uint32)
    mean = float(lengths[mask].sum()) / max(1, int(mask.sum()))
    visible = Visible(mask, lengths, int(mask.sum()), mean)
    within = None if draw(st.booleans()) else chance.random(SLOTS) < 0.5
    parameters = Bm25(draw(st.sampled_from([0.0, 0.9, 1.2, 3.0])), draw(st.sampled_from([0.0, 0.4, 1.0])))
    return terms, visible, within, parameters, draw(st.integers(1, 12))


def exhaustively(terms, visible, within, parameters, top_k):
    """Every chunk scored; the best, and all that are as good as the last of them."""
    k1, b = parameters.k1, parameters.b
    scores = np.zeros(SLOTS)
    for term in terms:
        kept = visible.mask[term.slots]
        slots, tf = term.slots[kept], term.freqs[kept] / 2
        if len(slots):
            idf = np.log(1 + (visible.count - len(slots) + 0.5) / (len(slots) + 0.5))
            scores[slots] += idf * (k1 + 1) * tf / (tf + k1 * (1 - b + b * visible.lengths[slots] / visible.mean_length))
    if within is not None:
        scores[~within] = 0
    found = np.flatnonzero(scores)
    if len(found) > top_k:
        found = found[scores[found] >= np.sort(scores[found])[-top_k] - 1e-9]
    return dict(zip(found.tolist(), scores[found].tolist(), strict=True))


@settings(max_examples=400)
@given(searches())
def test_no_chunk_is_missed_and_none_has_another_score(search):
    terms, visible, within, parameters, top_k = search

    slots, scores = best(terms, visible, parameters=parameters, top_k=top_k, within=within)

    expected = exhaustively(terms, visible, within, parameters, top_k)
    found = dict(zip(slots.tolist(), scores.tolist(), strict=True))
    wanted = sorted(expected.values(), reverse=True)[:top_k]
    assert len(found) == len(slots)
    assert sorted(found.values(), reverse=True)[:top_k] == pytest.approx(wanted)
    assert found == pytest.approx({slot: expected[slot] for slot in found})


def test_chunks_that_cannot_be_among_the_best_are_looked_up_in_no_common_term():
    rare = TermPostings(np.arange(5, dtype=np.uint32), np.full(5, 20, dtype=np.uint16))
    common = TermPostings(np.arange(10_000, dtype=np.uint32), np.full(10_000, 2, dtype=np.uint16))
    visible = Visible(np.ones(10_000, dtype=bool), _Counted(np.full(10_000, 100, dtype=np.uint32)), 10_000, 100.0)

    slots, _ = best([common, rare], visible, parameters=Bm25(), top_k=3)

    assert set(slots.tolist()) == set(range(5))
    assert visible.lengths.read == 10


class _Counted:
    """Lengths that know how many were read."""

    def __init__(self, lengths):
        self._lengths = lengths
        self.read = 0

    def __getitem__(self, slots):
        self.read += len(slots)
        return self._lengths[slots]
