"""Fixtures of the ingestion room: a pipeline of real parts with the hashing embedder."""

import pytest

from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.embedding_text import chunk_tokens
from llmapp.ingestion.ingestor import Ingestor
from llmapp.ingestion.parsing import ProcessParser


@pytest.fixture(scope="module")
def parser():
    made = ProcessParser()
    yield made
    made.close()


@pytest.fixture
def chunker(embedder):
    return StructureChunker(embedder.tokenizer, chunk_tokens(embedder))


@pytest.fixture
def ingestor(catalog, parser, chunker, embedder):
    return Ingestor(catalog, parser, chunker, embedder, batch_chunks=8)
