"""txtai: `Embeddings(hybrid=True)`, which holds vectors in faiss, its own BM25 and the texts in SQLite."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from worker import TOP_K

REQUIREMENTS = ("txtai==9.14.0", "sentence-transformers==6.2.0", "transformers==5.24.0")


class Peer:
    """Its index, saved and loaded."""

    configuration = (
        "Embeddings(hybrid=True, content=True), whole documents; above 5,000 it searches approximately (IVF) by itself"
    )

    def __init__(self, folder: Path, weights: Path) -> None:
        """Name the folders."""
        self._place = str(folder / "index")
        self._weights = weights

    @cached_property
    def _new(self) -> Any:
        from txtai import Embeddings

        return Embeddings(path=str(self._weights), hybrid=True, content=True, gpu=False)

    def load(self) -> None:
        """Load the model."""
        self._new.transform("a word")

    def build(self, documents: list[tuple[str, str, str]]) -> None:
        """Embed whole documents, then save."""
        self._new.index((name, f"{title} {text}") for name, title, text in documents)
        self._new.save(self._place)

    @cached_property
    def _saved(self) -> Any:
        from txtai import Embeddings

        embeddings = Embeddings()
        embeddings.load(self._place)
        return embeddings

    def search(self, question: str) -> list[str]:
        """Both, by txtai's own weights."""
        return [found["id"] for found in self._saved.search(question, TOP_K)]
