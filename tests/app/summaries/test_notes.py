"""What the model writes becomes statements with evidence, whatever form it gives them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.app.citations import cite
from llmapp.app.summaries.notes import UNNAMED, Note, NotePieces, read_notes, shortened_notes
from llmapp.types import Chunk, Source

WORDS = {
    "A": "Notice is three months. It renews by itself.",
    "B": "Notice is one month. It renews by itself. See ports[7] there.",
    "C": "Notice is one year. It ends by itself.",
}


def source(number, name):
    text = WORDS[name]
    return Source(number, Chunk(f"c{name}", "s", name, f"u/{name}", name, text, 100, 100 + len(text), 2))


SOURCES = [source(1, "A"), source(2, "B"), source(3, "C")]


def read(written, sources=SOURCES, only=None):
    return [(note.text, [chunk.title for chunk in note.evidence]) for note in read_notes(written, sources, only=only)]


def test_every_line_is_a_statement_with_the_words_that_it_rests_on():
    (note, both) = read_notes("- Notice is three months [1].\n- Each renews by itself [1][2].\n", SOURCES, only=None)
    (evidence,) = note.evidence
    assert (note.text, evidence.text, evidence.uri) == ("Notice is three months", "Notice is three months.", "u/A")
    assert (evidence.start_char, evidence.end_char, evidence.page, evidence.id) == (100, 123, 2, "cA")
    assert both.documents == (":u/A", ":u/B")
    assert {chunk.text for chunk in both.evidence} == {"It renews by itself."}


@pytest.mark.parametrize(
    ("written", "notes"),
    [
        ("- nothing", []),
        ("Nothing.", []),
        ("- Nothing [1]", []),
        ("The documents do not answer this question.", []),
        ("", []),
        ("Here are the notes:\n1. One month [2].", [("One month", ["B"])]),
        ("- [1] Three months\n- [2]: One month", [("Three months", ["A"]), ("One month", ["B"])]),
        ("Three months [1]. One month [2, 3]. More.", [("Three months", ["A"]), ("One month", ["B", "C"]), ("More.", [])]),
        ("```\n- One month [2]\n```", [("One month", ["B"])]),
        ("- Not said where\n- One month [2]", [("Not said where", []), ("One month", ["B"])]),
        ("- Of no source [9]\n- One month [2]", [("Of no source", []), ("One month", ["B"])]),
        ("- See ports[7] there [2]", [("See ports[7] there", ["B"])]),
        ("\n\n \t***\n", []),
    ],
)
def test_the_forms_that_models_choose_are_read(written, notes):
    assert read(written) == notes


def test_what_bears_no_mark_is_of_the_only_source_that_there_is():
    assert read("- Notice is one month", [source(4, "B")], only=4) == [("Notice is one month", ["B"])]
    assert read("- Notice is one month", [], only=4) == [("Notice is one month", [])]


def test_notes_on_the_same_documents_are_one_piece_and_a_mark_on_it_cites_their_words():
    notes = read_notes(
        "- Three months [1]\n- One month [2]\n- Each renews by itself [1][2]\n- It renews [1]\n- Unknown", SOURCES, only=None
    )
    pieces = NotePieces(notes)
    found = list(pieces)
    assert [(each.title, each.text) for each in found] == [
        ("A", "- Three months\n- It renews"),
        ("B", "- One month"),
        ("A; B", "- Each renews by itself"),
        (UNNAMED, "- Unknown"),
    ]
    shown = [Source(number, piece) for number, piece in enumerate(found, start=1)]
    text, citations = cite("A renews by itself [1]. Each renews [3]. Who knows [4].", pieces.evidence(shown))
    assert text == "A renews by itself [1]. Each renews [3]. Who knows."
    assert [(each.number, each.uri, each.quote) for each in citations] == [
        (1, "u/A", "It renews by itself."),
        (3, "u/A", "It renews by itself."),
        (3, "u/B", "It renews by itself."),
    ]


def test_a_piece_that_is_cut_has_the_evidence_of_its_lines_alone():
    pieces = NotePieces(read_notes("- Three months [1]\n- It renews [1]", SOURCES, only=None))
    (piece,) = pieces
    behind = Chunk(piece.id, piece.source, piece.document_id, "", "A", "- It renews", 17, 28)
    assert [each.chunk.text for each in pieces.evidence([Source(5, behind)])] == ["It renews by itself."]


def test_of_many_titles_some_are_named():
    evidence = tuple(Chunk("c", "", str(n), str(n), f"Title {n}", "x", 0, 1) for n in range(5))
    (piece,) = NotePieces([Note("All agree", evidence)])
    assert piece.title == "Title 0; Title 1; Title 2 and 2 more"


@given(st.text(max_size=300), st.integers(1, 300))
def test_notes_that_are_too_long_are_cut_to_lines_that_fit(text, limit):
    kept = shortened_notes(text, lambda part: len(part) <= limit)
    assert len(kept) <= limit
    assert kept in {"\n".join(text.strip().splitlines()[:n]) for n in range(len(text) + 1)} or "\n" not in kept
    if len(text.strip()) <= limit and text.isprintable():
        assert kept == text.strip()


@given(st.text(alphabet="ab [1]2,9\n-.", max_size=120))
def test_no_text_of_a_model_breaks_the_reading_and_no_evidence_is_made_up(written):
    for note in read_notes(written, SOURCES, only=None):
        assert note.text.strip()
        assert "\n" not in note.text
        for chunk in note.evidence:
            assert WORDS[chunk.title][chunk.start_char - 100 : chunk.end_char - 100] == chunk.text
