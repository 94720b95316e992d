from functools import partial

import pytest

from llmapp.errors import EmbedderError, EmbedderUnavailableError
from llmapp.retrieval.dense import DenseRetriever
from llmapp.retrieval.fusion import convex, reciprocal_rank
from llmapp.retrieval.hybrid import HybridRetriever
from llmapp.retrieval.lexical import LexicalRetriever
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import LOCAL_USER, Principal


@pytest.fixture
def retriever(catalog, embedder):
    return hybrid(catalog, embedder, candidates=30)


def hybrid(catalog, embedder, **options):
    fuse = partial(convex, weights=(0.5, 0.5))
    return HybridRetriever(DenseRetriever(catalog, embedder), LexicalRetriever(catalog), fuse=fuse, **options)


def search(retriever, query, top_k=10, principal=LOCAL_USER):
    return retriever.retrieve(query, principal=principal, top_k=top_k)


def test_what_both_sides_find_comes_first(retriever, put):
    put(flood="water damage", fire="fire damage", wine="water into wine")
    hits = search(retriever, "water damage")
    assert hits[0].chunk.document_id == "flood"
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert {hit.retriever for hit in hits} == {"fused"}


def test_equal_texts_of_two_documents_are_one_hit(retriever, put):
    put(one="water damage", two="water damage", three="water")
    assert [hit.chunk.text for hit in search(retriever, "water damage")] == ["water damage", "water"]


@pytest.mark.parametrize("query", ["", " \n\t"])
def test_a_blank_question_finds_nothing(retriever, put, query):
    put(flood="water damage")
    assert search(retriever, query) == []


def test_an_empty_catalog_finds_nothing(retriever):
    assert search(retriever, "water") == []


def test_more_hits_than_candidates_can_be_had(catalog, embedder, put):
    put(**{f"d{number}": f"water number{number}" for number in range(30)})
    small = hybrid(catalog, embedder, candidates=5)
    assert len(search(small, "water", top_k=20)) == 20


def test_copies_of_one_text_do_not_crowd_out_what_is_different(catalog, embedder, put, make_record):
    disclaimer = "water damage is a matter of the terms"
    put(*(make_record(f"copy{number:03}", disclaimer) for number in range(140)))
    put(**{f"d{number:02}": f"water number{number}" for number in range(30)})
    texts = [hit.chunk.text for hit in search(hybrid(catalog, embedder, candidates=20), "water damage terms", top_k=10)]
    assert len(set(texts)) == len(texts) == 10
    assert texts[0] == disclaimer


def test_a_question_is_embedded_once_however_much_is_asked_for(catalog, embedder, put, make_record):
    put(*(make_record(f"copy{number:03}", "water damage") for number in range(140)))
    put(**{f"d{number:02}": f"water number{number}" for number in range(30)})
    asked = []
    embed = embedder.embed_query
    embedder.embed_query = lambda text: asked.append(text) or embed(text)
    searching = hybrid(catalog, embedder, candidates=20)
    searching.search("water damage", wordings=["wet", "flood"], principal=LOCAL_USER, top_k=10)
    assert asked == ["water damage", "wet", "flood"]


class Away(HashEmbedder):
    """Its server is away, or has refused for good."""

    def __init__(self, error):
        super().__init__(dim=512)
        self.error, self.asked = error, 0

    def embed_query(self, text):
        self.asked += 1
        if self.error:
            raise self.error
        return super().embed_query(text)


def test_while_the_embedders_server_is_away_words_alone_are_searched_for_and_that_is_said(catalog, put):
    put(claim="water damage INV-2031/7", wine="cheese and wine")
    away = Away(EmbedderUnavailableError("the embedder does not answer"))
    dense = DenseRetriever(catalog, away)
    retriever = HybridRetriever(dense, LexicalRetriever(catalog), fuse=partial(convex, weights=(0.5, 0.5)), candidates=30)
    found = retriever.search("INV-2031/7", wordings=["claim 2031"], principal=LOCAL_USER, top_k=5)
    assert [hit.chunk.document_id for hit in found.hits] == ["claim"]
    assert found.notes == ("the search by meaning was left out: the embedder does not answer",)
    assert away.asked == 1
    assert dense.degraded == "the embedder does not answer; questions are searched for by words alone"
    away.error = None
    found = retriever.search("water", principal=LOCAL_USER, top_k=5)
    assert (len(found.hits), found.notes, dense.degraded) == (2, (), None)


def test_an_embedder_that_has_failed_for_good_ends_the_search(catalog, put):
    put(claim="water damage")
    with pytest.raises(EmbedderError, match="the key is wrong"):
        search(hybrid(catalog, Away(EmbedderError("the key is wrong")), candidates=30), "water")


def test_other_wordings_are_searched_for_as_well(retriever, put):
    put(flood="water damage", fire="blaze in the kitchen", wine="cheese and wine")
    found = retriever.search("water damage", wordings=["blaze", " "], principal=LOCAL_USER, top_k=2)
    assert {hit.chunk.document_id for hit in found.hits} == {"flood", "fire"}
    assert [hit.rank for hit in found.hits] == [1, 2]


def test_stages_see_what_is_live_and_once_and_the_best_of_their_order_come_back(catalog, embedder, put):
    class Backwards:
        name = "backwards"

        def __call__(self, asked, hits):
            self.seen = [hit.chunk.text for hit in hits]
            return list(hits)[::-1]

    stage = Backwards()
    put(one="water damage", two="water damage", three="water")
    fewer = hybrid(catalog, embedder, candidates=30, moments=catalog, stages=[stage])
    hits = search(fewer, "water damage", top_k=1)
    assert stage.seen == ["water damage", "water"]
    assert [(hit.chunk.text, hit.rank) for hit in hits] == [("water", 1)]


def test_a_document_that_is_replaced_during_a_search_is_not_found_in_its_former_words(catalog, embedder, put):
    put(flood="water damage", fire="water in the kitchen")

    class Meanwhile(DenseRetriever):
        def retrieve(self, query, **more):
            hits = super().retrieve(query, **more)
            put(flood="water of tomorrow")
            return hits

    slow = HybridRetriever(
        Meanwhile(catalog, embedder), LexicalRetriever(catalog), fuse=reciprocal_rank, candidates=30, moments=catalog
    )
    texts = {hit.chunk.text for hit in search(slow, "water")}
    assert "water damage" not in texts
    assert "water in the kitchen" in texts


def test_nobody_else_sees_what_is_not_public(retriever, put, make_record):
    put(make_record("secret", "water damage", acl=("group:claims",)))
    assert search(retriever, "water") == []
    assert len(search(retriever, "water", principal=Principal("ann", groups=("claims",)))) == 1
