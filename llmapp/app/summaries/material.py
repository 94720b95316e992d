"""The documents of a summary as pieces of text: each word once, in order, and what a prompt has left of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llmapp.filters.tree import Filter
    from llmapp.types import Chunk, Principal, Source


class Library(Protocol):
    """Hands out documents, always through a principal."""

    def document_names(self, principal: Principal, where: Filter | None = None) -> list[tuple[str, str]]:
        """Source and id of every document that `principal` may read and that satisfies `where`, in their order."""

    def chunks_of(self, source: str, document_id: str, *, principal: Principal, where: Filter | None = None) -> list[Chunk]:
        """All chunks of a document in the order of its text, of one version; none where it is gone or may not be read."""


class Documents:
    """The documents that somebody may read, one after the other; one at a time is in memory."""

    def __init__(self, library: Library, principal: Principal, where: Filter | None) -> None:
        """Find them.

        Args:
            library: Where they are.
            principal: Who asks. Asked for again with every document: one that was taken from its readers is not read.
            where: What they must satisfy; None is nothing.

        Raises:
            UnknownFieldError: `where` names a field that none of the documents has.
        """
        self._library = library
        self._principal = principal
        self._where = where
        self.names = library.document_names(principal, where)
        self.read = 0
        """Documents read so far."""
        self.gone = 0
        """Documents that were there when they were looked for and could not be read any more."""

    def pieces(self) -> Iterator[Chunk]:
        """Their text in pieces that do not overlap, document by document."""
        for source, document_id in self.names:
            chunks = self._library.chunks_of(source, document_id, principal=self._principal, where=self._where)
            self.read += bool(chunks)
            self.gone += not chunks
            yield from apart(chunks)


def apart(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The chunks of one document, in order of its text, each without the words that one before it has."""
    end = 0
    for chunk in chunks:
        yield from _part(chunk, max(end, chunk.start_char), chunk.end_char)
        end = max(end, chunk.end_char)


def left_of(pieces: Sequence[Chunk], sources: Iterable[Source]) -> list[Chunk]:
    """What of some pieces does not stand in a prompt, in their order.

    Args:
        pieces: What was offered.
        sources: Those of the prompt.
    """
    standing: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for source in sources:
        standing[source.chunk.key].append((source.chunk.start_char, source.chunk.end_char))
    return [part for piece in pieces for part in _without(piece, standing[piece.key])]


def halves(piece: Chunk, *, least_chars: int) -> list[Chunk]:
    """Both halves of a piece, cut at white space where there is some near its middle; none where it is that short already."""
    if len(piece.text) < 2 * least_chars:
        return []
    middle = len(piece.text) // 2
    spaces = [at for at in range(least_chars, len(piece.text) - least_chars) if piece.text[at].isspace()]
    cut = piece.start_char + min(spaces, key=lambda at: abs(at - middle), default=middle)
    return [*_part(piece, piece.start_char, cut), *_part(piece, cut, piece.end_char)]


def _without(piece: Chunk, spans: Sequence[tuple[int, int]]) -> Iterator[Chunk]:
    start = piece.start_char
    for span_start, span_end in sorted(spans):
        if span_start < piece.end_char and span_end > start:
            yield from _part(piece, start, span_start)
            start = max(start, span_end)
    yield from _part(piece, start, piece.end_char)


def _part(chunk: Chunk, start: int, end: int) -> Iterator[Chunk]:
    """The part of a chunk between two offsets of its document, without white space around it; nothing where it is blank."""
    text = chunk.text[max(0, start - chunk.start_char) : max(0, end - chunk.start_char)]
    start += len(text) - len(text.lstrip())
    if text := text.strip():
        yield replace(chunk, text=text, start_char=start, end_char=start + len(text))
