"""A host, and real servers of other makers for the tests that ask for them, which are skipped where one is not installed."""

import logging

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
def ingestor(catalog, parser, embedder):
    return Ingestor(catalog, parser, StructureChunker(embedder.tokenizer, chunk_tokens(embedder)), embedder)


@pytest.fixture(scope="session")
def s3():
    """Address of a server that speaks S3; it takes any credentials."""
    server_module = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()
