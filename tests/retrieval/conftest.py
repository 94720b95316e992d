"""A catalog with one chunk a document, embedded by words."""

import hashlib

import pytest

from llmapp.catalog.lock import FileLock
from llmapp.catalog.records import DocumentRecord
from llmapp.retrieval.indexes.chroma.embedded import ChromaIndex
from llmapp.retrieval.projection import IndexProjection
from llmapp.retrieval.serving import ServingIndex
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import PUBLIC, Chunk


def _record(name, text, *, acl=(PUBLIC,), title=""):
    chunk = Chunk(f"c-{name}", "test", name, name, title, text, 0, len(text))
    return DocumentRecord(
        source="test",
        document_id=name,
        uri=name,
        title=title,
        text=text,
        page_starts=(),
        media_type=None,
        metadata={},
        acl=acl,
        revision=None,
        content_hash=hashlib.sha256(repr((text, acl)).encode()).hexdigest(),
        parser="none",
        chunks=(chunk,),
        embedding_keys=(text,),
    )


@pytest.fixture
def embedder():
    """More dimensions, so that fewer words share one."""
    return HashEmbedder(dim=512)


@pytest.fixture
def make_record():
    return _record


@pytest.fixture
def put(catalog, embedder):
    """put(record, ..., name="a text", ...): commits documents in one transaction."""

    def put_all(*records, **texts):
        records = [*records, *(_record(name, text) for name, text in texts.items())]
        texts_by_key = {key: record.text for record in records for key in record.embedding_keys}
        vectors = embedder.embed_documents(list(texts_by_key.values()))
        catalog.replace(records, dict(zip(texts_by_key, vectors, strict=True)))

    return put_all


@pytest.fixture
def lock(tmp_path):
    return FileLock(tmp_path / "index.lock", purpose="the index")


@pytest.fixture
def index(tmp_path):
    opened = ChromaIndex(tmp_path / "chroma")
    yield opened
    opened.close()


@pytest.fixture
def serve(catalog):
    """serve(index, lock, catalog): this one store, which never changes."""

    def build(index, lock, catalog=catalog):
        return ServingIndex(catalog, lambda _: index, initial=index.name, lock=lock)

    return build


@pytest.fixture
def project(catalog, serve):
    """project(index, lock, catalog): a projection into this one store."""

    def build(index, lock, catalog=catalog):
        return IndexProjection(catalog, serve(index, lock, catalog), lock)

    return build


@pytest.fixture
def projection(project, index, lock):
    return project(index, lock)
