"""A text with more chunks than fit into memory is embedded while it is cut, and ends like any other."""

from dataclasses import replace

import pytest

from llmapp.catalog.catalog import Catalog
from llmapp.connector import Checkpoint, Document, Upsert
from llmapp.errors import EmbedderError
from llmapp.ingestion import preparing
from llmapp.ingestion.ingestor import IngestLimits, Ingestor
from llmapp.ingestion.pipeline import Bounds
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import PUBLIC

LONG = "\n\n".join(
    f"# Part {n}\n\n" + " ".join(f"Sentence {k} of part {n} says a thing." for k in range(40)) for n in range(30)
)


class One:
    def __init__(self, *documents):
        self.documents = documents

    def read(self, cursor):
        yield from (Upsert(document) for document in self.documents)
        yield Checkpoint(None)


def run(ingestor, text=LONG, name="long"):
    document = Document(id=name, uri=f"{name}.md", text=text, media_type="text/markdown")
    return ingestor.run("s", One(document, replace(document, id="short", text="short words")), default_acl=(PUBLIC,))


@pytest.fixture
def streamed(monkeypatch):
    monkeypatch.setattr(preparing, "LARGE_CHARS", 1000)


def test_a_large_document_ends_as_it_would_have_in_one_piece(tmp_path, catalog, parser, chunker, monkeypatch):
    digests = []
    for limit in (10**9, 1000):
        monkeypatch.setattr(preparing, "LARGE_CHARS", limit)
        own = Catalog(tmp_path / f"{limit}.db")
        report = run(Ingestor(own, parser, chunker, HashEmbedder(), bounds=Bounds(batch_chunks=7)))
        assert (report.added, report.chunks) == (2, own.counts().chunks)
        digests.append((own.digest(), report.embedded_texts, report.embedded_tokens))
        own.close()
    assert digests[0] == digests[1]


@pytest.mark.usefixtures("streamed")
def test_at_most_a_batch_is_embedded_at_once(catalog, parser, chunker):
    class Watching(HashEmbedder):
        def embed_documents(self, texts):
            sizes.append(len(texts))
            return super().embed_documents(texts)

    sizes = []
    run(Ingestor(catalog, parser, chunker, Watching(), bounds=Bounds(batch_chunks=5)))
    assert max(sizes) == 5
    assert len(sizes) > 10


@pytest.mark.usefixtures("streamed")
def test_a_large_document_that_is_cut_short_is_invisible_and_goes_on_where_it_was(catalog, parser, chunker):
    class Failing(HashEmbedder):
        left = 4

        def embed_documents(self, texts):
            self.left -= 1
            if self.left < 0:
                raise EmbedderError("gone")
            return super().embed_documents(texts)

    embedder = Failing()
    ingestor = Ingestor(catalog, parser, chunker, embedder, bounds=Bounds(batch_chunks=5))
    with pytest.raises(EmbedderError):
        run(ingestor)
    assert catalog.document_ids("s") == set()
    embedder.left = 1000
    run(ingestor)
    assert catalog.document_ids("s") == {"long", "short"}
    assert len(embedder.embedded) == len(set(embedder.embedded))


@pytest.mark.usefixtures("streamed")
def test_a_large_document_that_changes_embeds_only_what_is_new(catalog, parser, chunker):
    embedder = HashEmbedder()
    ingestor = Ingestor(catalog, parser, chunker, embedder, bounds=Bounds(batch_chunks=16))
    run(ingestor)
    before = len(embedder.embedded)
    report = run(ingestor, LONG.replace("Sentence 3 of part 20", "A new sentence of part 20"))
    assert (report.changed, report.unchanged, len(embedder.embedded) - before) == (1, 1, 1)
    assert catalog.counts().embeddings == catalog.counts().chunks


@pytest.mark.parametrize("limit", [10**9, 1000])
def test_a_document_with_too_many_chunks_is_set_aside_and_leaves_nothing(catalog, parser, chunker, monkeypatch, limit):
    monkeypatch.setattr(preparing, "LARGE_CHARS", limit)
    limits = IngestLimits(max_chunks=20)
    report = run(Ingestor(catalog, parser, chunker, HashEmbedder(), bounds=Bounds(batch_chunks=6), limits=limits))
    assert (report.added, report.quarantined) == (1, 1)
    (record,) = catalog.quarantined()
    assert (record.code, record.retry) == ("limit_exceeded", "never")
    assert "ingestion.max_chunks" in record.reason
    catalog.drop_staged()
    catalog.drop_unused()
    assert catalog.counts().embeddings == 1


def test_a_document_over_the_limit_of_bytes_is_set_aside(catalog, parser, chunker, embedder):
    report = run(Ingestor(catalog, parser, chunker, embedder, limits=IngestLimits(max_bytes=100)))
    assert (report.added, report.quarantined) == (1, 1)
    assert "ingestion.max_bytes" in catalog.quarantined()[0].reason
