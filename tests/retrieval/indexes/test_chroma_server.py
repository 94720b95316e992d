import socket

import pytest

from llmapp.errors import ConfigError, IndexUnavailableError
from llmapp.retrieval.indexes.chroma.server import ChromaServerIndex
from llmapp.testing.contracts import VectorIndexContract
from llmapp.testing.vectors import clustered

VECTORS = clustered(20, 8)
IDS = [f"c{number}" for number in range(20)]


class TestContract(VectorIndexContract):
    @pytest.fixture
    def open_index(self, chroma_server, own_name):
        return lambda: ChromaServerIndex(chroma_server.url, own_name)


@pytest.mark.parametrize(
    "url", ["http://example.com:8000", "http://192.168.0.7:8000", "http://0.0.0.0:8000", "http://localhost.example.com:1"]
)
def test_a_server_of_another_machine_is_refused(url):
    with pytest.raises(ConfigError, match="is not this machine"):
        ChromaServerIndex(url, "chunks")


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8000", "http://127.0.0.1", "https://127.0.0.1:8000", "http://127.0.0.1:x", "http://a:b@127.0.0.1:8000"],
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ConfigError, match="is not http://HOST:PORT"):
        ChromaServerIndex(url, "chunks")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://127.8.0.1:1"])
def test_this_machine_has_several_names(url):
    ChromaServerIndex(url, "chunks")


def test_a_server_that_is_down_is_a_typed_error_and_a_fault():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        down = ChromaServerIndex(f"http://127.0.0.1:{free.getsockname()[1]}", "chunks")
        assert "cannot be reached" in down.fault()
        for call in (lambda: down.query(VECTORS[0], top_k=1), lambda: down.upsert(IDS, VECTORS), down.ids, down.clear):
            with pytest.raises(IndexUnavailableError, match="failed"):
                call()


def test_a_server_that_hangs_is_given_up():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        hanging = ChromaServerIndex(f"http://127.0.0.1:{silent.getsockname()[1]}", "chunks", read_deadline_s=0.2)
        with pytest.raises(IndexUnavailableError, match=r"has not answered for 0\.2 s"):
            hanging.query(VECTORS[0], top_k=1)


def test_a_collection_that_is_gone_is_missing_not_empty(on_server, chroma_server, own_name):
    on_server.upsert(IDS, VECTORS)
    assert on_server.fault() is None
    ChromaServerIndex(chroma_server.url, own_name).clear()
    with pytest.raises(IndexUnavailableError):
        on_server.ids()
    with pytest.raises(IndexUnavailableError, match="is missing"):
        on_server.ids()


def test_what_another_process_has_made_anew_is_found_after_one_failure(on_server, chroma_server, own_name):
    on_server.upsert(IDS, VECTORS)
    other = ChromaServerIndex(chroma_server.url, own_name)
    other.clear()
    other.upsert(IDS[:3], VECTORS[:3])
    with pytest.raises(IndexUnavailableError):
        on_server.ids()
    assert on_server.ids() == set(IDS[:3])
    other.close()


def test_what_was_written_survives_the_death_of_the_server(chroma_server, on_server):
    on_server.upsert(IDS, VECTORS)
    chroma_server.kill()
    with pytest.raises(IndexUnavailableError):
        on_server.query(VECTORS[0], top_k=1)
    chroma_server.start()
    assert on_server.ids() == set(IDS)
    assert on_server.query(VECTORS[7], top_k=1)[0][0] == "c7"


def test_two_collections_of_one_server_do_not_meet(chroma_server, on_server, own_name):
    other = ChromaServerIndex(chroma_server.url, own_name + "-other")
    on_server.upsert(IDS[:5], VECTORS[:5])
    other.upsert(IDS[5:], VECTORS[5:])
    assert on_server.ids() == set(IDS[:5])
    assert other.ids() == set(IDS[5:])
    other.clear()
    assert on_server.ids() == set(IDS[:5])
