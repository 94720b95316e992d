"""The same files with the same weights through LangChain's `index()` and Chroma: first sync, and an unchanged one.

Optional: it needs `pip install langchain-chroma langchain-text-splitters`, which nothing else here uses; without them it says so and
ends. Its splitter counts with the embedder's own tokenizer and cuts to the size that ours cuts to. Ours puts title and headings
before each chunk, so it embeds more tokens of the same files: the rate is in tokens.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from evaluation_data import data_folder
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import InMemoryRecordManager, index
from rich.console import Console
from rich.table import Table

from llmapp.application import App
from llmapp.config import Settings, SourceSettings
from llmapp.ingestion.embedding_text import chunk_tokens
from llmapp.retrieval.embedders.minilm import MiniLMEmbedder

DOCUMENTS = 200
_NEEDED = "pip install langchain-chroma langchain-text-splitters"


class Recording(MiniLMEmbedder):
    """Keeps the texts that it embeds."""

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()
        self.texts: list[str] = []

    def embed_documents(self, texts):  # noqa: ANN001, ANN201 - as the class above
        """Embed and remember."""
        self.texts.extend(texts)
        return super().embed_documents(texts)


class ForLangChain(Embeddings):
    """The embedder as LangChain takes it."""

    def __init__(self, inner: MiniLMEmbedder) -> None:
        """Wrap it."""
        self._inner = inner

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        return self._inner.embed_documents(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        """Embed a question."""
        return self._inner.embed_query(text).tolist()


def main() -> None:
    try:
        from langchain_chroma import Chroma
        from langchain_text_splitters import RecursiveCharacterTextSplitter
    except ImportError:
        print(f"skipped: {_NEEDED}")
        return
    place = Path(tempfile.mkdtemp())
    (place / "notes").mkdir()
    lines = (data_folder("scifact") / "beir/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, lines[:DOCUMENTS]):
        (place / f"notes/{row['_id']}.md").write_text(f"# {row['title']}\n\n{row['text']}\n", encoding="utf-8")
    embedder = Recording()
    embedder.embed_query("load the model before anything is timed")
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=chunk_tokens(embedder), chunk_overlap=0, length_function=embedder.tokenizer.count
    )
    store = Chroma("notes", ForLangChain(embedder), persist_directory=str(place / "chroma"))
    records = InMemoryRecordManager("notes")
    records.create_schema()

    def theirs() -> None:
        paths = sorted((place / "notes").iterdir())
        whole = [Document(path.read_text(encoding="utf-8"), metadata={"source": str(path)}) for path in paths]
        index(splitter.split_documents(whole), records, store, cleanup="full", source_id_key="source", key_encoder="blake2b")

    source = SourceSettings(name="notes", acl=("public",), settings={"path": str(place / "notes")})
    table = Table(
        "", "first s", "texts", "tokens/s", "again s", "texts again", "faster", title=f"{DOCUMENTS} abstracts, MiniLM"
    )
    with App(Settings(root=place / "root", sources=(source,)), embedder=embedder) as app:
        for name, sync in (("llmapp", app.sync), ("LangChain index()", theirs)):
            first, texts = timed(sync, embedder)
            again, none = timed(sync, embedder)
            rate = sum(map(embedder.tokenizer.count, texts)) / first
            cells = (
                f"{first:.2f}",
                f"{len(texts)}",
                f"{rate:,.0f}",
                f"{again:.2f}",
                f"{len(none)}",
                f"{first / again:.0f} times",
            )
            table.add_row(name, *cells)
    shutil.rmtree(place)
    Console().print(table)


def timed(sync: Callable[[], object], embedder: Recording) -> tuple[float, list[str]]:
    """Seconds, and the texts that were embedded."""
    embedder.texts = []
    started = time.perf_counter()
    sync()
    return time.perf_counter() - started, embedder.texts


if __name__ == "__main__":
    sys.exit(main())
