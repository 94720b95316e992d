import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmapp.retrieval.lexical import LexicalRetriever
from llmapp.types import LOCAL_USER


@pytest.fixture
def retriever(catalog, put):
    put(
        flood="Water damage is reported within 72 hours.",
        claim="Claim INV-2031/7 was paid in full.",
        other="The numbers 7 and 2031 appear here, and INV too.",
        cafe="Der Käufer trinkt im Café.",
        kanji="水害は72時間以内に報告してください。",
        thai="ต้องรายงานความเสียหายจากน้ำ",
    )
    return LexicalRetriever(catalog)


def names(hits):
    return [hit.chunk.document_id for hit in hits]


def search(retriever, query, top_k=10):
    return retriever.retrieve(query, principal=LOCAL_USER, top_k=top_k)


def test_finds_by_word_stem(retriever):
    hits = search(retriever, "reporting damages")
    assert names(hits) == ["flood"]
    assert (hits[0].rank, hits[0].retriever) == (1, "lexical")


def test_an_identifier_is_found_as_it_is_written(retriever):
    assert names(search(retriever, "INV-2031/7"))[0] == "claim"
    assert names(search(retriever, "what of inv-2031/7?"))[0] == "claim"


def test_accents_and_case_do_not_matter(retriever):
    assert names(search(retriever, "CAFE kaufer")) == ["cafe"]


@pytest.mark.parametrize(("query", "name"), [("水害", "kanji"), ("害", "kanji"), ("ความเสียหาย", "thai")])
def test_a_text_without_spaces_is_found_by_a_part_of_it(retriever, query, name):
    assert names(search(retriever, query)) == [name]


@pytest.mark.parametrize("query", ["", "  \n", "?!", '"', "'", "\0", "\ud800", "_", "🙂"])
def test_a_question_without_words_finds_nothing(retriever, query):
    assert search(retriever, query) == []


@pytest.mark.parametrize(
    "query", ["water NOT OR NEAR", '"water', "water*", "text:water", "(water", "water -damage", "^water", "a\0water"]
)
def test_operators_of_query_languages_are_plain_words(retriever, query):
    assert "flood" in names(search(retriever, query))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(query=st.text(max_size=200))
def test_no_question_is_an_error(retriever, query):
    search(retriever, query)


def test_a_question_of_a_hundred_thousand_characters_is_answered(retriever):
    question = " ".join(f"w{number % 1000}" for number in range(30_000)) + " water is reported"
    assert len(question) > 100_000
    assert names(search(retriever, question)) == ["flood"]
    assert names(search(retriever, "water " * 17_000)) == ["flood"]
    assert search(retriever, "x" * 100_000) == []


def test_no_hits_are_wanted_and_none_come(retriever):
    assert search(retriever, "water", top_k=0) == []
