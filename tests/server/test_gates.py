import asyncio
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx2
import pytest

QUESTION = {"question": "How many days of leave do I have?"}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"])
def test_a_loopback_server_answers_to_its_own_names(client, host):
    assert client.get("/health/live", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "[::1", "", "192.168.0.7"]
)
def test_a_name_that_points_here_from_elsewhere_is_refused_on_every_route(client, host):
    for response in (
        client.get("/health/live", headers={"Host": host}),
        client.post("/v1/chat/completions", headers={"Host": host}, json={}),
    ):
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "invalid_request"
        assert "name" in response.json()["error"]["message"]


def test_the_configured_name_is_one_of_the_servers_own(make, client_of):
    client = client_of(make(server={"host": "127.0.0.9"}))
    assert client.get("/health/live", headers={"Host": "127.0.0.9:80"}).status_code == 200
    assert client.get("/health/live", headers={"Host": "evil.example"}).status_code == 400


def test_a_server_for_others_answers_to_every_name(make, client_of):
    client = client_of(make(server={"host": "0.0.0.0"}))
    assert client.get("/health/live", headers={"Host": "answers.example"}).status_code == 200


@pytest.fixture
def narrow(make, client_of):
    return client_of(make(server={"max_body_bytes": 1000}))


def refused_for_its_size(response):
    error = response.json()["error"]
    return (
        response.status_code == 413
        and error["code"] == "request_too_large"
        and "1,000" in error["message"]
        and error["hint"]
    )


def test_a_body_that_declares_too_many_bytes_is_refused(narrow):
    assert refused_for_its_size(narrow.post("/api/ask", json={"question": "x" * 1000}))
    assert refused_for_its_size(narrow.post("/v1/chat/completions", content=b"x" * 1001))


def test_a_body_of_unknown_length_is_refused_as_soon_as_it_is_too_long(narrow):
    sent = []

    def pieces():
        for _ in range(100):
            sent.append(500)
            yield b" " * 500

    response = narrow.post("/api/ask", content=pieces(), headers={"Content-Type": "application/json"})
    assert "content-length" not in response.request.headers
    assert refused_for_its_size(response)


def test_a_body_of_just_the_limit_passes(narrow):
    body = b'{"question": "days of leave"}'.ljust(1000)
    assert narrow.post("/api/ask", content=body, headers={"Content-Type": "application/json"}).status_code == 200


def test_a_length_that_is_no_number_is_not_believed(narrow):
    headers = {"Content-Type": "application/json", "Content-Length": "many"}
    assert refused_for_its_size(narrow.post("/api/ask", content=b" " * 2000, headers=headers))


async def post_all(address, count):
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(base_url=address, limits=limits, timeout=60) as client:
        posts = [asyncio.create_task(client.post("/api/ask", json=QUESTION)) for _ in range(count)]
        waits_s = []
        while not all(post.done() for post in posts):
            start = time.perf_counter()
            assert (await client.get("/health/ready")).status_code == 200
            waits_s.append(time.perf_counter() - start)
            await asyncio.sleep(0.02)
        return [await post for post in posts], waits_s


def test_of_two_hundred_questions_at_once_each_is_answered_or_told_to_come_back(make, serve, slow_model):
    slow_model.pause_s, slow_model.words = 0.02, 20
    with serve(make(chat=slow_model, server={"max_concurrency": 4})) as address:
        responses, waits_s = asyncio.run(post_all(address, 200))
    answered = [response for response in responses if response.status_code == 200]
    refused = [response for response in responses if response.status_code == 429]
    assert len(answered) + len(refused) == 200
    assert len(answered) >= 4
    assert refused
    for response in refused:
        assert response.json()["error"]["code"] == "overloaded"
        assert response.headers["retry-after"] == "1"
    assert sorted(waits_s)[len(waits_s) // 2] < 30.0  # nobody waits for an answer that does not come


def test_a_stream_keeps_its_place_until_it_ends(make, serve, slow_model, http, eventually):
    slow_model.words = 10
    chat = {"model": "llmapp", "messages": [{"role": "user", "content": "leave"}], "stream": True}
    with serve(make(chat=slow_model, server={"max_concurrency": 1})) as address:
        with http.stream("POST", f"{address}/v1/chat/completions", json=chat) as response:
            assert response.status_code == 200
            assert http.post(f"{address}/api/ask", json=QUESTION).status_code == 429
            assert http.get(f"{address}/v1/models").status_code == 200
            response.read()
        assert http.post(f"{address}/api/ask", json=QUESTION).status_code == 200


def test_a_refused_request_takes_no_place(make, client_of):
    client = client_of(make(server={"max_concurrency": 1, "max_body_bytes": 1000}))
    for _ in range(3):
        assert client.post("/api/ask", json={"question": "x" * 2000}).status_code == 413
        assert client.post("/api/ask", json={}).status_code == 400
    assert client.post("/api/ask", json=QUESTION).status_code == 200


def test_clients_who_send_half_a_body_keep_nobody_out(make, serve, http):
    head = b"POST /api/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with serve(make(server={"max_concurrency": 2})) as address, ExitStack() as idle:
        for _ in range(4):
            url = urlsplit(address)
            idle.enter_context(socket.create_connection((url.hostname, url.port))).sendall(head)
        time.sleep(0.2)
        assert http.post(f"{address}/api/ask", json=QUESTION).status_code == 200
