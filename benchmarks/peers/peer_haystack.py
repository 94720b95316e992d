"""Haystack: BM25 and embeddings of its in-memory store, joined by reciprocal rank, as its tutorial on hybrid retrieval has it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from worker import TOP_K

REQUIREMENTS = (
    "haystack-ai==3.4.1",
    "sentence-transformers-haystack==2.0.0",
    "sentence-transformers==6.2.0",
    "transformers==5.24.0",
)


class Peer:
    """The in-memory store, written to a file of JSON and read again."""

    configuration = "DocumentSplitter as it comes (200 words), InMemoryDocumentStore (saved), BM25 + embeddings, joined by rank; no ranker"

    def __init__(self, folder: Path, weights: Path) -> None:
        """Name the folders."""
        self._file = folder / "store.json"
        self._weights = weights

    @cached_property
    def _embedder(self) -> Any:
        from haystack_integrations.components.embedders.sentence_transformers import SentenceTransformersDocumentEmbedder

        return SentenceTransformersDocumentEmbedder(model=str(self._weights), device=on_cpu(), progress_bar=False)

    def load(self) -> None:
        """Load the model."""
        self._embedder.warm_up()

    def build(self, documents: list[tuple[str, str, str]]) -> None:
        """Cut, embed, write."""
        from haystack import Document, Pipeline
        from haystack.components.preprocessors import DocumentSplitter
        from haystack.components.writers import DocumentWriter
        from haystack.document_stores.in_memory import InMemoryDocumentStore

        store = InMemoryDocumentStore()
        indexing = Pipeline()
        indexing.add_component("cut", DocumentSplitter())
        indexing.add_component("embed", self._embedder)
        indexing.add_component("write", DocumentWriter(document_store=store))
        indexing.connect("cut", "embed")
        indexing.connect("embed", "write")
        whole = [Document(content=f"{title} {text}", meta={"document": name}) for name, title, text in documents]
        indexing.run({"cut": {"documents": whole}})
        store.save_to_disk(str(self._file))

    @cached_property
    def _searching(self) -> Any:
        from haystack import Pipeline
        from haystack.components.joiners import DocumentJoiner
        from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
        from haystack.document_stores.in_memory import InMemoryDocumentStore
        from haystack_integrations.components.embedders.sentence_transformers import SentenceTransformersTextEmbedder

        store = InMemoryDocumentStore.load_from_disk(str(self._file))
        searching = Pipeline()
        embedder = SentenceTransformersTextEmbedder(model=str(self._weights), device=on_cpu(), progress_bar=False)
        searching.add_component("embed", embedder)
        searching.add_component("meaning", InMemoryEmbeddingRetriever(store, top_k=TOP_K))
        searching.add_component("words", InMemoryBM25Retriever(store, top_k=TOP_K))
        searching.add_component("join", DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=TOP_K))
        searching.connect("embed", "meaning")
        searching.connect("meaning", "join")
        searching.connect("words", "join")
        return searching

    def search(self, question: str) -> list[str]:
        """Both, joined by rank."""
        found = self._searching.run({"embed": {"text": question}, "words": {"query": question}})
        return [document.meta["document"] for document in found["join"]["documents"]]


def on_cpu() -> Any:
    from haystack.utils import ComponentDevice

    return ComponentDevice.from_str("cpu")
