import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from llmapp.application import App
from llmapp.config import Settings
from llmapp.errors import ConfigError, LLMAppError
from llmapp.server.asgi import create_app, run
from llmapp.testing.fakes import HashEmbedder, ScriptedChatModel


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch):
    monkeypatch.setattr("llmapp.server.asgi._CATCH_UP_PERIOD_S", 0.05)


def test_what_is_taken_in_beside_the_server_is_found_and_reaches_the_index(make, client_of, tmp_path, eventually):
    application = make()
    client = client_of(application)
    eventually(lambda: application.index_lock.held)
    (tmp_path / "documents/parking.txt").write_text("Parking costs 3 pounds a day.", encoding="utf-8")
    with App(application.settings, model=ScriptedChatModel(), embedder=HashEmbedder()) as beside:
        beside.ingest([tmp_path / "documents"])
        (first, *_) = client.post("/api/search", json={"query": "parking costs pounds"}).json()["hits"]
        assert "Parking" in first["text"]
    eventually(lambda: client.get("/health/ready").json()["pending"] == 0)
    assert application.index.ids() == application.catalog.chunk_ids()
    assert application.verify_index().ok


def test_a_server_follows_when_the_vectors_move_and_empties_the_former_store(make, client_of, eventually):
    application = make()
    client = client_of(application)
    eventually(lambda: application.index_lock.held)
    eventually(lambda: client.get("/health/ready").json()["pending"] == 0)
    with App(application.settings, model=ScriptedChatModel(), embedder=HashEmbedder()) as beside:
        assert beside.reindex("exact").former == "chroma"
    assert application.index.name == "exact"
    eventually(lambda: application.catalog.other_stores() == {})
    assert not (application.settings.state / "chroma").exists()
    assert client.post("/api/search", json={"query": "leave"}).status_code == 200


def test_the_index_is_taken_when_another_process_gives_it_up(make, client_of, eventually):
    other = make()
    other.index_lock.acquire()
    application = make()
    client = client_of(application)
    assert client.post("/api/search", json={"query": "leave"}).status_code == 200
    assert not application.index_lock.held
    other.index_lock.release()
    eventually(lambda: application.index_lock.held)


def test_the_index_is_given_back_when_the_server_ends(make, serve, eventually):
    application, other = make(), make()
    with serve(application):
        eventually(lambda: application.index_lock.held)
        assert not other.index_lock.try_acquire()
    assert other.index_lock.try_acquire()


def test_an_index_that_fails_does_not_stop_the_server(make, client_of, eventually, monkeypatch):
    application = make()
    turns = []

    def fail():
        turns.append(1)
        raise OSError("disk full") if len(turns) == 1 else LLMAppError("no luck")

    monkeypatch.setattr(application.projection, "apply_pending", fail)
    client = client_of(application)
    eventually(lambda: len(turns) > 3)
    assert client.post("/api/search", json={"query": "leave"}).status_code == 200


def test_a_model_that_cannot_be_made_is_said_before_the_server_starts(tmp_path):
    settings = Settings(root=tmp_path, model="nonsense:x")
    with App(settings, embedder=HashEmbedder()) as application, pytest.raises(LLMAppError):
        create_app(application)


def test_a_port_in_use_is_a_setting_to_change(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port}") as caught:
            run(Settings(root=tmp_path), port=port)
    assert "--port" in caught.value.hint


@pytest.mark.parametrize(("host", "port"), [("no-such-host.invalid", 0), ("127.0.0.1", 70_000), ("127.0.0.1", -1)])
def test_an_address_that_is_none_is_a_setting_to_change(tmp_path, host, port):
    with pytest.raises(ConfigError, match=r"cannot listen|is no port"):
        run(Settings(root=tmp_path), host=host, port=port)


@pytest.mark.parametrize(("host", "warns"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_a_server_says_its_address_answers_and_ends_at_ctrl_c(tmp_path, http, host, warns):
    program = "import sys; from llmapp.config import load_settings; from llmapp.server.asgi import run"
    program += f"; run(load_settings(sys.argv[1]), host={host!r}, port=0)"
    (tmp_path / "llmapp.toml").write_text("", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLMAPP_")}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            line = process.stdout.readline()
            address = re.search(r"http://\S+:(\d+)", line)
            assert address, process.stderr.read()
            assert http.get(f"http://127.0.0.1:{address[1]}/health/live").status_code == 200
        finally:
            process.send_signal(signal.SIGINT)
            output, complaints = process.communicate(timeout=30)
    assert process.returncode == 0, complaints
    assert output == ""
    assert ("no authentication" in complaints) is warns
    assert complaints.count("\n") == warns


def test_the_routes_are_documented_with_their_shapes(client):
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/chat/completions",
        "/v1/models",
        "/api/ask",
        "/api/search",
        "/api/summarize",
        "/api/fields",
        "/health/live",
        "/health/ready",
    }
    assert "422" not in document["paths"]["/api/ask"]["post"]["responses"]
    assert client.get("/docs").status_code == 200
