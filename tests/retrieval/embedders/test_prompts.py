import pytest

from llmapp.retrieval.embedders.prompts import Prompts, prompts_for

BGE = "Represent this sentence for searching relevant passages: "


@pytest.mark.parametrize(
    ("name", "query", "document"),
    [
        ("intfloat/e5-small-v2", "query: ", "passage: "),
        ("intfloat/multilingual-e5-large", "query: ", "passage: "),
        ("BAAI/bge-small-en-v1.5", BGE, ""),
        ("mixedbread-ai/mxbai-embed-large-v1", BGE, ""),
        ("nomic-embed-text:latest", "search_query: ", "search_document: "),
        ("BAAI/bge-m3", "", ""),
        ("sentence-transformers/all-MiniLM-L6-v2", "", ""),
        ("me/not-e5-small-at-all", "", ""),
    ],
)
def test_prompts_are_known_by_the_name_of_a_family(name, query, document):
    assert prompts_for(name, {}) == Prompts(query, document)


def test_an_instruct_model_is_not_its_plain_sister():
    assert prompts_for("intfloat/multilingual-e5-large-instruct", {}).document == ""
    assert prompts_for("intfloat/multilingual-e5-large-instruct", {}).query.startswith("Instruct: ")


def test_own_prompts_win_over_the_family_and_settings_over_both():
    own = {"query": "ask: ", "passage": "text: "}
    assert prompts_for("e5-base", own) == Prompts("ask: ", "text: ")
    assert prompts_for("e5-base", {"query": "ask: ", "document": "", "passage": "text: "}) == Prompts("ask: ", "")
    assert prompts_for("e5-base", {"query": "", "document": None}) == Prompts("query: ", "passage: ")
    assert prompts_for("e5-base", own, query="", document="d ") == Prompts("", "d ")
