"""What a run does to the catalog, as a port of its own.

A real run does it, a dry run notes it, and a run by a manifest does only what was noted. `CatalogEffects` knows the
catalog's transactions; not where documents come from, nor what they mean for a sync. A document that the embedder cannot
take is found by embedding each one alone, and only that one fails.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.records import QuarantineRecord
from llmapp.ingestion.preparing import DocumentFailedError, Prepared
from llmapp.ingestion.vectors import Landed, Vectors

if TYPE_CHECKING:
    from llmapp.connector import Cursor


class Effects(Protocol):
    """All that a run of one source may change."""

    def commit(self, documents: Sequence[Prepared]) -> Landed:
        """Embed and commit documents, each as a whole; none stands in it twice."""

    def set_access(self, access: Mapping[str, Iterable[str]], *, own: bool) -> None:
        """Give documents other access lists; nothing is embedded."""

    def narrow(self, document_id: str, acl: Iterable[str], *, own: bool) -> None:
        """Take grants away from a document whose new content is not committed yet; it counts as changed until it is."""

    def touch(self, document_id: str, *, revision: str | None) -> None:
        """Note a new revision of the same content; its quarantine ends."""

    def delete(self, document_ids: Iterable[str]) -> int:
        """Remove documents and end their quarantine; how many there were."""

    def set_aside(self, record: QuarantineRecord) -> None:
        """Quarantine a document."""

    def release(self, document_ids: Iterable[str]) -> None:
        """End the quarantine of documents."""

    def reach(self, state: Cursor) -> None:
        """Store where the next run goes on."""

    def tidy(self) -> None:
        """The run is over: drop the vectors that nothing uses any more."""


class CatalogEffects:
    """Does it."""

    def __init__(self, source: str, catalog: Catalog, vectors: Vectors) -> None:
        """Work on one source."""
        self._source = source
        self._catalog = catalog
        self._vectors = vectors

    def commit(self, documents: Sequence[Prepared]) -> Landed:
        """Embed and commit documents; see `Effects`.

        Raises:
            EmbedderError: The model failed; nothing is committed.
            CostError: Embedding could pass a budget; nothing is committed.
            CatalogError: The database failed.
        """
        landed = Landed()
        small = [document for document in documents if document.pieces is None]
        try:
            self._commit_small(small, landed)
        except DocumentFailedError:
            for document in small:
                self._alone(document, landed)
        for document in documents:
            if document.pieces is not None:
                self._alone(document, landed)
        return landed

    def _alone(self, document: Prepared, landed: Landed) -> None:
        try:
            if document.pieces is None:
                self._commit_small([document], landed)
            else:
                self._commit_large(document, landed)
        except DocumentFailedError as error:
            landed.failed.append((document, error))

    def _commit_small(self, documents: Sequence[Prepared], landed: Landed) -> None:
        if not documents:
            return
        vectors = self._vectors.missing([text for one in documents for text in one.texts], landed)
        started = time.perf_counter()
        self._catalog.replace([document.record for document in documents], vectors)
        landed.commit_s += time.perf_counter() - started
        landed.committed.extend(documents)
        landed.chunks += sum(len(document.texts) for document in documents)

    def _commit_large(self, document: Prepared, landed: Landed) -> None:
        record = document.record
        version = self._vectors.version(record.content_hash, record.parser, record.chunker)
        name = (record.source, record.document_id, version)
        chunks = self._vectors.stage(name, document.pieces or (), landed)
        started = time.perf_counter()
        self._catalog.replace([replace(record, is_staged=True)], {})
        landed.commit_s += time.perf_counter() - started
        landed.committed.append(document)
        landed.chunks += chunks

    def set_access(self, access: Mapping[str, Iterable[str]], *, own: bool) -> None:
        """See `Effects`."""
        self._catalog.set_access(self._source, access, own=own)

    def narrow(self, document_id: str, acl: Iterable[str], *, own: bool) -> None:
        """See `Effects`."""
        self._catalog.set_access(self._source, {document_id: acl}, own=own, narrowed=True)

    def touch(self, document_id: str, *, revision: str | None) -> None:
        """See `Effects`."""
        self._catalog.touch(self._source, document_id, revision=revision)

    def delete(self, document_ids: Iterable[str]) -> int:
        """See `Effects`."""
        names = list(document_ids)
        self._catalog.release(self._source, names)
        return self._catalog.delete(self._source, names)

    def set_aside(self, record: QuarantineRecord) -> None:
        """See `Effects`."""
        self._catalog.quarantine(record)

    def release(self, document_ids: Iterable[str]) -> None:
        """See `Effects`."""
        self._catalog.release(self._source, document_ids)

    def reach(self, state: Cursor) -> None:
        """See `Effects`."""
        self._catalog.checkpoint(self._source, state)

    def tidy(self) -> None:
        """See `Effects`."""
        self._catalog.drop_unused()
