"""Chunks of one document that overlap, adjoin or lie near each other stand in a prompt as one passage, their words once.

    chunks      [0:80] rank 2    [60:140] rank 1                 [142:200] rank 5          [260:300] rank 7
    stretches   [0:140]                                          [142:200]                 [260:300]
    passage     the words of all, what lies between shown as a line end, a blank line, or a mark of a gap

A stretch is the document's own words without a gap, so whatever is quoted from it stands in the document as it is
quoted; a passage of several stretches quotes within one of them. Each chunk keeps its id, page and heading for citations.
Chunks are put together only where their texts agree: two versions of a document never become a text that neither had.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from llmapp.prompting.allocation import JOINT_CHARS
from llmapp.prompting.evidence.cutting import OPEN
from llmapp.types import Chunk, Hit, Source

NEAR_CHARS = 200
"""Over a gap of a sentence or two a passage goes on: the gap is marked, which is cheaper than another frame."""

_GAP = "\n\n[…]\n\n"


class Part(NamedTuple):
    """A chunk that may stand in a prompt."""

    chunk: Chunk
    document: str
    """Its document and that document's version, among all parts: those of one name agree wherever they overlap."""
    rank: int
    """From 1, the best first."""
    score: float
    """As the search gave it."""
    is_open: bool = False
    """Whether it was cut within a sentence."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What stands in a prompt as one source: parts of one document, near each other."""

    parts: tuple[Part, ...]
    """At least one, in order of the document."""

    @property
    def rank(self) -> int:
        """The best of its parts'."""
        return min(part.rank for part in self.parts)

    @property
    def document(self) -> str:
        """As `Part.document`."""
        return self.parts[0].document

    @property
    def first(self) -> Chunk:
        """The chunk that it begins with, whose page and heading are its own."""
        return self.parts[0].chunk

    @property
    def text(self) -> str:
        """Its words, with gaps marked, and its end where that is within a sentence.

        White space between chunks that adjoin is a line end or a blank line.
        """
        pieces, last = [self.first.text], self.parts[0]
        for part in self.parts[1:]:
            gap_chars = part.chunk.start_char - last.chunk.end_char
            if gap_chars > 0:
                is_space = gap_chars <= JOINT_CHARS and not last.is_open
                pieces.append("\n" * gap_chars if is_space else _GAP)
            pieces.append(part.chunk.text[max(0, -gap_chars) :])
            last = max(last, part, key=lambda each: (each.chunk.end_char, not each.is_open))
        return "".join(pieces) + (OPEN if last.is_open else "")

    def sources(self, number: int) -> tuple[Source, ...]:
        """Its stretches as sources of one number, each with the chunks that it was put together from."""
        return tuple(_source(number, stretch) for stretch in _stretches(self.parts))

    def beginning(self, parts: int) -> Passage:
        """The passage with so many of its parts only, at least one."""
        return Passage(self.parts[:parts])


def parts_of(hits: Iterable[Hit]) -> list[Part]:
    """The hits as parts, best first, with the versions of their documents told apart by their texts."""
    ranked = sorted(hits, key=lambda hit: (hit.rank, hit.chunk.id))
    of_document: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for index, hit in enumerate(ranked):
        of_document[hit.chunk.key].append((hit.chunk.start_char, hit.chunk.end_char, index))
    names: dict[int, str] = {}
    for key, places in of_document.items():
        indexes = [index for _, _, index in sorted(places)]
        versions = _versions([ranked[index].chunk for index in indexes])
        names.update((index, f"{key}\0{version}") for index, version in zip(indexes, versions, strict=True))
    return [Part(hit.chunk, names[index], index + 1, hit.score) for index, hit in enumerate(ranked)]


def passages_of(parts: Iterable[Part]) -> list[Passage]:
    """Put parts together, by document and place."""
    ordered = sorted(parts, key=lambda part: (part.document, part.chunk.start_char, part.chunk.end_char, part.rank))
    passages: list[list[Part]] = []
    end = 0
    for part in ordered:
        is_near = passages and passages[-1][0].document == part.document and part.chunk.start_char <= end + NEAR_CHARS
        if is_near:
            passages[-1].append(part)
        else:
            passages.append([part])
        end = max(end, part.chunk.end_char) if is_near else part.chunk.end_char
    return [Passage(tuple(passage)) for passage in passages]


def _versions(chunks: Sequence[Chunk]) -> list[int]:
    """A number for each chunk of one document, in order of their starts: those of one number agree where they overlap.

    Of a version only the words from the last start on are kept: no later chunk begins before.
    """
    tails: list[tuple[int, str]] = []
    versions = []
    for chunk in chunks:
        version = next((n for n, tail in enumerate(tails) if _agrees(chunk, *tail)), len(tails))
        if version == len(tails):
            tails.append((0, ""))
        start, tail = tails[version]
        tails[version] = (chunk.start_char, chunk.text + tail[chunk.start_char - start + len(chunk.text) :])
        versions.append(version)
        if len(chunk.text) != chunk.end_char - chunk.start_char:  # its words are not those of its span: nothing joins it
            tails[version] = (-1, "")
    return versions


def _agrees(chunk: Chunk, start: int, tail: str) -> bool:
    shared = tail[chunk.start_char - start :]
    is_whole = len(chunk.text) == chunk.end_char - chunk.start_char
    return start >= 0 and is_whole and chunk.text.startswith(shared[: len(chunk.text)])


def _stretches(parts: Iterable[Part]) -> list[list[Chunk]]:
    """The chunks, those together that overlap or touch."""
    stretches: list[list[Chunk]] = []
    end = 0
    for chunk in (part.chunk for part in parts):
        if stretches and chunk.start_char <= end:
            stretches[-1].append(chunk)
            end = max(end, chunk.end_char)
        else:
            stretches.append([chunk])
            end = chunk.end_char
    return stretches


def _source(number: int, chunks: Sequence[Chunk]) -> Source:
    first, *others = chunks
    if not others:
        return Source(number, first)
    end, texts = first.end_char, [first.text]
    for chunk in others:
        texts.append(chunk.text[end - chunk.start_char :])
        end = max(end, chunk.end_char)
    whole = replace(first, text="".join(texts), end_char=end)
    return Source(number, whole, tuple(chunks))
