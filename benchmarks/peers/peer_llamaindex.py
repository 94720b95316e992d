"""LlamaIndex: a vector index in Chroma and its BM25 retriever, in a `QueryFusionRetriever` by reciprocal rank."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from worker import TOP_K

REQUIREMENTS = (
    "llama-index-core==0.14.25", "llama-index-vector-stores-chroma==0.6.0", "llama-index-embeddings-huggingface==0.8.0",
    "llama-index-retrievers-bm25==0.8.0", "chromadb==1.5.9", "sentence-transformers==6.2.0", "transformers==5.24.0",
)  # fmt: skip


class Peer:
    """Chroma and the BM25 retriever's own files."""

    configuration = (
        "SentenceSplitter as it comes (1,024 tokens), Chroma + BM25Retriever, QueryFusionRetriever by reciprocal rank"
    )

    def __init__(self, folder: Path, weights: Path) -> None:
        """Name the folders."""
        self._folder = folder
        self._weights = weights

    @cached_property
    def _model(self) -> Any:
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding

        return HuggingFaceEmbedding(model_name=str(self._weights), device="cpu")

    @cached_property
    def _store(self) -> Any:
        import chromadb
        from llama_index.vector_stores.chroma import ChromaVectorStore

        client = chromadb.PersistentClient(str(self._folder / "chroma"))
        return ChromaVectorStore(chroma_collection=client.get_or_create_collection("corpus"))

    def load(self) -> None:
        """Load the model."""
        self._model.get_query_embedding("a word")

    def build(self, documents: list[tuple[str, str, str]]) -> None:
        """Cut, embed, add; then the index of words."""
        from llama_index.core import Document, StorageContext, VectorStoreIndex
        from llama_index.core.node_parser import SentenceSplitter
        from llama_index.retrievers.bm25 import BM25Retriever

        whole = [Document(text=f"{title} {text}", doc_id=name) for name, title, text in documents]
        nodes = SentenceSplitter().get_nodes_from_documents(whole)
        storage = StorageContext.from_defaults(vector_store=self._store)
        VectorStoreIndex(nodes, storage_context=storage, embed_model=self._model)
        words = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=TOP_K)  # English stems by default
        words.persist(str(self._folder / "bm25"))

    @cached_property
    def _retriever(self) -> Any:
        from llama_index.core import VectorStoreIndex
        from llama_index.core.llms import MockLLM
        from llama_index.core.retrievers import QueryFusionRetriever
        from llama_index.retrievers.bm25 import BM25Retriever

        meaning = VectorStoreIndex.from_vector_store(self._store, embed_model=self._model).as_retriever(
            similarity_top_k=TOP_K
        )
        words = BM25Retriever.from_persist_dir(str(self._folder / "bm25"))
        return QueryFusionRetriever(
            [meaning, words],
            llm=MockLLM(),  # it would write other wordings; none are asked for
            num_queries=1,
            similarity_top_k=TOP_K,
            mode="reciprocal_rerank",
            use_async=False,
        )

    def search(self, question: str) -> list[str]:
        """Both, fused by rank."""
        return [found.node.ref_doc_id for found in self._retriever.retrieve(question)]
