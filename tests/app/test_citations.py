import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.app.citations import Citer, cite
from llmapp.types import Chunk, Source

TEXT = "The deductible is 300 euros. Claims are reported within 72 hours.\n\n- Glass is covered.\n- Storm is not."


def source(number, text=TEXT, start=100):
    chunk = Chunk(f"c{number}", "s", f"d{number}", f"u{number}", "Title", text, start, start + len(text), 3, "Home › Water")
    return Source(number, chunk)


def test_the_quote_is_the_unit_that_supports_the_statement():
    text, (citation,) = cite("You report claims within 72 hours [1].", [source(1)])
    assert text == "You report claims within 72 hours [1]."
    assert citation.quote == "Claims are reported within 72 hours."
    assert (citation.number, citation.uri, citation.page, citation.heading) == (1, "u1", 3, "Home › Water")
    assert TEXT[citation.start_char - 100 : citation.end_char - 100] == citation.quote


def test_every_statement_gets_its_own_quote():
    _, citations = cite("The deductible is 300 euros [1]. Glass is covered [1].", [source(1)])
    assert [c.quote for c in citations] == ["The deductible is 300 euros.", "- Glass is covered."]


def test_marks_of_no_source_vanish():
    text, citations = cite("Yes [7]. No [1, 9].", [source(1)])
    assert text == "Yes. No [1]."
    assert [c.number for c in citations] == [1]


def test_several_marks_after_one_statement_are_all_cited():
    _, citations = cite("The deductible is 300 euros [1][2].", [source(1), source(2)])
    assert [c.number for c in citations] == [1, 2]
    assert {c.quote for c in citations} == {"The deductible is 300 euros."}


def test_the_same_words_are_cited_once():
    _, citations = cite("The deductible is 300 euros [1]. The deductible: 300 euros [1].", [source(1)])
    assert len(citations) == 1


def test_an_answer_without_marks_has_no_citations():
    assert cite("The documents do not answer this question.", [source(1)])[1] == ()


@given(
    st.text(max_size=200), st.lists(st.text(min_size=1, max_size=80), max_size=4), st.lists(st.integers(0, 6), max_size=6)
)
def test_a_citation_always_points_into_a_source_of_the_prompt(words, texts, numbers):
    sources = [source(n, text) for n, text in enumerate(texts, start=1)]
    answer = words + "".join(f" word [{n}]" for n in numbers)
    cited, citations = cite(answer, sources)
    for citation in citations:
        chunk = sources[citation.number - 1].chunk
        assert chunk.text[citation.start_char - 100 : citation.end_char - 100] == citation.quote
        assert citation.quote
    assert {c.number for c in citations} <= {s.number for s in sources}
    assert cite(cited, sources)[0] == cited


RULING = "The deductible is 300 euros since the ruling of the court [2].\nSee also [3] and the\nletter [1-2]. Glass is not covered."
METER = "The third port of the water meter is ports[1] in the table, and the others are ports[7]."


def test_the_footnotes_of_a_document_are_neither_cited_nor_removed():
    quoted = "The deductible is 300 euros since the ruling of the court [2]. [1]"
    text, citations = cite(quoted, [source(1, RULING), source(2, METER)])
    assert text == quoted
    assert [(c.number, c.quote) for c in citations] == [
        (1, "The deductible is 300 euros since the ruling of the court [2].")
    ]


def test_a_quotation_is_recognised_when_its_line_breaks_are_gone():
    quoted = "Glass is not covered. [1] See also [3] and the letter [1-2]. [1]"
    text, citations = cite(quoted, [source(1, RULING), source(2, METER)])
    assert text == quoted
    assert {c.number for c in citations} == {1}


def test_the_indices_of_a_document_stay_as_they_are():
    quoted = METER + " [2]"
    text, citations = cite(quoted, [source(1, TEXT), source(2, METER)])
    assert text == quoted
    assert [c.number for c in citations] == [2]


def test_brackets_at_a_word_are_an_index_unless_they_name_a_source():
    assert cite("Read ports[7] first [1].", [source(1)])[0] == "Read ports[7] first [1]."
    text, (citation,) = cite("The deductible is 300 euros[1].", [source(1)])
    assert text == "The deductible is 300 euros[1]."
    assert citation.number == 1


def test_the_year_of_a_judgment_is_no_mark():
    case = "[2023] EWCA Civ 12 and Smith v Jones [2021] UKSC 7 decide it [1]."
    text, citations = cite(case, [source(1)])
    assert text == case
    assert len(citations) == 1


def test_a_mark_that_stands_in_a_source_behind_other_words_is_the_models():
    _, (citation,) = cite("You pay 300 euros [2].", [source(1, RULING), source(2)])
    assert citation.number == 2


@pytest.mark.parametrize(
    ("written", "resolved", "numbers"),
    [
        ("Yes [1-3].", "Yes [1, 2, 3].", [1, 2, 3]),
        ("Yes [2–3].", "Yes [2, 3].", [2, 3]),
        ("Yes [1; 3].", "Yes [1, 3].", [1, 3]),
        ("Yes [3,1-2,2].", "Yes [3, 1, 2].", [3, 1, 2]),
        ("Yes [2-9].", "Yes [2, 3].", [2, 3]),
        ("Yes [7-9].", "Yes.", []),
        ("Yes [3-1].", "Yes.", []),
    ],
)
def test_ranges_and_lists_name_all_their_sources(written, resolved, numbers):
    text, citations = cite(written, [source(1), source(2), source(3)])
    assert text == resolved
    assert [c.number for c in citations] == numbers


def test_white_space_around_the_answer_and_around_removed_marks_is_gone():
    assert cite(" \n [9] Yes.\n[8]\n", [source(1)])[0] == "Yes."


LIKE_AN_ANSWER = st.lists(
    st.sampled_from(
        [
            "[1]",
            "[2]",
            "[7]",
            "[1",
            "-",
            "3]",
            "[",
            "]",
            ",",
            ";",
            " ",
            "  ",
            "\n",
            "ports",
            "court ",
            "the ruling of the court [2]",
        ]
    ),
    max_size=30,
).map("".join)


@given(LIKE_AN_ANSWER | st.text(max_size=60), st.data())
def test_an_answer_that_comes_in_pieces_is_resolved_as_the_whole_is(answer, data):
    sources = [source(1, RULING), source(2, METER)]
    citer, written, rest = Citer(sources), "", answer
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        written += citer.read(rest[:size])
        rest = rest[size:]
    written += citer.end()
    assert (written, citer.citations) == cite(answer, sources)
    assert written == written.strip()


def test_only_what_may_become_a_mark_is_held_back():
    citer = Citer([source(1)])
    assert citer.read("It is ") == "It is"
    assert citer.read("300 [") == " 300"
    assert citer.read("1") == ""
    assert citer.read("] or [not") == " [1] or [not"
    assert citer.read("] [" + "1, " * 60) != ""


def test_a_quote_of_chunks_put_together_bears_the_chunk_that_it_begins_in():
    parts = (
        Chunk("a", "s", "d", "u", "Title", TEXT[:50], 100, 150, page=3, heading="Home"),
        Chunk("b", "s", "d", "u", "Title", TEXT[29:], 129, 100 + len(TEXT), page=4, heading="Water"),
    )
    whole = Source(1, Chunk("a", "s", "d", "u", "Title", TEXT, 100, 100 + len(TEXT), page=3, heading="Home"), parts)
    _, (first, second) = cite("The deductible is 300 euros [1]. Claims are reported within 72 hours [1].", [whole])
    assert (first.chunk_id, first.page, first.quote) == ("a", 3, "The deductible is 300 euros.")
    assert (second.chunk_id, second.page, second.heading) == ("b", 4, "Water")
    assert second.quote == "Claims are reported within 72 hours." == TEXT[second.start_char - 100 : second.end_char - 100]


def test_the_stretches_of_a_source_are_quoted_each_by_itself():
    near, far = TEXT.split("\n\n")
    _, citations = cite(
        "Glass is covered [1]. The deductible is 300 euros [1].", [source(1, near), source(1, far, start=400)]
    )
    assert [(c.number, c.quote) for c in citations] == [(1, "- Glass is covered."), (1, "The deductible is 300 euros.")]
    assert citations[0].start_char == 400
