"""Vectors that the catalog lacks: found out, made once, and for a long document staged batch by batch.

Knows the embedder and the keys of texts. Texts of several documents are embedded together; the embedder sorts them by length.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.records import StagedChunks
from llmapp.ingestion.embedding_text import EmbeddingText
from llmapp.ingestion.preparing import DocumentFailedError, Piece, Prepared, hash_of, stage

if TYPE_CHECKING:
    from llmapp.protocols import Embedder, FloatArray


@dataclass(slots=True)
class Landed:
    """What became of some documents."""

    committed: list[Prepared] = field(default_factory=list)
    failed: list[tuple[Prepared, DocumentFailedError]] = field(default_factory=list)
    chunks: int = 0
    embedded_texts: int = 0
    embedded_tokens: int = 0
    """Tokens of the embedded texts, special tokens included."""
    embed_s: float = 0.0
    commit_s: float = 0.0


class Vectors:
    """Makes what is missing."""

    def __init__(self, catalog: Catalog, embedder: Embedder, *, batch_chunks: int) -> None:
        """Choose the parts; at most `batch_chunks` texts of a long document are embedded together."""
        self.batch_chunks = batch_chunks
        self._catalog = catalog
        self._embedder = embedder

    def version(self, content_hash: str, parser: str, chunker: str) -> str:
        """Name of the chunks that a content gets from a parser, a chunker and this embedder."""
        return hash_of(content_hash, parser, chunker, self._embedder.identity)

    def missing(self, texts: Sequence[EmbeddingText], landed: Landed) -> dict[str, FloatArray]:
        """Embed those texts that have no vector yet, each once; by key, each of shape (dim,).

        Args:
            texts: Any texts, some perhaps equal.
            landed: What was embedded is added to it.

        Raises:
            DocumentFailedError: The embedder gave no usable vectors for these texts.
            EmbedderError, CostError: The embedder failed, or may not go on.
        """
        wanted = {text.key: text for text in texts}
        known = self._catalog.known_embeddings(wanted)
        lacking = {key: text for key, text in wanted.items() if key not in known}
        if not lacking:
            return {}
        started = time.perf_counter()
        with stage("embed"):
            vectors = self._embedder.embed_documents([text.text for text in lacking.values()])
            if vectors.shape != (len(lacking), self._embedder.dim) or not np.isfinite(vectors).all():
                raise ValueError(f"the embedder gave no usable vectors for {len(lacking)} texts")
        landed.embed_s += time.perf_counter() - started
        landed.embedded_texts += len(lacking)
        landed.embedded_tokens += sum(text.tokens for text in lacking.values())
        landed.embedded_tokens += len(lacking) * self._embedder.tokenizer.special_tokens
        return dict(zip(lacking, vectors, strict=True))

    def stage(self, name: tuple[str, str, str], pieces: Iterable[Piece], landed: Landed) -> int:
        """Embed and stage the chunks of one document, a batch at a time; a batch that is staged is not paid for again.

        Args:
            name: Source, id and version of the document.
            pieces: Its chunks in the order of the text.
            landed: What was embedded is added to it.

        Returns:
            Number of chunks.
        """
        rest, count, is_complete = iter(pieces), 0, False
        while not is_complete:
            batch = list(islice(rest, self.batch_chunks))
            is_complete = len(batch) < self.batch_chunks
            vectors = self.missing([text for _, text in batch], landed)
            started = time.perf_counter()
            chunks, keys = [chunk for chunk, _ in batch], [text.key for _, text in batch]
            self._catalog.stage([StagedChunks(*name, chunks, keys, is_complete)], vectors)
            landed.commit_s += time.perf_counter() - started
            count += len(batch)
        return count
