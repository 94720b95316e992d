"""Builds documents for the catalog without parsing anything."""

import hashlib

import pytest

from llmapp.catalog.records import DocumentRecord
from llmapp.types import PUBLIC, Chunk


@pytest.fixture(params=["sqlite", "postgres"])
def database_kind(request):
    return request.param


@pytest.fixture
def record():
    def build(document_id, *texts, source="s", acl=(PUBLIC,), revision="1", title="Title", heading=""):
        text = "\n\n".join(texts)
        chunks, keys, position = [], [], 0
        for part in texts:
            key = hashlib.sha256(part.encode()).hexdigest()
            end = position + len(part)
            name = hashlib.sha256(f"{source}/{document_id}/{position}/{part}/{title}".encode()).hexdigest()[:32]
            chunks.append(Chunk(name, source, document_id, f"u/{document_id}", title, part, position, end, None, heading))
            keys.append(key)
            position = end + 2
        return DocumentRecord(
            source=source,
            document_id=document_id,
            uri=f"u/{document_id}",
            title=title,
            text=text,
            page_starts=(0,),
            media_type="text/plain",
            metadata={"k": 1},
            acl=tuple(acl),
            revision=revision,
            content_hash=hashlib.sha256(text.encode()).hexdigest(),
            parser="test",
            chunks=tuple(chunks),
            embedding_keys=tuple(keys),
        )

    return build


@pytest.fixture
def put(catalog, embedder):
    def write(*records):
        vectors = {
            key: embedder.embed_query(chunk.text)
            for item in records
            for chunk, key in zip(item.chunks, item.embedding_keys, strict=True)
        }
        catalog.replace(records, vectors)

    return write
