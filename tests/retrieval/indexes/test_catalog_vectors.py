import hashlib

import pytest

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.records import DocumentRecord
from llmapp.errors import DimensionMismatchError
from llmapp.retrieval.indexes.catalog_vectors import ExactIndex
from llmapp.testing.contracts import VectorIndexContract
from llmapp.types import Chunk


def record(name, key):
    return DocumentRecord(
        source="test",
        document_id=name,
        uri=name,
        title="",
        text=name,
        page_starts=(),
        media_type=None,
        metadata={},
        acl=("public",),
        revision=None,
        content_hash=key,
        parser="none",
        chunks=(Chunk(name, "test", name, name, "", name, 0, len(name)),),
        embedding_keys=(key,),
    )


class ThroughTheCatalog(ExactIndex):
    """Writes as an ingest does: into the catalog, where the embedder is checked."""

    def __init__(self, path):
        self.catalog = Catalog(path)
        super().__init__(self.catalog)

    def upsert(self, ids, vectors):
        held = self.catalog.live_vectors().vectors
        if len(held) and held.shape[1] != vectors.shape[1]:
            raise DimensionMismatchError(stored=held.shape[1], given=vectors.shape[1])
        keys = [hashlib.sha256(vector.tobytes()).hexdigest() for vector in vectors]
        self.catalog.replace([record(*pair) for pair in zip(ids, keys, strict=True)], dict(zip(keys, vectors, strict=True)))

    def delete(self, ids):
        self.catalog.delete("test", ids)

    def clear(self):
        self.catalog.forget_source("test")

    def close(self):
        self.catalog.close()


class TestContract(VectorIndexContract):
    @pytest.fixture
    def open_index(self, tmp_path):
        return lambda: ThroughTheCatalog(tmp_path / "catalog.db")


def test_nothing_is_projected_and_nothing_can_be_thrown_away(catalog, put):
    put(d1="water", d2="wine")
    index = ExactIndex(catalog)
    index.delete(["c-d1"])
    index.clear()
    index.close()
    assert index.fault() is None
    assert index.ids() == {"c-d1", "c-d2"}
