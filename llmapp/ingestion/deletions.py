"""What a run deletes, and the brake on it: a source that seems to have lost most of its documents has more often lost its way.

Removals are gathered until the source says how far it has come, so that one that comes back in between stays. What a stopped run
has already deleted counts on in the next one, until one passes: many small deletions are a large one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmapp.errors import MassDeletionError

if TYPE_CHECKING:
    from llmapp.ingestion.effects import Effects


@dataclass(frozen=True, slots=True)
class Brake:
    """How much of a source one run may delete unasked: both must be passed for it to stop."""

    share: float = 0.3
    documents: int = 10

    def stops(self, doomed: int, held: int) -> bool:
        """Whether a run stops that would delete so many of the documents held before."""
        return doomed > self.documents and doomed > self.share * held


class Deletions:
    """The deletions of one run."""

    def __init__(self, source: str, effects: Effects, brake: Brake, held: int, *, confirmed: bool, doomed: int = 0) -> None:
        """Begin with those of a run that was stopped.

        Args:
            source: Its name, for the message.
            effects: Carries them out.
            brake: Stops them.
            held: Documents of the source before the first of them. Count.
            confirmed: Whether any number may be deleted.
            doomed: Documents that a stopped run has deleted. Count.
        """
        self.counts = Counter[str]()
        """Documents that were deleted, as ``deleted``."""
        self._source = source
        self._effects = effects
        self._brake = brake
        self._held = held
        self._confirmed = confirmed
        self._named: set[str] = set()
        self._doomed = doomed

    def name(self, document_id: str) -> None:
        """The source says that a document is gone."""
        self._named.add(document_id)

    def spare(self, document_id: str) -> None:
        """The source speaks of a document again."""
        self._named.discard(document_id)

    @property
    def tally(self) -> list[int]:
        """Documents deleted so far, and held before the first of them; what a stopped run hands on to the next."""
        return [self._doomed, self._held]

    @property
    def are_named(self) -> bool:
        """Whether any is gathered."""
        return bool(self._named)

    def carry_out(self, *, is_held: Callable[[str], bool]) -> None:
        """Delete the named documents that there are, and forget that the others were set aside.

        Args:
            is_held: Whether a document is held now.

        Raises:
            MassDeletionError: The run would have deleted too many; these are left alone.
        """
        named, self._named = self._named, set()
        held = set(filter(is_held, named))
        self.delete(held)
        if rest := named - held:
            self._effects.release(sorted(rest))

    def delete(self, document_ids: Iterable[str]) -> None:
        """Delete documents.

        Raises:
            MassDeletionError: The run would have deleted too many; these are left alone.
        """
        names = sorted(document_ids)
        if not names:
            return
        doomed = self._doomed + len(names)
        if not self._confirmed and self._brake.stops(doomed, self._held):
            raise MassDeletionError(self._source, documents=names, held=self._held, doomed=doomed)
        self._doomed += len(names)
        self.counts["deleted"] += self._effects.delete(names)
