"""Fixtures of the ingestion room: a pipeline of real parts with the hashing embedder."""

import signal

import pytest

from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.embedding_text import chunk_tokens
from llmapp.ingestion.ingestor import Ingestor
from llmapp.ingestion.parsing import ProcessParser
from llmapp.ingestion.pipeline import Bounds
from llmapp.ingestion.retrying import RetryPolicy


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
    return Ingestor(catalog, parser, chunker, embedder, bounds=Bounds(batch_chunks=8), policy=RetryPolicy(first_s=0))


@pytest.fixture
def short_of_time():
    """Ends a test after 3 s: what is linear takes milliseconds, what is not takes minutes, or for ever."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, _fail)
    signal.setitimer(signal.ITIMER_REAL, 3)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _fail(*_):
    pytest.fail("this takes too long")
