import asyncio
import json

import httpx2
import pytest
from starlette.requests import ClientDisconnect

from llmapp.errors import ModelTimeoutError
from llmapp.server.streaming import EventStream, event, unless_gone

QUESTION = {"question": "How many days of leave do I have?"}
CHAT = {"model": "llmapp", "messages": [{"role": "user", "content": "leave"}], "stream": True}


class Client:
    """The other end of an ASGI connection."""

    def __init__(self):
        self.gone = asyncio.Event()
        self.sent = []
        self.is_slow = False

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)
        if self.is_slow:
            await asyncio.Event().wait()


async def test_work_whose_client_stays_is_done():
    async def work():
        return 7

    assert await unless_gone(Client().receive, work()) == 7


async def test_an_error_of_the_work_comes_out_as_it_is():
    async def work():
        raise ModelTimeoutError("late")

    with pytest.raises(ModelTimeoutError):
        await unless_gone(Client().receive, work())


async def test_work_whose_client_leaves_is_stopped_and_waited_for():
    client, steps = Client(), []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            steps.append("settled")

    asyncio.get_running_loop().call_later(0.01, client.gone.set)
    with pytest.raises(ClientDisconnect):
        await unless_gone(client.receive, work())
    assert steps == ["settled"]


async def test_work_is_stopped_too_when_the_server_stops_waiting():
    steps = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("settled")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(unless_gone(Client().receive, work()), 0.01)
    assert steps == ["settled"]


async def stream_to(client, *, count=3, error=None):
    closed = []

    async def events():
        try:
            for number in range(count):
                yield event({"number": number})
            if error:
                raise error
        finally:
            closed.append(True)

    try:
        await EventStream(events())({"type": "http"}, client.receive, client.send)
    finally:
        assert closed == [True]


async def test_events_are_sent_each_as_a_piece_of_its_own():
    client = Client()
    await stream_to(client)
    start, *pieces, end = client.sent
    headers = dict(start["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert b"content-length" not in headers
    assert [piece["body"] for piece in pieces] == [
        b'data: {"number":0}\n\n',
        b'data: {"number":1}\n\n',
        b'data: {"number":2}\n\n',
    ]
    assert end == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_an_error_before_the_first_event_comes_before_the_status_line():
    client = Client()
    with pytest.raises(ModelTimeoutError):
        await stream_to(client, count=0, error=ModelTimeoutError("late"))
    assert not client.sent


async def test_the_generator_is_closed_although_the_client_leaves_in_the_middle_of_a_send():
    client = Client()
    client.is_slow = True
    asyncio.get_running_loop().call_later(0.01, client.gone.set)
    await stream_to(client)
    assert len(client.sent) == 1


def test_an_event_is_one_line_that_json_brings_back():
    text = "line\nline\r\u2028ümläut 休暇 \ud83d"
    sent = event({"text": text})
    assert sent.startswith(b"data: ")
    assert sent.count(b"\n") == 2
    assert json.loads(sent[6:]) == {"text": text}


@pytest.fixture
def paid(make, slow_model, priced):
    """An application whose model costs money and takes its time."""
    return make(chat=slow_model, **priced)


def held_nano_usd(application):
    return application.ledger.balances()[0].held_nano_usd


@pytest.mark.parametrize("path", ["/api/ask", "/v1/chat/completions"])
def test_a_client_that_leaves_before_its_answer_stops_the_model_and_settles_the_hold(
    paid, serve, slow_model, eventually, path
):
    body = QUESTION if path == "/api/ask" else {**CHAT, "stream": False}
    with serve(paid) as address:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(address + path, json=body, timeout=1.0)
        eventually(slow_model._ended.is_set)
        eventually(lambda: held_nano_usd(paid) == 0)
    assert paid.ledger.balances()[0].posted_nano_usd > 0


def test_a_client_that_leaves_a_stream_stops_the_model_and_settles_the_hold(paid, serve, slow_model, eventually):
    with serve(paid) as address:
        with httpx2.stream("POST", f"{address}/v1/chat/completions", json=CHAT) as response:
            lines = response.iter_lines()  # kept: the client leaves when it is collected
            first = next(lines)
            assert json.loads(first[6:])["choices"][0]["delta"]["role"] == "assistant"
            assert held_nano_usd(paid) > 0
        eventually(slow_model._ended.is_set)
        eventually(lambda: held_nano_usd(paid) == 0)
    assert paid.ledger.balances()[0].posted_nano_usd > 0


def test_a_client_that_leaves_a_stream_before_the_model_speaks_stops_it_too(make, serve, slow_model, eventually):
    slow_model.pause_s = 60
    with serve(make(chat=slow_model)) as address:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{address}/v1/chat/completions", json=CHAT, timeout=1.0)
        eventually(slow_model._ended.is_set)


def test_a_server_that_ends_in_the_middle_of_a_stream_stops_the_model_and_settles_the_hold(paid, serve, slow_model):
    with serve(paid) as address, httpx2.stream("POST", f"{address}/v1/chat/completions", json=CHAT) as response:
        lines = response.iter_lines()
        next(lines)
        serve.stop()
        with pytest.raises(httpx2.RemoteProtocolError):
            list(lines)
    assert slow_model._ended.is_set()
    assert held_nano_usd(paid) == 0
    assert paid.ledger.balances()[0].posted_nano_usd > 0
