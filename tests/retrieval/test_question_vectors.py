"""Vectors that are kept."""

import numpy as np
import pytest

from llmapp.errors import EmbedderError
from llmapp.retrieval.question_vectors import QuestionVectors
from llmapp.testing.fakes import HashEmbedder


class Counting:
    """An embedder's questions, written down; fails at those it is told to fail at."""

    def __init__(self, failing=()):
        self.asked = []
        self.failing = failing
        self.inner = HashEmbedder(dim=16)

    def __call__(self, text):
        if text in self.failing:
            raise EmbedderError("away")
        self.asked.append(text)
        return self.inner.embed_query(text)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "vectors.npz"


def vectors(file, questions, embed, identity="hash/16"):
    return QuestionVectors(file, questions, embed=embed, identity=identity)


def test_what_is_kept_is_embedded_once_for_all_processes_and_what_is_not_each_time(file):
    first, second = Counting(), Counting()
    one = vectors(file, ["a", "b"], first)
    kept = one("a")
    one("a"), one("c"), one("c")
    assert first.asked == ["a", "b", "c", "c"]
    assert np.array_equal(vectors(file, ["a", "b"], second)("a"), kept)
    assert second.asked == []


def test_a_question_that_is_new_is_embedded_and_one_that_is_gone_leaves_the_file(file):
    vectors(file, ["a", "b"], Counting())("a")
    embed = Counting()
    vectors(file, ["b", "c"], embed)("b")
    assert embed.asked == ["c"]
    with np.load(file) as arrays:
        assert arrays["vectors"].shape == (2, 16)


def test_vectors_of_another_embedder_are_not_read(file):
    vectors(file, ["a"], Counting())("a")
    embed = Counting()
    vectors(file, ["a"], embed, identity="other")("a")
    assert embed.asked == ["a"]


def test_what_was_embedded_before_a_failure_is_not_embedded_again(file):
    with pytest.raises(EmbedderError):
        vectors(file, ["a", "b"], Counting(failing={"b"}))("a")
    embed = Counting()
    vectors(file, ["a", "b"], embed)("a")
    assert embed.asked == ["b"]


def test_a_damaged_file_is_made_anew_and_one_that_cannot_be_written_stops_nothing(file, tmp_path):
    file.write_bytes(b"PK no archive")
    assert vectors(file, ["a"], Counting())("a").shape == (16,)
    assert vectors(file, ["a"], embed := Counting())("a").shape == (16,)
    assert embed.asked == []
    assert vectors(tmp_path / "nowhere" / "v.npz", ["a"], Counting())("a").shape == (16,)
