"""Requests that hold all of some text, each within the token budget: what one has left is taken up in the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from llmapp.app.summaries.material import halves, left_of
from llmapp.protocols import TokenCounter
from llmapp.types import Chunk, Hit, Prompt

_LEAST_CHARS = 40
"""A piece that does not fit by itself is halved down to that; what is shorter and does not fit has no room at all."""
_MOST_DOCUMENTS = 900
"""In one request: numbers in marks have three digits at most, and a document may stand in several stretches."""


class SummaryAssembler(Protocol):
    """Fits a task and as many pieces as it can into a prompt, in their order."""

    budget_tokens: int
    counter: TokenCounter

    def assemble(self, question: str, hits: Sequence[Hit]) -> Prompt:
        """The prompt within the token budget.

        Raises:
            PromptError: The task is blank or too long, or not even a prompt without pieces fits.
        """


class Packing:
    """The requests of one round."""

    def __init__(self, task: str, pieces: Iterable[Chunk], *, whole: SummaryAssembler, part: SummaryAssembler) -> None:
        """Begin to read.

        Args:
            task: What the summary is to say.
            pieces: In their order, without overlap; read as they are needed.
            whole: Assembles the request for the summary.
            part: Assembles a request for notes.
        """
        self._task = task
        self._pieces = iter(pieces)
        self._whole = whole
        self._part = part
        self._waiting: list[Chunk] = []
        self._is_read = False
        self.left_out: list[Chunk] = []
        """Pieces for which no request has room, so far."""
        self._fill()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to pack."""
        return not self._waiting

    def whole(self) -> Prompt | None:
        """The one request for the summary that holds all pieces; None where they are too many."""
        if not self._is_read:
            return None
        prompt = self._whole.assemble(self._task, _hits(self._waiting))
        return None if left_of(self._waiting, prompt.sources) else prompt

    def parts(self) -> Iterator[Prompt]:
        """Requests for notes, together holding all pieces but those of `left_out`."""
        while self._waiting:
            prompt = self._part.assemble(self._task, _hits(self._waiting))
            left = left_of(self._waiting, prompt.sources)
            if left == self._waiting:
                self._waiting[:1] = self._smaller(self._waiting[0])
            else:
                yield prompt
                self._waiting = left
            self._fill()

    def _smaller(self, piece: Chunk) -> list[Chunk]:
        """A piece that does not even fit by itself, in halves that may."""
        both = halves(piece, least_chars=_LEAST_CHARS)
        if not both:
            self.left_out.append(piece)
        return both

    def _fill(self) -> None:
        """Read on until more waits than a request can hold."""
        counter, budget_tokens = self._part.counter, max(self._part.budget_tokens, self._whole.budget_tokens)
        tokens = sum(counter.count(piece.text) for piece in self._waiting)
        documents = {piece.key for piece in self._waiting}
        while tokens <= budget_tokens and len(documents) < _MOST_DOCUMENTS and not self._is_read:
            read = list(islice(self._pieces, 1))
            self._is_read = not read
            for piece in read:
                self._waiting.append(piece)
                documents.add(piece.key)
                tokens += counter.count(piece.text)


def _hits(pieces: Sequence[Chunk]) -> list[Hit]:
    return [Hit(piece, score=0.0, rank=rank, retriever="document") for rank, piece in enumerate(pieces, start=1)]
