"""Ingest rate as a share of the bare embedder's, on the same texts in the same run (aim: at least 0.8).

Ingest parses, cuts, embeds, commits to SQLite and writes Chroma; the bare embedder gets exactly the texts that ingest
has embedded. Both are measured twice in turn, and the better run of each counts: other work on the machine only slows.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path

from evaluation_data import data_folder
from rich.console import Console
from rich.table import Table

from llmapp.application import App
from llmapp.config import Settings, SourceSettings
from llmapp.retrieval.minilm import MiniLMEmbedder

DOCUMENTS = 250


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


def lay_out(folder: Path) -> None:
    lines = (data_folder("scifact") / "beir/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines[:DOCUMENTS]:
        document = json.loads(line)
        (folder / f"{document['_id']}.md").write_text(f"# {document['title']}\n\n{document['text']}\n", encoding="utf-8")


def ingest(documents: Path, embedder: Recording) -> float:
    root = Path(tempfile.mkdtemp())
    source = SourceSettings(name="abstracts", acl=("public",), settings={"path": str(documents)})
    with App(Settings(root=root, sources=(source,)), embedder=embedder) as app:
        started = time.perf_counter()
        app.ingest()
        seconds = time.perf_counter() - started
    shutil.rmtree(root)
    return seconds


def main() -> None:
    documents = Path(tempfile.mkdtemp())
    lay_out(documents)
    embedder = Recording()
    embedder.embed_query("load the model before anything is timed")
    whole, bare = [], []
    for _ in range(2):
        embedder.texts.clear()
        whole.append(ingest(documents, embedder))
        texts = list(embedder.texts)
        started = time.perf_counter()
        MiniLMEmbedder.embed_documents(embedder, texts)
        bare.append(time.perf_counter() - started)
    shutil.rmtree(documents)
    table = Table("", "texts", "texts/s", title=f"Ingest of {DOCUMENTS} abstracts against the bare embedder")
    for name, seconds in (("bare embedder", min(bare)), ("llmapp ingest", min(whole))):
        table.add_row(name, str(len(texts)), f"{len(texts) / seconds:.1f}")
    Console().print(table)
    print(f"ratio: {min(bare) / min(whole):.2f} (aim: at least 0.80)")


if __name__ == "__main__":
    main()
