"""The ranking and the queries as the settings switch them on, from the settings to the answer."""

import pytest

from llmapp.application import App
from llmapp.config import PriceSettings, RetrievalSettings, Settings
from llmapp.connector import Checkpoint, Upsert
from llmapp.errors import BudgetExceededError, ConfigError, UnknownPriceError
from llmapp.testing.fakes import HashEmbedder, ScriptedChatModel
from llmapp.types import LOCAL_USER, PUBLIC, Document, Message

PRICES = {
    "hash/64": PriceSettings(input_usd_per_million=0, output_usd_per_million=0),
    "scripted": PriceSettings(input_usd_per_million=1, output_usd_per_million=10),
}
TEXTS = {
    "water": "# Water\n\nWater damage is covered.\n\n# Fire\n\nFire is covered up to 900 euros.",
    "glass": "Glass is covered without a deductible.",
}


class Notes:
    """Two short documents."""

    def read(self, cursor):
        for name, text in TEXTS.items():
            yield Upsert(Document(name, f"notes/{name}", text=text, media_type="text/markdown"))
        yield Checkpoint(None)


@pytest.fixture
def build(tmp_path):
    opened = []

    def make(*answers, **retrieval):
        settings = {name: retrieval.pop(name) for name in ("budgets", "prices") if name in retrieval}
        whole = Settings(**{"root": tmp_path, "prices": PRICES, "retrieval": RetrievalSettings(**retrieval), **settings})
        model = ScriptedChatModel(answers=list(answers)) if answers else None
        app = App(whole, model=model, embedder=HashEmbedder(max_tokens=48))
        opened.append(app)
        app.ingestor.run("notes", Notes(), default_acl=(PUBLIC,))
        return app

    yield make
    for app in opened:
        app.close()


def names(hits):
    return [hit.chunk.document_id for hit in hits]


def test_the_chat_model_ranks_hits_and_its_cost_is_the_answers(build):
    before = names(build().search("water damage"))
    assert before[0] == "water"
    app = build(f"{1 + before.index('glass')}", "Glass is covered [1].", reranker="model")
    answer = app.ask("water damage")
    assert [citation.uri for citation in answer.citations] == ["notes/glass"]
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (200, 40)
    assert answer.cost_usd == pytest.approx(2 * (100 * 1 + 20 * 10) / 1e6)
    assert answer.notes == ()
    assert "rerank" in answer.timings_s


def test_a_model_that_writes_no_order_leaves_the_fused_one(build):
    answer = build("I like glass.", "Covered [1].", reranker="model").ask("water damage")
    assert [citation.uri for citation in answer.citations] == ["notes/water"]
    assert answer.notes == ("rerank was left out: the model did not answer with an order of the passages",)


def test_a_follow_up_is_searched_for_as_the_model_understood_it(build):
    app = build('{"question": "Is glass without a deductible?", "wordings": ["glass"]}', "Yes [1].", rewrite=True, queries=2)
    answer = app.ask("And that?", history=[Message("user", "Is glass covered?"), Message("assistant", "See below.")])
    assert answer.queries == ("Is glass without a deductible?", "glass")
    assert [citation.uri for citation in answer.citations] == ["notes/glass"]
    assert answer.cost_usd == pytest.approx(2 * (100 * 1 + 20 * 10) / 1e6)
    last = app.model.inner.requests[-1][-1].content
    assert "And that?" in last
    assert "Is glass without a deductible?" not in last


@pytest.mark.parametrize("retrieval", [{"rewrite": True}, {"queries": 3}, {"reranker": "model"}])
def test_the_extractive_model_is_not_asked_to_write(build, retrieval):
    with pytest.raises(ConfigError, match="extractive"):
        build(**retrieval).ask("water damage")


def test_a_ranking_that_could_pass_the_budget_is_refused(build):
    app = build("2,1", reranker="model", budgets={"day_usd": "0.000001"})
    with pytest.raises(BudgetExceededError):
        app.search("water damage")
    assert app.model.inner.requests == []


def test_a_rerank_api_without_a_price_is_refused(build):
    app = build(reranker="api:rerank-x", reranker_url="http://127.0.0.1:9/rerank")
    with pytest.raises(UnknownPriceError, match="rerank-x"):
        app.search("water damage")


def test_a_rerank_api_without_an_address_is_refused(build):
    with pytest.raises(ConfigError, match="reranker_url"):
        build(reranker="api:rerank-x").search("water damage")


def test_a_rerank_api_that_is_down_leaves_the_fused_order(build):
    prices = {**PRICES, "rerank-x": PriceSettings(input_usd_per_million=0, usd_per_thousand_searches=2)}
    app = build(reranker="api:rerank-x", reranker_url="http://127.0.0.1:9/rerank", prices=prices)
    found = app.retriever.search("water damage", principal=LOCAL_USER, top_k=8)
    assert list(found.hits) == build().search("water damage")
    assert "rerank was left out: api:rerank-x" in found.notes[0]


def test_a_widened_hit_is_cited_by_the_words_of_its_document(build):
    answer = build("Fire is covered up to 900 euros [1].", expand="document", diversity=0.3).ask("water damage")
    (citation,) = answer.citations
    assert citation.quote == "Fire is covered up to 900 euros."
    assert TEXTS["water"][citation.start_char : citation.end_char] == citation.quote


@pytest.mark.parametrize("wrong", ["cohere", "api:", "cross-encoder:", "model:x", ""])
def test_a_reranker_that_does_not_exist_is_refused_with_the_settings(wrong):
    with pytest.raises(ValueError, match="reranker"):
        RetrievalSettings(reranker=wrong)
