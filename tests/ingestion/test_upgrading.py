"""Another chunker or embedder: from stored texts, behind the live chunks, all at once, and never paid for twice."""

from collections.abc import Iterator

import numpy as np
import pytest
from pydantic import BaseModel, Field

from llmapp.catalog.catalog import Catalog
from llmapp.connector import Checkpoint, Document, Upsert
from llmapp.errors import EmbedderError, EmbedderMismatchError, TooManyFailuresError
from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.embedding_text import chunk_tokens
from llmapp.ingestion.ingestor import Ingestor
from llmapp.ingestion.pipeline import Bounds
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import PUBLIC, Principal

LOCAL = Principal("local")


@pytest.fixture(params=["sqlite", "postgres"])
def database_kind(request):
    return request.param


class Notes(BaseModel, frozen=True):
    texts: dict = Field(exclude=True)

    def read(self, cursor) -> Iterator:
        for name, text in self.texts.items() if cursor is None else ():
            yield Upsert(Document(id=name, uri=f"{name}.md", text=text, revision="1"))
        yield Checkpoint(1)


TEXTS = {f"d{n}": " ".join(f"This is sentence {k} of document {n}." for k in range(n * 4)) for n in range(1, 12)} | {
    "short": "a few words"
}


def build(catalog, parser, embedder, max_tokens=None, batch_chunks=4):
    chunker = StructureChunker(embedder.tokenizer, max_tokens or chunk_tokens(embedder))
    return Ingestor(catalog, parser, chunker, embedder, bounds=Bounds(batch_chunks=batch_chunks))


def sync(ingestor, texts=TEXTS):
    return ingestor.run("notes", Notes(texts=texts), default_acl=(PUBLIC,))


def fresh_digest(tmp_path, parser, embedder, max_tokens=None):
    catalog = Catalog(tmp_path / "fresh.db")
    sync(build(catalog, parser, embedder, max_tokens))
    digest = catalog.digest()
    catalog.close()
    return digest


def test_another_chunker_ends_in_what_a_fresh_ingest_holds_and_asks_no_source(tmp_path, catalog, parser):
    embedder = HashEmbedder()
    sync(build(catalog, parser, embedder))
    other = build(catalog, parser, embedder, max_tokens=20)
    assert other.upgrade.is_needed()
    planned, before, digest = other.upgrade.plan(set()), len(embedder.embedded), catalog.digest()
    assert (len(embedder.embedded), catalog.digest()) == (before, digest), "a plan changes nothing"
    done = other.upgrade.run()
    assert done == planned
    assert len(embedder.embedded) - before == done.embedded_texts > 0
    assert catalog.digest() == fresh_digest(tmp_path, parser, HashEmbedder(), max_tokens=20)
    assert not other.upgrade.is_needed()


def test_only_new_texts_are_embedded_when_the_chunker_changes(catalog, parser):
    embedder = HashEmbedder()
    sync(build(catalog, parser, embedder))
    other = build(catalog, parser, embedder, max_tokens=20)
    other.upgrade.run()
    assert embedder.embedded.count("short\na few words") == 1


def test_another_embedder_embeds_every_text_again_and_the_old_vectors_are_gone(tmp_path, catalog, parser):
    sync(build(catalog, parser, HashEmbedder(dim=64)))
    wide = HashEmbedder(dim=128)
    ingestor = build(catalog, parser, wide)
    with pytest.raises(EmbedderMismatchError, match="hash/64"):
        sync(ingestor)
    ingestor.upgrade.run()
    assert len(wide.embedded) == catalog.counts().chunks == catalog.counts().embeddings
    assert catalog.live_vectors().vectors.shape[1] == 128
    assert catalog.digest() == fresh_digest(tmp_path, parser, HashEmbedder(dim=128))
    assert sync(ingestor).unchanged == 0, "the cursor still stands"


def test_the_old_chunks_serve_until_the_swap(catalog, parser):
    class Watching(HashEmbedder):
        def embed_documents(self, texts):
            seen.append((catalog.digest(), len(catalog.match("sentence", principal=LOCAL, top_k=100))))
            return super().embed_documents(texts)

    seen = []
    sync(build(catalog, parser, HashEmbedder()))
    digest, hits = catalog.digest(), len(catalog.match("sentence", principal=LOCAL, top_k=100))
    build(catalog, parser, Watching(dim=32)).upgrade.run()
    assert len(seen) > 3
    assert set(seen) == {(digest, hits)}


def test_an_upgrade_that_stops_pays_for_no_text_twice(tmp_path, catalog, parser):
    class Failing(HashEmbedder):
        left = 3

        def embed_documents(self, texts):
            self.left -= 1
            if self.left < 0:
                raise EmbedderError("gone")
            return super().embed_documents(texts)

    sync(build(catalog, parser, HashEmbedder()))
    digest, embedder = catalog.digest(), Failing(dim=32)
    with pytest.raises(EmbedderError):
        build(catalog, parser, embedder).upgrade.run()
    assert catalog.digest() == digest
    embedder.left = 1000
    build(catalog, parser, embedder).upgrade.run()
    assert len(embedder.embedded) == len(set(embedder.embedded)) == catalog.counts().embeddings
    assert catalog.digest() == fresh_digest(tmp_path, parser, HashEmbedder(dim=32))


def test_an_upgrade_that_is_taken_back_leaves_nothing_behind(catalog, parser):
    class Failing(HashEmbedder):
        def embed_documents(self, texts):
            if self.embedded:
                raise EmbedderError("gone")
            return super().embed_documents(texts)

    old = HashEmbedder()
    sync(build(catalog, parser, old))
    counts, digest = catalog.counts(), catalog.digest()
    with pytest.raises(EmbedderError):
        build(catalog, parser, Failing(dim=32)).upgrade.run()
    assert catalog.counts().embeddings > counts.embeddings
    again = build(catalog, parser, old)
    assert not again.upgrade.is_needed()
    catalog.drop_staged()
    assert (catalog.counts(), catalog.digest()) == (counts, digest)


def test_a_document_that_the_new_embedder_cannot_take_is_withdrawn_and_comes_back_when_it_can(catalog, parser):
    class Picky(HashEmbedder):
        is_picky = True

        def embed_documents(self, texts):
            vectors = super().embed_documents(texts)
            vectors[[n for n, text in enumerate(texts) if self.is_picky and "document 7" in text]] = np.nan
            return vectors

    sync(build(catalog, parser, HashEmbedder()))
    picky = Picky(dim=32)
    ingestor = build(catalog, parser, picky)
    ingestor.upgrade.run()
    assert catalog.document_ids("notes") == set(TEXTS) - {"d7"}
    assert [record.document_id for record in catalog.quarantined()] == ["d7"]
    picky.is_picky = False
    sync(ingestor)
    assert catalog.document_ids("notes") == set(TEXTS)
    assert catalog.quarantined() == []


def test_a_faulty_embedder_takes_nothing_away(catalog, parser):
    class Faulty(HashEmbedder):
        def embed_documents(self, texts):
            return super().embed_documents(texts) * np.nan

    sync(build(catalog, parser, HashEmbedder()))
    digest = catalog.digest()
    with pytest.raises(TooManyFailuresError, match="12 of 12"):
        build(catalog, parser, Faulty(dim=32)).upgrade.run()
    assert (catalog.digest(), catalog.quarantined()) == (digest, [])


@pytest.mark.parametrize("batch_chunks", [1, 1000])
def test_a_document_of_many_chunks_and_many_documents_of_one_end_alike(tmp_path, catalog, parser, batch_chunks):
    sync(build(catalog, parser, HashEmbedder()))
    build(catalog, parser, HashEmbedder(dim=32), batch_chunks=batch_chunks).upgrade.run()
    assert catalog.digest() == fresh_digest(tmp_path, parser, HashEmbedder(dim=32))
