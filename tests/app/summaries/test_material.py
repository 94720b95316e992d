"""Documents as pieces: every word once, whatever chunks there are, and never a foreign one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from summarizing import record

from llmapp.app.summaries.material import Documents, apart, halves, left_of
from llmapp.errors import UnknownFieldError
from llmapp.filters import parse_filter
from llmapp.types import Chunk, Principal, Source

TEXT = "Notice is three months. It renews by itself. Glass is covered."
ANYBODY = Principal("anybody")


def piece(start, end, text=TEXT):
    return Chunk("c", "s", "d", "u", "T", text[start:end], start, end)


@given(st.text(alphabet="ab \n", max_size=80), st.integers(1, 20), st.integers(0, 19))
def test_pieces_hold_every_word_once_however_chunks_overlap(text, chunk_chars, overlap_chars):
    chunks = record("d", text, chunk_chars=chunk_chars, overlap_chars=min(overlap_chars, chunk_chars - 1)).chunks
    pieces = list(apart(chunks))
    places = [place for each in pieces for place in range(each.start_char, each.end_char)]
    assert len(places) == len(set(places))
    assert {place for place, sign in enumerate(text) if not sign.isspace()} <= set(places)
    assert all(text[each.start_char : each.end_char] == each.text == each.text.strip() != "" for each in pieces)


def test_what_a_prompt_has_in_part_is_left_in_part():
    pieces = [piece(0, 23), piece(24, 44), piece(45, 62)]
    sources = [Source(1, piece(0, 23)), Source(1, piece(24, 26))]
    assert [each.text for each in left_of(pieces, sources)] == ["renews by itself.", "Glass is covered."]
    assert left_of(pieces, [Source(1, piece(0, 62))]) == []
    other = Source(1, Chunk("c", "s", "another", "u", "T", TEXT, 0, 62))
    assert left_of(pieces, [other]) == pieces


def test_halves_are_cut_at_a_space_and_hold_all():
    first, second = halves(piece(0, 62), least_chars=10)
    assert (first.text, second.text) == ("Notice is three months. It renews", "by itself. Glass is covered.")
    assert halves(piece(0, 15), least_chars=10) == []
    line = Chunk("c", "s", "d", "u", "T", "x" * 50, 0, 50)
    assert [len(each.text) for each in halves(line, least_chars=10)] == [25, 25]


def test_only_what_the_principal_may_read_is_read_and_in_the_order_of_names(catalog, put):
    put(
        record("b", "Public words.", metadata={"year": 2024}),
        record("a", "For the claims group.", acl=("group:claims",), metadata={"year": 2024}),
        record("c", "An older one.", metadata={"year": 2020}),
        record("a", "Of another source.", source="r"),
    )
    everyone, clerk = Documents(catalog, ANYBODY, None), Documents(catalog, Principal("x", ("claims",)), None)
    assert [each.text for each in everyone.pieces()] == ["Of another source.", "Public words.", "An older one."]
    assert [each.document_id for each in clerk.pieces()] == ["a", "a", "b", "c"]
    recent = Documents(catalog, ANYBODY, parse_filter("year >= 2023"))
    assert [each.text for each in recent.pieces()] == ["Public words."]
    with pytest.raises(UnknownFieldError, match="yeer"):
        Documents(catalog, ANYBODY, parse_filter("yeer >= 2023"))


def test_what_changes_while_it_is_read_is_read_as_it_is_by_then(catalog, put):
    put(*(record(name, f"First words of {name}.", metadata={"year": 2024}) for name in "abcde"))
    documents = Documents(catalog, ANYBODY, parse_filter("year = 2024"))
    pieces = documents.pieces()
    assert next(pieces).text == "First words of a."
    catalog.delete("s", ["b"])
    catalog.set_access("s", {"c": ["user:boss"]}, own=True)
    put(record("d", "Other words of d.", metadata={"year": 2020}), record("e", "Other words of e.", metadata={"year": 2024}))
    assert [each.text for each in pieces] == ["Other words of e."]
    assert (documents.read, documents.gone) == (2, 3)


def test_a_long_document_comes_in_the_order_of_its_text(catalog, put):
    text = " ".join(f"word{n}." for n in range(400))
    put(record("d", text, chunk_chars=37))
    read = "".join(each.text for each in Documents(catalog, ANYBODY, None).pieces())
    assert re.sub(r"\s", "", read) == re.sub(r"\s", "", text)
