"""A provider on this machine that speaks chat completions, well and badly."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from costs.clocks import Clock

WORDS = ("Water ", "damage ", "is ", "covered.")


class Provider(ThreadingHTTPServer):
    """Set `behaviour`, read `requests`."""

    daemon_threads = True
    behaviour = "good"

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.hanging = threading.Event()
        self.usage = {"prompt_tokens": 40, "completion_tokens": 4, "total_tokens": 44}

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Provider

    def log_message(self, *args):
        pass

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        behaviour = self.server.behaviour
        if behaviour.isdigit():
            self._json(int(behaviour), {"error": {"message": "no: sk-verysecretkey123456", "type": "x", "code": "x"}})
        elif behaviour == "hang":
            self.server.hanging.wait(30)  # longer than any client here
            self.close_connection = True
        elif request.get("stream"):
            self._stream(behaviour)
        else:
            body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [_whole()]}
            self._json(200, body if behaviour == "no usage" else {**body, "usage": self.server.usage})

    def _json(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")  # a connection that is kept would outlive the event loop of its test
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, behaviour):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        if behaviour != "closed":
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        for word in WORDS:
            self._event(behaviour, {"choices": [{"index": 0, "delta": {"role": "assistant", "content": word}}]})
            if behaviour == "slow":
                time.sleep(0.05)
            if behaviour in ("cut", "closed") and word == WORDS[1]:
                return  # the connection ends: in the middle of a chunked body, or as if the body were whole
        self._event(behaviour, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if behaviour != "no usage":
            self._event(behaviour, {"choices": [], "usage": self.server.usage})
        self._write(behaviour, b"data: [DONE]\n\n")
        self._write(behaviour, b"")

    def _event(self, behaviour, body):
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", **body}
        self._write(behaviour, f"data: {json.dumps(chunk)}\n\n".encode())

    def _write(self, behaviour, content):
        framed = content if behaviour == "closed" else b"%x\r\n%s\r\n" % (len(content), content)
        try:
            self.wfile.write(framed)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client has left


def _whole():
    return {"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}


@pytest.fixture
def provider():
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.hanging.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_place(request, tmp_path):
    """Where a ledger may be: a file, and a PostgreSQL."""
    return tmp_path / "ledger.db" if request.param == "sqlite" else request.getfixturevalue("new_database")()
