import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.retrieval.fusion import drop_repeats, fuse
from llmapp.types import Chunk, Hit


def hit(name, rank=1, text=None):
    return Hit(Chunk(name, "s", name, name, name, text or name, 0, 1), 1.0, rank, "test")


def ranking(*names):
    return [hit(name, rank) for rank, name in enumerate(names, start=1)]


rankings = st.lists(st.lists(st.sampled_from("abcdefgh")).map(lambda names: ranking(*names)), max_size=3)


def names_of(hits):
    return [found.chunk.id for found in hits]


def test_scores_are_the_published_sums():
    fused = fuse([ranking("a", "b"), ranking("b", "c")], k=60)
    assert {h.chunk.id: h.score for h in fused} == {"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 62}
    assert names_of(fused) == ["b", "a", "c"]


def test_a_repeat_within_one_ranking_counts_once_at_its_best_place():
    fused = fuse([ranking("a", "b", "a", "c")])
    assert [(h.chunk.id, h.score) for h in fused] == [("a", 1 / 61), ("b", 1 / 62), ("c", 1 / 63)]


def test_ties_are_broken_by_chunk_id():
    assert names_of(fuse([ranking("b"), ranking("a")])) == ["a", "b"]


@given(rankings)
def test_the_order_of_the_retrievers_does_not_matter(lists):
    assert fuse(lists) == fuse(lists[::-1])


@given(rankings, st.integers(1, 5))
def test_hits_are_distinct_known_ranked_from_one_and_at_most_top_k(lists, top_k):
    fused = fuse(lists, top_k=top_k)
    names = names_of(fused)
    given_names = {name for one in lists for name in names_of(one)}
    assert len(set(names)) == len(names) == min(top_k, len(given_names))
    assert set(names) <= given_names
    assert [h.rank for h in fused] == list(range(1, len(names) + 1))
    assert [h.score for h in fused] == sorted((h.score for h in fused), reverse=True)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"top_k": 0}])
def test_a_count_that_is_not_positive_is_a_mistake(wrong):
    with pytest.raises(ValueError, match="positive"):
        fuse([], **wrong)


def test_of_equal_texts_the_first_hit_stays():
    kept = drop_repeats([hit("a", 1, "same"), hit("b", 2, "same"), hit("c", 3, "other")], top_k=2)
    assert [(h.chunk.id, h.rank) for h in kept] == [("a", 1), ("c", 2)]
