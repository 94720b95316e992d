"""Documents that wait to be embedded together and committed together.

Knows the embedder and the catalog's one transaction; not where the documents come from. A document that the embedder cannot take is
found by embedding each one alone, and only that one fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from llmapp.catalog.catalog import Catalog
from llmapp.ingestion.preparing import DocumentFailedError, Prepared, stage

if TYPE_CHECKING:
    from llmapp.protocols import Embedder, FloatArray


@dataclass(slots=True)
class Flushed:
    """What became of a batch."""

    committed: list[Prepared] = field(default_factory=list)
    failed: list[tuple[Prepared, DocumentFailedError]] = field(default_factory=list)
    embedded_texts: int = 0
    embedded_tokens: int = 0
    """Tokens of the embedded texts, special tokens included."""


class Batch:
    """A handful of documents, each at most once."""

    def __init__(self, catalog: Catalog, embedder: Embedder, *, max_chunks: int) -> None:
        """Start empty.

        Args:
            catalog: Where the documents go.
            embedder: Makes the vectors that the catalog lacks.
            max_chunks: From this many chunks on the batch is full. Count.
        """
        self._catalog = catalog
        self._embedder = embedder
        self._max_chunks = max_chunks
        self._waiting: dict[str, Prepared] = {}

    @property
    def is_full(self) -> bool:
        """Whether it is time to flush."""
        return sum(len(prepared.texts) for prepared in self._waiting.values()) >= self._max_chunks

    def __contains__(self, document_id: str) -> bool:
        """Whether a document waits."""
        return document_id in self._waiting

    def add(self, prepared: Prepared) -> None:
        """Add a document; it takes the place of one with the same id."""
        self._waiting[prepared.record.document_id] = prepared

    def flush(self) -> Flushed:
        """Embed and commit all that waits.

        Raises:
            EmbedderError: The model failed; nothing of the batch is committed.
            CostError: Embedding could pass a budget; nothing of the batch is committed.
            CatalogError: The database failed.
        """
        waiting, self._waiting = list(self._waiting.values()), {}
        result = Flushed()
        try:
            self._commit(waiting, result)
        except DocumentFailedError as error:
            if len(waiting) == 1:
                result.failed.append((waiting[0], error))
            else:
                self._commit_one_by_one(waiting, result)
        return result

    def _commit_one_by_one(self, waiting: Sequence[Prepared], result: Flushed) -> None:
        for prepared in waiting:
            try:
                self._commit([prepared], result)
            except DocumentFailedError as error:
                result.failed.append((prepared, error))

    def _commit(self, waiting: Sequence[Prepared], result: Flushed) -> None:
        if not waiting:
            return
        wanted = {text.key: text for prepared in waiting for text in prepared.texts}
        known = self._catalog.known_embeddings(wanted)
        missing = {key: text for key, text in wanted.items() if key not in known}
        vectors = self._embed([text.text for text in missing.values()])
        self._catalog.replace([prepared.record for prepared in waiting], dict(zip(missing, vectors, strict=True)))
        result.committed.extend(waiting)
        result.embedded_texts += len(missing)
        result.embedded_tokens += sum(text.tokens + self._embedder.tokenizer.special_tokens for text in missing.values())

    def _embed(self, texts: list[str]) -> FloatArray:
        if not texts:
            return np.zeros((0, self._embedder.dim), np.float32)
        with stage("embed"):
            vectors = self._embedder.embed_documents(texts)
            if vectors.shape != (len(texts), self._embedder.dim) or not np.isfinite(vectors).all():
                raise ValueError(f"the embedder gave no usable vectors for {len(texts)} texts")
            return vectors
