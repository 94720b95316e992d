"""A store of its own for every test."""

import uuid

import pytest

from llmapp.retrieval.indexes.chroma.server import ChromaServerIndex


@pytest.fixture
def own_name():
    """Of a collection or table that no other test has."""
    return f"llmapp-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def on_server(chroma_server, own_name):
    opened = ChromaServerIndex(chroma_server.url, own_name)
    yield opened
    opened.close()
