"""LangChain: Chroma and BM25 in an `EnsembleRetriever`, chunks of 1,000 characters, as its tutorials have it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from worker import TOP_K

REQUIREMENTS = (
    "langchain-classic==1.0.8", "langchain-community==0.4.2", "langchain-chroma==1.1.0", "langchain-huggingface==1.2.3",
    "langchain-text-splitters==1.1.3", "langchain-core==1.7.2", "chromadb==1.5.9", "sentence-transformers==6.2.0", "transformers==5.24.0", "rank-bm25==0.2.2",
)  # fmt: skip


class Peer:
    """Chroma on disk; BM25 has no file of its own and is made of Chroma's texts whenever a process starts."""

    configuration = "RecursiveCharacterTextSplitter(1000, 200), Chroma + BM25Retriever in an EnsembleRetriever, half each"

    def __init__(self, folder: Path, weights: Path) -> None:
        """Name the folders."""
        self._folder = folder
        self._weights = weights

    @cached_property
    def _embeddings(self) -> Any:
        from langchain_huggingface import HuggingFaceEmbeddings

        return HuggingFaceEmbeddings(model_name=str(self._weights), model_kwargs={"device": "cpu"})

    @cached_property
    def _store(self) -> Any:
        from langchain_chroma import Chroma

        return Chroma("corpus", self._embeddings, persist_directory=str(self._folder))

    def load(self) -> None:
        """Load the model."""
        self._embeddings.embed_query("a word")

    def build(self, documents: list[tuple[str, str, str]]) -> None:
        """Cut, embed, add."""
        from langchain_core.documents import Document
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        whole = [Document(f"{title} {text}", metadata={"document": name}) for name, title, text in documents]
        chunks = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200).split_documents(whole)
        self._store.add_documents(chunks)

    @cached_property
    def _retriever(self) -> Any:
        from langchain_classic.retrievers import EnsembleRetriever
        from langchain_community.retrievers import BM25Retriever

        held = self._store.get(include=["documents", "metadatas"])
        words = BM25Retriever.from_texts(held["documents"], held["metadatas"], k=TOP_K)
        meaning = self._store.as_retriever(search_kwargs={"k": TOP_K})
        return EnsembleRetriever(retrievers=[words, meaning], weights=[0.5, 0.5])

    def search(self, question: str) -> list[str]:
        """Both, fused by rank."""
        return [found.metadata["document"] for found in self._retriever.invoke(question)][:TOP_K]
