"""A small application behind the server: in process for most tests, on a real port where the wire matters."""

import asyncio
import shutil
import threading
import time
from contextlib import contextmanager

import httpx2
import pytest
import uvicorn
from fastapi.testclient import TestClient
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr

from llmapp.application import App
from llmapp.config import Settings
from llmapp.server.asgi import _listening, create_app
from llmapp.testing.fakes import HashEmbedder, ScriptedChatModel

DOCUMENTS = {
    "leave.txt": "Every employee has 28 days of paid leave a year.",
    "claims.txt": "Claims are reported by telephone to number 555 0100.",
}
ANSWER = "Every employee has 28 days of paid leave a year [1]."
FREE = {"input_usd_per_million": 0, "output_usd_per_million": 0}
PAID = {"input_usd_per_million": 1, "output_usd_per_million": 1}
FREE_PRICES = {"hash/64": FREE, "scripted": FREE, "slowmodel": FREE}
PRICED = {"prices": {"hash/64": FREE, "scripted": PAID, "slowmodel": PAID}}
UNPRICED = {"prices": {"hash/64": FREE}}


class SlowModel(BaseChatModel):
    """Writes a word now and then, and notes when it was stopped."""

    pause_s: float = 0.05
    words: int = 1000
    _started: threading.Event = PrivateAttr(default_factory=threading.Event)
    _ended: threading.Event = PrivateAttr(default_factory=threading.Event)

    @property
    def _llm_type(self):
        return "slow"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessage("never asked"))])

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        self._started.set()
        try:
            for _ in range(self.words):
                await asyncio.sleep(self.pause_s)
                yield ChatGenerationChunk(message=AIMessageChunk("word "))
            usage = {"input_tokens": 10, "output_tokens": self.words, "total_tokens": 10 + self.words}
            yield ChatGenerationChunk(message=AIMessageChunk("", usage_metadata=usage))
        finally:
            self._ended.set()


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    """A folder whose documents are taken in, made once."""
    root = tmp_path_factory.mktemp("filled")
    folder = root / "documents"
    folder.mkdir()
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    with App(Settings(root=root, prices=FREE_PRICES), model=ScriptedChatModel(), embedder=HashEmbedder()) as application:
        application.ingest([folder])
    return root


@pytest.fixture
def make(tmp_path, filled):
    """Makes applications on one folder with its documents taken in; all are closed at the end."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    made = []

    def build(*, chat=None, **settings):
        given = chat or ScriptedChatModel(answers=[ANSWER])
        whole = Settings(**{"root": tmp_path, "prices": FREE_PRICES, **settings})
        application = App(whole, model=given, embedder=HashEmbedder())
        made.append(application)
        return application

    yield build
    for application in made:
        application.close()


@pytest.fixture
def client_of():
    """In process; an unforeseen error is a response, as it is for a real client."""
    opened = []

    def build(application, **options):
        client = TestClient(create_app(application), base_url="http://127.0.0.1", raise_server_exceptions=False, **options)
        opened.append(client.__enter__())
        return client

    yield build
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make, client_of):
    return client_of(make())


class Listening:
    """Real servers, each in a thread; called, it gives the address of one."""

    server: uvicorn.Server

    @contextmanager
    def __call__(self, application):
        with _listening("127.0.0.1", 0) as listener:
            config = uvicorn.Config(create_app(application), log_level="critical", timeout_graceful_shutdown=1)
            self.server = uvicorn.Server(config)
            thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                wait_until(lambda: self.server.started)
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                self.stop()
                thread.join(timeout=20)
                assert not thread.is_alive()

    def stop(self):
        """What Ctrl-C does."""
        self.server.should_exit = True


@pytest.fixture
def serve():
    return Listening()


@pytest.fixture
def slow_model():
    return SlowModel()


def wait_until(condition, timeout_s=10.0):
    """Wait for something that happens soon; the test fails when it does not."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def eventually():
    return wait_until


@pytest.fixture
def http():
    with httpx2.Client(timeout=30) as client:
        yield client


@pytest.fixture
def priced():
    return PRICED


@pytest.fixture
def unpriced():
    return UNPRICED
