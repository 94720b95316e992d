import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.retrieval.ranking.diversity import Diversity, marginal_order
from llmapp.retrieval.ranking.stage import Asked
from llmapp.types import LOCAL_USER, Chunk, Hit

ASKED = Asked("q", LOCAL_USER, top_k=3)


def hits(**scores):
    chunks = {name: Chunk(name, "s", name, name, name, name, 0, 1) for name in scores}
    return [Hit(chunks[name], score, rank, "fused") for rank, (name, score) in enumerate(scores.items(), start=1)]


def unit(*angles):
    return np.stack([np.array([np.cos(a), np.sin(a)], dtype=np.float32) for a in np.radians(angles)])


def names(found):
    return [hit.chunk.id for hit in found]


def reader(**vectors):
    return lambda ids: {name: vectors[name] for name in ids if name in vectors}


def test_what_says_the_same_again_comes_after_what_is_new():
    same, new = unit(0)[0], unit(90)[0]
    stage = Diversity(reader(a=same, again=same, other=new), share=0.5)
    assert names(stage(ASKED, hits(a=1.0, again=0.9, other=0.5))) == ["a", "other", "again"]


def test_without_a_share_the_order_stays():
    stage = Diversity(reader(a=unit(0)[0], b=unit(0)[0], c=unit(90)[0]), share=0.0)
    assert names(stage(ASKED, hits(a=1.0, b=0.9, c=0.5))) == ["a", "b", "c"]


def test_a_hit_whose_vector_is_gone_is_like_no_other():
    stage = Diversity(reader(a=unit(0)[0], b=unit(0)[0]), share=0.5)
    assert names(stage(ASKED, hits(a=1.0, b=0.9, gone=0.8))) == ["a", "gone", "b"]
    assert names(Diversity(reader(), share=0.5)(ASKED, hits(a=1.0, b=0.9))) == ["a", "b"]


def test_hits_keep_their_scores():
    found = Diversity(reader(a=unit(0)[0], b=unit(0)[0], c=unit(90)[0]), share=0.9)(ASKED, hits(a=7.0, b=5.0, c=1.0))
    assert {hit.chunk.id: hit.score for hit in found} == {"a": 7.0, "b": 5.0, "c": 1.0}


@pytest.mark.parametrize("count", [0, 1])
def test_one_hit_has_nothing_to_differ_from(count):
    assert names(Diversity(reader(), share=1.0)(ASKED, hits(a=1.0)[:count])) == ["a"][:count]


def by_the_book(relevance, vectors, share):
    """The definition, word for word."""
    order = []
    while len(order) < len(relevance):
        left = [i for i in range(len(relevance)) if i not in order]
        worth = [
            (1 - share) * relevance[i] - share * max((float(vectors[i] @ vectors[j]) for j in order), default=0.0)
            for i in left
        ]
        order.append(left[int(np.argmax(worth))])
    return order


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 359)), min_size=1, max_size=6), st.integers(0, 4))
def test_the_order_is_that_of_the_definition(drawn, quarters):
    relevance, vectors = [r / 10 for r, _ in drawn], unit(*(angle for _, angle in drawn)).astype(np.float64)
    share = quarters / 4
    order = marginal_order(relevance, vectors, share=share)
    assert sorted(order) == list(range(len(drawn)))
    for place, (mine, books) in enumerate(zip(order, by_the_book(relevance, vectors, share), strict=True)):
        if mine != books:  # equal but for rounding; what follows may differ then
            before = order[:place]
            worth = [
                (1 - share) * relevance[i] - share * max((vectors[i] @ vectors[j] for j in before), default=0.0)
                for i in (mine, books)
            ]
            assert worth[0] == pytest.approx(worth[1], abs=1e-6)
            break


def test_novelty_alone_goes_where_nothing_was():
    order = marginal_order([1.0, 0.9, 0.8, 0.7], unit(0, 1, 90, 180), share=1.0)
    assert order[0] == 0
    assert order[1] == 3
