from hypothesis import given
from hypothesis import strategies as st

from llmapp.ingestion.embedding_text import HEADER_TOKENS, chunk_tokens, embedding_text
from llmapp.testing.fakes import HashEmbedder

EMBEDDER = HashEmbedder(max_tokens=64)


def made(text, title="", heading=""):
    return embedding_text(text, title=title, heading=heading, embedder=EMBEDDER)


def test_the_header_says_where_the_chunk_stands():
    assert made("Within 72 hours.", "Handbook", "Claims › Water").text == "Handbook › Claims › Water\nWithin 72 hours."


def test_a_heading_that_begins_with_the_title_is_not_said_twice():
    assert made("x", "Handbook", "Handbook › Water").text == "Handbook › Water\nx"
    assert made("x", "Hand", "Handbook › Water").text == "Hand › Handbook › Water\nx"


def test_no_header_no_line():
    assert made("words").text == "words"


@given(st.text(max_size=200), st.text(max_size=200), st.integers(0, 62))
def test_the_whole_fits_the_embedder_and_the_chunk_is_never_cut(title, heading, words):
    chunk = " ".join(["word"] * words)
    result = made(chunk, title, heading)
    assert result.text.endswith(chunk)
    assert result.tokens == EMBEDDER.tokenizer.count(result.text) <= 62


def test_a_long_header_is_cut():
    assert EMBEDDER.tokenizer.count(made("", "word " * 100).text) == HEADER_TOKENS


def test_the_key_tells_texts_and_embedders_apart():
    other = HashEmbedder(dim=8, max_tokens=64)
    keys = {made("a").key, made("b").key, embedding_text("a", title="", heading="", embedder=other).key}
    assert len(keys) == 3
    assert made("a").key == made("a").key


def test_a_chunk_leaves_room_for_the_header():
    assert chunk_tokens(HashEmbedder(max_tokens=256)) == 256 - 2 - HEADER_TOKENS
    assert chunk_tokens(HashEmbedder(max_tokens=32)) == 15
