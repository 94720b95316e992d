"""A Chroma server on this machine."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from llmapp.retrieval.indexes.chroma.server import ChromaServerIndex

_CHROMA = Path(sys.executable).with_name("chroma")


class ChromaServer:
    """``chroma run`` on a port of its own; it may be killed and started again."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        command = [_CHROMA, "run", "--path", self.folder / "data", "--host", "127.0.0.1", "--port", str(self.port)]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"NO_COLOR": "1"})
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory):
    server = ChromaServer(tmp_path_factory.mktemp("chroma-server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_name():
    """Of a collection or table that no other test has."""
    return f"llmapp-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def on_server(chroma_server, own_name):
    opened = ChromaServerIndex(chroma_server.url, own_name)
    yield opened
    opened.close()
