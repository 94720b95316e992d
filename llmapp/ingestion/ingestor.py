"""The host of the connectors: carries what a source says into the catalog, exactly and resumably.

Knows the contract of `llmapp.connector` and the order of things; parsing, cutting and embedding are done by others. Whenever it stops, by
an error, by Ctrl-C or by ``kill -9``, the catalog holds whole documents, and the next run goes on from the last checkpoint.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llmapp.catalog.catalog import Catalog
from llmapp.connector import Connector
from llmapp.errors import CatalogError
from llmapp.ingestion.batching import Batch
from llmapp.ingestion.preparing import Preparer
from llmapp.ingestion.source_run import SourceRun

if TYPE_CHECKING:
    from llmapp.protocols import Chunker, Embedder, Parser, Progress


@dataclass(frozen=True, slots=True)
class IngestReport:
    """How a run went. Counts are of documents unless a name says otherwise."""

    source: str
    added: int
    changed: int
    unchanged: int
    deleted: int
    quarantined: int
    """Documents that failed in this run."""
    chunks: int
    """Chunks of the documents that were added or changed."""
    embedded_texts: int
    """Texts that had no vector yet."""
    embedded_tokens: int
    """Their tokens, special tokens included."""
    seconds: float
    """Wall-clock time of the run."""
    status: Literal["completed", "completed_with_failures"]
    kept_because_empty: bool = False
    """The source mentioned nothing, so its documents were kept: an empty listing is more often a fault than a wish."""


class Ingestor:
    """Runs connectors, one at a time."""

    def __init__(
        self, catalog: Catalog, parser: Parser, chunker: Chunker, embedder: Embedder, *, batch_chunks: int = 256
    ) -> None:
        """Choose the parts.

        Args:
            catalog: Where documents go.
            parser: Turns bytes into text.
            chunker: Cuts texts; made for this embedder.
            embedder: Makes vectors.
            batch_chunks: Chunks that are embedded and committed together. Count.
        """
        self._catalog = catalog
        self._embedder = embedder
        self._preparer = Preparer(parser, chunker, embedder)
        self._batch_chunks = batch_chunks

    def run(
        self, source: str, connector: Connector, *, default_acl: tuple[str, ...], progress: Progress | None = None
    ) -> IngestReport:
        """Bring the catalog to what the source holds now.

        A document that fails is set aside. If the catalog holds an earlier version, that one keeps serving, but only those
        who may read it under its new access list too; one whose access list cannot be told is withdrawn. Grants are taken
        away as soon as the source, or its `default_acl`, no longer gives them, whether or not the run comes to its end.

        A source that sees no removals is read from the start, and so is every other one that was never read to a
        checkpoint with these parts and settings, or of which a document was set aside that may succeed as it is (the
        source or the embedder failed, the parser crashed). That costs a listing, because what is unchanged is skipped;
        without it an incremental source would not bring the document again and the catalog would lack for good what a
        clean run would hold. A document that no parser reads is tried again when the source brings it or the parts change:
        a clean run would fail on it too.

        Args:
            source: Name of the source in the catalog.
            connector: The source.
            default_acl: Access list of documents that bring none.
            progress: Told of every document.

        Raises:
            ConnectorError: The source cannot be read; what was committed stays.
            EmbedderMismatchError: The catalog holds vectors of another embedder.
            EmbedderError: The embedder failed; what was committed stays.
            CostError: Embedding could pass a budget, or has no price; what was committed stays.
            CatalogError: The database failed.
        """
        started = time.perf_counter()
        self._catalog.bind_embedder(self._embedder.identity)
        run_id = self._catalog.start_run(source)
        batch = Batch(self._catalog, self._embedder, max_chunks=self._batch_chunks)
        run = SourceRun(source, self._catalog, self._preparer, batch, default_acl)
        try:
            run.follow(connector, progress)
        except BaseException:
            with contextlib.suppress(CatalogError):  # the first error is the one to tell
                self._catalog.finish_run(run_id, status="failed", counts=run.counts)
            raise
        status: Literal["completed", "completed_with_failures"]
        status = "completed_with_failures" if run.counts["quarantined"] else "completed"
        self._catalog.finish_run(run_id, status=status, counts=run.counts)
        names = ("added", "changed", "unchanged", "deleted", "quarantined", "chunks", "embedded_texts", "embedded_tokens")
        return IngestReport(
            source=source,
            **{name: run.counts[name] for name in names},
            seconds=time.perf_counter() - started,
            status=status,
            kept_because_empty=run.kept_because_empty,
        )
