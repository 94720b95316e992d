import pytest

from llmapp.catalog.lock import FileLock
from llmapp.errors import IndexUnavailableError
from llmapp.retrieval.indexes.chroma.embedded import ChromaIndex
from llmapp.retrieval.serving import ServingIndex
from llmapp.testing.contracts import VectorIndexContract
from llmapp.testing.vectors import clustered

VECTORS = clustered(3, 8)


@pytest.fixture
def open_store(tmp_path):
    opened = {}

    def build(name):
        return opened.setdefault(name, ChromaIndex(tmp_path / name))

    yield build
    for store in opened.values():
        store.close()


@pytest.fixture
def serve(catalog, open_store, tmp_path):
    def build():
        return ServingIndex(catalog, open_store, initial="one", lock=FileLock(tmp_path / "index.lock", purpose="the index"))

    return build


class TestContract(VectorIndexContract):
    @pytest.fixture
    def open_index(self, catalog, tmp_path):
        lock = FileLock(tmp_path / "index.lock", purpose="the index")
        return lambda: ServingIndex(catalog, lambda name: ChromaIndex(tmp_path / name), initial="one", lock=lock)


def test_it_is_the_store_that_the_catalog_names_from_the_moment_it_does(catalog, serve, open_store):
    serving = serve()
    open_store("two").upsert(["b"], VECTORS[1:2])
    serving.upsert(["a"], VECTORS[:1])
    assert serving.query(VECTORS[0], top_k=1)[0][0] == "a"
    catalog.serve_from("two", held={"b"}, former="one", keep_former=True)
    assert serving.current() is open_store("two")
    assert serving.query(VECTORS[0], top_k=1)[0][0] == "b"
    assert serving.ids() == {"b"}


def test_a_store_that_comes_back_is_opened_anew_for_it_may_hold_something_else_by_now(catalog, tmp_path):
    serving = ServingIndex(
        catalog,
        lambda name: ChromaIndex(tmp_path / name),
        initial="one",
        lock=FileLock(tmp_path / "lock", purpose="the index"),
    )
    catalog.bind_store("one")
    before = serving.current()
    assert serving.current() is before
    catalog.serve_from("two", held=(), former="one", keep_former=True)
    catalog.serve_from("one", held=(), former="two", keep_former=True)
    assert serving.current() is not before


def test_a_store_for_one_process_is_searched_by_the_one_that_holds_the_lock(serve):
    first, second = serve(), serve()
    first.upsert(["a"], VECTORS[:1])
    assert first.query(VECTORS[0], top_k=1)
    with pytest.raises(IndexUnavailableError, match="another process holds the vector index"):
        second.query(VECTORS[0], top_k=1)
    first._lock.release()
    assert second.query(VECTORS[0], top_k=1)
