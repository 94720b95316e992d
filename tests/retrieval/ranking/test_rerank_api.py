"""A rerank API on this machine, well-behaved and hostile."""

import json
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from llmapp.errors import RerankerError
from llmapp.retrieval.ranking.rerank_api import RerankApi


class Provider(ThreadingHTTPServer):
    """Set `status` and `answer`, a value or what makes one of a request; read `requests`."""

    daemon_threads = True
    status = 200
    answer = None

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), request))
        answer = self.server.answer
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def provider():
    server = Provider()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def api(provider):
    url = f"http://127.0.0.1:{provider.server_address[1]}/v2/rerank"
    with closing(RerankApi("m", url=url, api_key="secret-key", timeout_s=5)) as client:
        yield client


def results(*scores):
    return [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]


def test_scores_come_back_in_the_order_of_the_passages(api, provider):
    provider.answer = {"results": results(0.1, 0.9)[::-1]}
    assert api.score("q", ["a", "b"]).scores == (0.1, 0.9)
    ((path, headers, body),) = provider.requests
    assert path == "/v2/rerank"
    assert body == {"model": "m", "query": "q", "documents": ["a", "b"]}
    assert {name.lower(): value for name, value in headers.items()}["authorization"] == "Bearer secret-key"


def test_what_a_provider_bills_is_read_in_their_words(api, provider):
    provider.answer = {"results": results(1), "meta": {"billed_units": {"search_units": 2}}}
    assert (api.score("q", ["a"]).billed_tokens, api.score("q", ["a"]).billed_searches) == (None, 2)
    provider.answer = {"data": results(1), "usage": {"total_tokens": 77}}
    assert (api.score("q", ["a"]).billed_tokens, api.score("q", ["a"]).billed_searches) == (77, None)
    provider.answer = {"data": results(1), "usage": {"total_tokens": -5}, "meta": {"billed_units": {"search_units": "2"}}}
    assert (api.score("q", ["a"]).billed_tokens, api.score("q", ["a"]).billed_searches) == (None, None)


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b'{"results": [{"index": 0, "relevance_score": NaN}, {"index": 1, "relevance_score": 1}]}',
        None,
        [],
        {"results": None},
        {"results": results(0.1)},
        {"results": results(0.1, 0.2, 0.3)},
        {"results": [{"index": 0, "relevance_score": 1}, {"index": -1, "relevance_score": 1}]},
        {"results": [{"index": True, "relevance_score": 1}, {"index": 0, "relevance_score": 1}]},
        {"results": [{"index": 0, "relevance_score": "1"}, {"index": 1, "relevance_score": 1}]},
        {"results": [{"index": 0, "relevance_score": 10**400}, {"index": 1, "relevance_score": 1}]},
        {"results": [{"index": [0], "relevance_score": 1}, {"index": 1, "relevance_score": 1}]},
        {"results": ["0", 1]},
        b"[" * 100_000,
    ],
)
def test_an_answer_that_does_not_judge_every_passage_is_an_error(api, provider, answer):
    provider.answer = answer
    with pytest.raises(RerankerError):
        api.score("q", ["a", "b"])


@pytest.mark.parametrize("status", [301, 307, 400, 401, 429, 500, 503])
def test_a_refusal_is_an_error_with_its_status_after_one_attempt(api, provider, status):
    provider.status, provider.answer = status, {"message": "secret-key is wrong"}
    with pytest.raises(RerankerError) as caught:
        api.score("q", ["a"])
    assert len(provider.requests) == 1
    assert "secret-key" not in str(caught.value)
    if status >= 400:
        assert caught.value.status_code == status


def test_a_provider_that_is_not_there_is_an_error(provider):
    url = f"http://127.0.0.1:{provider.server_address[1]}/"
    provider.shutdown()
    provider.server_close()
    with closing(RerankApi("m", url=url, api_key=None, timeout_s=2)) as gone, pytest.raises(RerankerError):
        gone.score("q", ["a"])
