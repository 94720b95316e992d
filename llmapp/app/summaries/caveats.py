"""What a reader of a summary has to know: what was left out, cut, or could not be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmapp.app.summaries.asking import Reply
    from llmapp.app.summaries.notes import Note
    from llmapp.types import Chunk

_NAMED = 3
"""Passages without room that are named; of the others the number."""


class Caveats:
    """Gathers them on the way."""

    def __init__(self, of_model: Sequence[str]) -> None:
        """Begin with what is to be said of every summary by the model."""
        self._of_model = of_model
        self._cut = 0
        self._silent = 0
        self._unnamed = 0
        self.dropped = 0
        """Statements that were let go so that a round gets shorter."""
        self.is_uncited = False
        """Whether the summary says something and cites nothing."""
        self.gone = 0
        """Documents that could not be read any more."""
        self.left_out: list[Chunk] = []
        """Passages for which no request had room."""

    def heard(self, reply: Reply, notes: Sequence[Note], *, is_cut: bool) -> None:
        """Take note of an answer with notes; `is_cut` is whether it was longer than it may be."""
        self._cut += is_cut or reply.finish_reason == "length"
        self._silent += not reply.text.strip()
        self._unnamed += sum(not note.evidence for note in notes)

    def sentences(self, notes_tokens: int) -> tuple[str, ...]:
        """All of them; `notes_tokens` is the limit of an answer with notes."""
        return (*self._of_model, *self._sentences(notes_tokens))

    def _sentences(self, notes_tokens: int) -> Iterator[str]:
        if self.is_uncited:
            yield "the summary cites nothing: what it says cannot be checked against the documents"
        if self.gone:
            yield f"{_many(self.gone, 'document')} could not be read any more when their turn came"
        if self.left_out:
            places = [
                f"{each.title}, characters {each.start_char:,} to {each.end_char:,}" for each in self.left_out[:_NAMED]
            ]
            more = f"; and {len(self.left_out) - _NAMED:,} more" if len(self.left_out) > _NAMED else ""
            yield f"left out, for no request has room: {'; '.join(places)}{more}"
        if self._cut:
            yield f"the notes of {_many(self._cut, 'request')} were cut off at {notes_tokens:,} tokens and may lack something"
        if self.dropped:
            yield f"{_many(self.dropped, 'statement')} of the notes had no room in the next round"
        if self._silent:
            yield f"the model wrote nothing to {_many(self._silent, 'request')}"
        if self._unnamed:
            yield f"{_many(self._unnamed, 'statement')} of the notes named no document; what rests on them is not cited"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
