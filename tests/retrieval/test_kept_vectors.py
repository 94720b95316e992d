"""Vectors that are kept."""

import numpy as np
import pytest

from llmapp.errors import EmbedderError
from llmapp.retrieval.kept_vectors import KeptVectors
from llmapp.testing.fakes import HashEmbedder


class Batches(HashEmbedder):
    """Writes down what it is asked for at once; fails at a batch with a text that it is told to fail at."""

    def __init__(self, *, failing=(), identity="hash/16", max_tokens=256):
        super().__init__(dim=16, max_tokens=max_tokens)
        self.identity = identity
        self.failing = failing
        self.batches = []

    def embed_documents(self, texts):
        if set(texts) & set(self.failing):
            raise EmbedderError("away")
        self.batches.append(list(texts))
        return super().embed_documents(texts)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "vectors.npz"


def test_all_that_is_kept_is_embedded_at_once_and_once_for_all_processes(file):
    first, second = Batches(), Batches()
    one = KeptVectors(file, ["a", "b"], first)
    a, b = one(["a", "b"])
    assert np.array_equal(one(["b"])[0], b)
    assert first.batches == [["a", "b"]]
    assert np.array_equal(KeptVectors(file, ["a", "b"], second)(["a"])[0], a)
    assert second.batches == []


def test_many_texts_are_embedded_in_batches_and_each_has_its_own_vector(file):
    texts = [f"text number{n}" for n in range(150)]
    embedder = Batches()
    vectors = KeptVectors(file, texts, embedder)(texts[::-1])
    assert [len(batch) for batch in embedder.batches] == [64, 64, 22]
    assert all(np.array_equal(vector, embedder.embed_query(text)) for vector, text in zip(vectors, texts[::-1], strict=True))


def test_a_text_that_is_new_is_embedded_and_one_that_is_gone_leaves_the_file(file):
    KeptVectors(file, ["a", "b"], Batches())(["a"])
    embedder = Batches()
    KeptVectors(file, ["b", "c"], embedder)(["b"])
    assert embedder.batches == [["c"]]
    with np.load(file) as arrays:
        assert arrays["vectors"].shape == (2, 16)


def test_vectors_of_another_embedder_are_not_read(file):
    KeptVectors(file, ["a"], Batches())(["a"])
    embedder = Batches(identity="other")
    KeptVectors(file, ["a"], embedder)(["a"])
    assert embedder.batches == [["a"]]


def test_what_was_embedded_before_a_failure_is_not_embedded_again(file):
    texts = [f"text{n}" for n in range(70)]
    with pytest.raises(EmbedderError):
        KeptVectors(file, texts, Batches(failing={"text69"}))(["text0"])
    embedder = Batches()
    KeptVectors(file, texts, embedder)(["text0"])
    assert embedder.batches == [texts[64:]]


def test_of_a_text_that_is_too_long_for_the_embedder_the_beginning_counts(file):
    embedder = Batches(max_tokens=5)
    long, short = KeptVectors(file, ["one two three four five", "one two three"], embedder)(
        ["one two three four five", "one two three"]
    )
    assert np.array_equal(long, short)


def test_a_damaged_file_is_made_anew_and_one_that_cannot_be_written_stops_nothing(file, tmp_path):
    file.write_bytes(b"PK no archive")
    assert KeptVectors(file, ["a"], Batches())(["a"])[0].shape == (16,)
    embedder = Batches()
    assert KeptVectors(file, ["a"], embedder)(["a"])[0].shape == (16,)
    assert embedder.batches == []
    assert KeptVectors(tmp_path / "nowhere" / "v.npz", ["a"], Batches())(["a"])[0].shape == (16,)
