"""What another chunker or another embedder has done again: from the stored texts, behind the live chunks, then all at once.

No source is asked and nothing is parsed. The old chunks serve until the new ones are complete; a process that dies leaves
what it has made, and the next one goes on from there without paying for it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.records import QuarantineRecord, StagedChunks
from llmapp.errors import TooManyFailuresError
from llmapp.ingestion.preparing import DocumentFailedError, Piece, Preparer
from llmapp.ingestion.vectors import Landed, Vectors

if TYPE_CHECKING:
    from llmapp.protocols import Embedder, Progress


@dataclass(frozen=True, slots=True)
class FailureLimits:
    """How many documents of a run may fail: both must be passed for it to have failed."""

    share: float = 0.25
    documents: int = 10


@dataclass(frozen=True, slots=True)
class UpgradePlan:
    """What an upgrade would do."""

    documents: int = 0
    """Documents that are cut anew."""
    chunks: int = 0
    embedded_texts: int = 0
    """Texts that have no vector by this embedder yet."""
    embedded_tokens: int = 0
    """Their tokens, special tokens included."""


class Upgrade:
    """Brings all documents to the chunker and the embedder of today."""

    def __init__(
        self, catalog: Catalog, preparer: Preparer, embedder: Embedder, vectors: Vectors, limits: FailureLimits
    ) -> None:
        """Use these parts; with more failures than the limits allow nothing is changed."""
        self._limits = limits
        self._failed: list[tuple[_Cut, DocumentFailedError]] = []
        self._landed = Landed()
        self._upgraded = 0
        self._catalog = catalog
        self._preparer = preparer
        self._embedder = embedder
        self._vectors = vectors

    @property
    def counts(self) -> Counter[str]:
        """What the last run has done, also one that broke off."""
        landed = self._landed
        done = {"upgraded": self._upgraded, "quarantined": len(self._failed), "chunks": landed.chunks}
        return Counter(done | {"embedded_texts": landed.embedded_texts, "embedded_tokens": landed.embedded_tokens})

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage."""
        return {"embed": self._landed.embed_s, "commit": self._landed.commit_s}

    def is_needed(self) -> bool:
        """Whether any document was made by other parts."""
        return bool(self._outdated())

    def plan(self, planned_keys: set[str]) -> UpgradePlan:
        """Count what would be done; nothing is changed.

        Args:
            planned_keys: Keys of texts that the plan would embed already; new ones are added.
        """
        documents = chunks = texts = tokens = 0
        special = self._embedder.tokenizer.special_tokens
        for source, document_id in self._outdated():
            documents += 1
            sizes: dict[str, int] = {}
            with suppress(DocumentFailedError):  # a run would set it aside
                for _, text in self._pieces(source, document_id):
                    sizes[text.key] = text.tokens
                    chunks += 1
            new = sizes.keys() - planned_keys - self._catalog.known_embeddings(sizes)
            planned_keys |= new
            texts += len(new)
            tokens += sum(sizes[key] + special for key in new)
        return UpgradePlan(documents, chunks, texts, tokens)

    def run(self, progress: Progress | None = None) -> UpgradePlan:
        """Cut and embed all outdated documents, then put the new chunks in the place of the old.

        A document that the new parts cannot take is set aside and goes with the swap, for vectors of two embedders are never
        mixed; its source brings it again.

        Returns:
            What was done.

        Raises:
            TooManyFailuresError: So many documents could not be taken that the parts are to be doubted; nothing was changed.
            EmbedderError: The embedder failed; the old chunks go on serving.
            CostError: Embedding could pass a budget; the old chunks go on serving.
            CatalogError: The database failed.
        """
        outdated = self._outdated()
        self._landed, self._failed, self._upgraded = Landed(), [], 0
        if progress:
            progress.start(len(outdated))
        try:
            group: list[_Cut] = []
            for name in outdated:
                group.append(self._cut(*name))
                if sum(len(cut.pieces) for cut in group) >= self._vectors.batch_chunks or name == outdated[-1]:
                    self._landed.chunks += self._stage(group, self._landed)
                    group.clear()
                if progress:
                    progress.advance(f"cut and embedded anew: {name[1]}")
        finally:
            if progress:
                progress.close()
        self._withdraw(len(outdated))
        self._catalog.swap_staged(chunker=self._preparer.chunker_version, embedder=self._embedder.identity)
        self._upgraded = len(outdated) - len(self._failed)
        landed = self._landed
        return UpgradePlan(len(outdated), landed.chunks, landed.embedded_texts, landed.embedded_tokens)

    def _outdated(self) -> list[tuple[str, str]]:
        return self._catalog.outdated(self._preparer.chunker_version, self._embedder.identity)

    def _pieces(self, source: str, document_id: str) -> Iterator[Piece]:
        return self._preparer.pieces(self._catalog.stored_text(source, document_id))

    def _cut(self, source: str, document_id: str) -> _Cut:
        """The first chunks of a document: none when all are staged already, or when it cannot be cut."""
        stored = self._catalog.stored(source, document_id)
        facts = (stored.content_hash, stored.parser) if stored else ("", "")
        version = self._vectors.version(*facts, self._preparer.chunker_version)
        cut = _Cut(source, document_id, version)
        if not self._catalog.is_staged(*cut.name):
            try:
                cut.pieces = list(islice(self._pieces(source, document_id), self._vectors.batch_chunks + 1))
                cut.is_open = True
            except DocumentFailedError as error:
                self._failed.append((cut, error))
        return cut

    def _stage(self, group: Sequence[_Cut], landed: Landed) -> int:
        """Embed and stage some documents, those of few chunks together. Number of chunks."""
        small = [cut for cut in group if cut.is_open and len(cut.pieces) <= self._vectors.batch_chunks]
        large = [cut for cut in group if len(cut.pieces) > self._vectors.batch_chunks]
        try:
            vectors = self._vectors.missing([text for cut in small for _, text in cut.pieces], landed)
        except DocumentFailedError:
            return sum(self._stage_alone(cut, landed) for cut in (*small, *large))
        self._catalog.stage([cut.staged() for cut in small], vectors)
        return sum(len(cut.pieces) for cut in small) + sum(self._stage_alone(cut, landed) for cut in large)

    def _stage_alone(self, cut: _Cut, landed: Landed) -> int:
        try:
            return self._vectors.stage(cut.name, self._pieces(cut.source, cut.document_id), landed)
        except DocumentFailedError as error:
            self._failed.append((cut, error))
            return 0

    def _withdraw(self, outdated: int) -> None:
        failed = len(self._failed)
        if failed > self._limits.documents and failed > self._limits.share * outdated:
            raise TooManyFailuresError(
                f"{failed:,} of {outdated:,} documents could not be embedded anew: {self._failed[0][1].reason}",
                hint="mend the embedder, or go back to the one before; nothing was changed",
            )
        for cut, error in self._failed:  # set aside first: what is only deleted would not come again
            self._catalog.quarantine(
                QuarantineRecord(cut.source, cut.document_id, cut.document_id, error.stage, error.code, error.reason)
            )
            self._catalog.delete(cut.source, [cut.document_id])


@dataclass(slots=True)
class _Cut:
    """A document and its next chunks, or the first of them when there are many."""

    source: str
    document_id: str
    version: str
    pieces: list[Piece] = field(default_factory=list)
    is_open: bool = False
    """Whether they are to be staged."""

    @property
    def name(self) -> tuple[str, str, str]:
        return self.source, self.document_id, self.version

    def staged(self) -> StagedChunks:
        chunks, keys = [chunk for chunk, _ in self.pieces], [text.key for _, text in self.pieces]
        return StagedChunks(*self.name, chunks, keys, is_complete=True)
