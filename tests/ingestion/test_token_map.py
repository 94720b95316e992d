"""The map of tokens is the same however much of it is kept."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmapp.ingestion import token_map
from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.token_map import TokenMap
from llmapp.testing.fakes import WordTokenizer
from llmapp.types import ParsedDocument


class Counting(WordTokenizer):
    def __init__(self):
        self.read_chars = 0

    def offsets(self, text):
        self.read_chars += len(text)
        return super().offsets(text)


def spans_by_slabs(text, slab_chars):
    """The tokens of the text, slab by slab: a slab may cut a word in two where there is no space."""
    tokens = TokenMap(text, WordTokenizer())
    borders = [0]
    while borders[-1] < len(text):
        borders.append(tokens._next_border(borders[-1]))
    return [
        (start + left, start + right)
        for start, end in itertools.pairwise(borders)
        for left, right in WordTokenizer().offsets(text[start:end])
    ]


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab .\n", max_size=400), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=20))
def test_counts_and_reaches_are_those_of_the_whole_text_in_any_order(text, places):
    before, token_map._SLAB_CHARS = token_map._SLAB_CHARS, 16
    try:
        tokens, truth = TokenMap(text, WordTokenizer()), spans_by_slabs(text, 16)
        for one, other in places:
            start, end = min(one, other, len(text)), min(max(one, other), len(text))
            assert tokens.count(start, end) == sum(left < end and right > start for left, right in truth)
            later = [left for left, right in truth if right > start]
            assert tokens.reach(start, 3, end=end) == min([end, *later[3:4]])
    finally:
        token_map._SLAB_CHARS = before


def test_a_long_text_is_read_about_once_and_hardly_any_of_it_is_kept():
    rng = random.Random(3)
    text = "".join(rng.choice(("word ", "# head\n", "\n\n", "a. B ", "x" * 30 + " ")) for _ in range(200_000))
    tokenizer = Counting()
    tokens = TokenMap(text, tokenizer)
    for place in range(0, len(text) - 3000, 900):
        tokens.count(place, place + 2000)
        tokens.reach(place, 200, end=place + 2500)
    assert tokenizer.read_chars <= len(text)
    assert len(tokens._starts) < 3 * token_map._SLAB_CHARS / 2


@pytest.mark.parametrize("slab_chars", [997, 4096])
def test_chunks_do_not_depend_on_how_much_is_kept(monkeypatch, slab_chars):
    rng = random.Random(1)
    parts = ("word ", "# head\n", "\n\n", "x" * rng.randint(1, 50) + " ", "- item\n", "a. B")
    text = "".join(rng.choice(parts) for _ in range(8_000)) + "\n"
    text = "\n".join(line[:80] for line in text.split("\n"))

    def spans():
        return [
            (span.start_char, span.end_char) for span in StructureChunker(WordTokenizer(), 40).chunk(ParsedDocument(text))
        ]

    whole = spans()
    monkeypatch.setattr(token_map, "_SLAB_CHARS", slab_chars)
    assert spans() == whole
