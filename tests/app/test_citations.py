from hypothesis import given
from hypothesis import strategies as st

from llmapp.app.citations import cite
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
