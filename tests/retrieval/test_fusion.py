from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.retrieval.fusion import convex, drop_repeats, reciprocal_rank
from llmapp.types import Chunk, Hit


def hit(name, rank=1, text=None, score=1.0):
    return Hit(Chunk(name, "s", name, name, name, text or name, 0, 1), score, rank, "test")


def ranking(*names):
    return [hit(name, rank) for rank, name in enumerate(names, start=1)]


def scored(**scores):
    return [hit(name, score=score) for name, score in scores.items()]


@st.composite
def rankings(draw):
    """Up to three rankings, repeats within one included, and weights for them."""
    scores = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 0.5, 1.0])
    hits = st.lists(st.tuples(st.sampled_from("abcdefgh"), scores))
    lists = [[hit(name, score=score) for name, score in one] for one in draw(st.lists(hits, min_size=1, max_size=3))]
    shares = [draw(st.integers(0, 10)) for _ in lists]
    shares[0] += 1
    return lists, [share / sum(shares) for share in shares]


def names_of(hits):
    return [found.chunk.id for found in hits]


def scores_of(hits):
    return {found.chunk.id: found.score for found in hits}


halves = partial(convex, weights=(0.5, 0.5), top_k=10)


def test_reciprocal_ranks_are_the_published_sums():
    fused = reciprocal_rank([ranking("a", "b"), ranking("b", "c")], k=60, top_k=10)
    assert scores_of(fused) == {"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 62}
    assert names_of(fused) == ["b", "a", "c"]


def test_a_repeat_within_one_ranking_counts_once_at_its_best_place():
    fused = reciprocal_rank([ranking("a", "b", "a", "c")], top_k=10)
    assert [(h.chunk.id, h.score) for h in fused] == [("a", 1 / 61), ("b", 1 / 62), ("c", 1 / 63)]


def test_scores_are_brought_to_one_scale_and_weighted():
    fused = convex([scored(a=0.9, b=0.5, c=0.1), scored(b=30.0, d=10.0)], weights=(0.75, 0.25), top_k=10)
    assert scores_of(fused) == pytest.approx({"a": 0.75, "b": 0.75 * 0.5 + 0.25, "c": 0.0, "d": 0.0})
    assert names_of(fused) == ["a", "b", "c", "d"]


def test_a_repeat_within_one_ranking_counts_once_with_its_best_score():
    fused = halves([scored(a=1.0, b=0.0), [*scored(a=1.0, b=3.0, c=1.0), *scored(a=2.0)]])
    assert scores_of(fused) == {"a": 0.75, "b": 0.5, "c": 0.0}


@pytest.mark.parametrize("score", [0.0, -3.0, 1e-9])
def test_a_single_hit_is_the_best_of_its_ranking_whatever_its_score(score):
    assert scores_of(halves([scored(a=score), scored(b=2.0, c=1.0)])) == {"a": 0.5, "b": 0.5, "c": 0.0}


def test_equal_scores_are_all_the_best():
    assert scores_of(halves([scored(a=7.0, b=7.0), scored(b=2.0, c=1.0)])) == {"a": 0.5, "b": 1.0, "c": 0.0}


def test_an_empty_ranking_leaves_the_order_of_the_other():
    assert names_of(halves([[], scored(a=1.0, b=3.0, c=2.0)])) == ["b", "c", "a"]
    assert halves([[], []]) == []


@pytest.mark.parametrize("weights", [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)])
def test_the_weight_of_an_empty_ranking_goes_to_the_other(weights):
    fused = convex([[], scored(a=1.0, b=3.0, c=2.0)], weights=weights, top_k=10)
    assert scores_of(fused) == {"b": 1.0, "c": 0.5, "a": 0.0}


def test_what_weighs_nothing_still_breaks_ties():
    fused = convex([scored(a=1.0, b=3.0, c=2.0), scored(d=7.0)], weights=(0.0, 1.0), top_k=10)
    assert names_of(fused) == ["d", "b", "c", "a"]


@pytest.mark.parametrize("fuse", [reciprocal_rank, partial(convex, weights=(0.5, 0.5))])
def test_ties_are_broken_by_chunk_id(fuse):
    assert names_of(fuse([ranking("b"), ranking("a")], top_k=10)) == ["a", "b"]


@given(rankings())
def test_the_order_of_the_retrievers_does_not_matter(drawn):
    lists, weights = drawn
    by_rank, by_score = reciprocal_rank(lists, top_k=10), convex(lists, weights=weights, top_k=10)
    assert scores_of(reciprocal_rank(lists[::-1], top_k=10)) == scores_of(by_rank)
    back = convex(lists[::-1], weights=weights[::-1], top_k=10)
    assert [(h.chunk.id, h.score) for h in back] == [(h.chunk.id, h.score) for h in by_score]


@given(rankings(), st.randoms())
def test_by_scores_the_order_within_a_ranking_does_not_matter(drawn, pick):
    lists, weights = drawn
    shuffled = [pick.sample(one, len(one)) for one in lists]
    assert scores_of(convex(shuffled, weights=weights, top_k=10)) == scores_of(convex(lists, weights=weights, top_k=10))


@given(rankings(), st.integers(1, 5))
def test_hits_are_distinct_known_ranked_from_one_and_at_most_top_k(drawn, top_k):
    lists, weights = drawn
    for fused in (reciprocal_rank(lists, top_k=top_k), convex(lists, weights=weights, top_k=top_k)):
        names = names_of(fused)
        given_names = {name for one in lists for name in names_of(one)}
        assert len(set(names)) == len(names) == min(top_k, len(given_names))
        assert set(names) <= given_names
        assert [h.rank for h in fused] == list(range(1, len(names) + 1))
        assert [-h.score for h in fused] == sorted(-h.score for h in fused)
        assert all(0 <= h.score <= 1 for h in fused)


@given(rankings(), st.floats(0.1, 10), st.floats(-5, 5))
def test_the_scale_of_a_retriever_does_not_matter(drawn, factor, shift):
    lists, weights = drawn
    other = [[hit(h.chunk.id, score=h.score * factor + shift) for h in one] for one in lists]
    before, after = (scores_of(convex(one, weights=weights, top_k=10)) for one in (lists, other))
    spreads = [max((h.score for h in one), default=1.0) - min((h.score for h in one), default=0.0) for one in lists]
    if all(spread > 1e-3 for spread in spreads):  # else rounding decides whether scores are equal
        assert after == pytest.approx(before, abs=1e-3)


@pytest.mark.parametrize("wrong", [{"k": 0, "top_k": 10}, {"top_k": 0}])
def test_a_count_that_is_not_positive_is_a_mistake(wrong):
    with pytest.raises(ValueError, match="positive"):
        reciprocal_rank([], **wrong)


@pytest.mark.parametrize("weights", [(1.0,), (0.5, 0.6), (1.5, -0.5), ()])
def test_weights_that_are_no_shares_are_a_mistake(weights):
    with pytest.raises(ValueError, match="weight"):
        convex([[], []], weights=weights, top_k=10)


def test_of_equal_texts_the_first_hit_stays():
    kept = drop_repeats([hit("a", 1, "same"), hit("b", 2, "same"), hit("c", 3, "other")], top_k=2)
    assert [(h.chunk.id, h.rank) for h in kept] == [("a", 1), ("c", 2)]
