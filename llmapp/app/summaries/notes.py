"""Notes between the rounds: from what the model wrote to statements with their evidence, and to what the next round reads.

    wrote      - Notice is three months [1].
               - Both renew by themselves [1][2].
    notes      "Notice is three months"        a span of contract A
               "Both renew by themselves"      a span of contract A, a span of contract B
    pieces     "- Notice is three months"      titled A
               "- Both renew by themselves"    titled A; B

Numbers are of one request. What survives is the evidence: the words of a document that a mark was resolved to. The notes on
the same documents become one piece, numbered anew by the next prompt; a mark that cites it cites its evidence.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from llmapp.app.citations import Citer, cite
from llmapp.frames import REFUSAL, frame_source, unfenced
from llmapp.protocols import TokenCounter
from llmapp.types import Chunk, Citation, Source

UNNAMED = "documents that the notes do not name"
"""Title of notes without evidence."""

_TITLES = 3
"""Titles that the frame of notes on several documents names."""
_ITEM = re.compile(r"^(?:\s*+(?:[-*+•–]|\d{1,3}[.)])\s++)+")
_LEADING_MARKS = re.compile(r"^([ \t]*(?:[-*+•–][ \t]+)?)((?:\[[\d,; ]{1,40}\][ \t:]*)+)(\S.*)$", re.MULTILINE)
"""Marks before what they stand for, as small models set them."""
_WORD = re.compile(r"\w")
_NOTHING = re.compile(rf"\W*(?:nothing|none|{re.escape(REFUSAL[:-1])})\W*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Note:
    """A statement that the model has made of documents."""

    text: str
    """Without marks, on one line."""
    evidence: tuple[Chunk, ...]
    """The spans of documents that its marks were resolved to; none where no mark was."""

    @property
    def documents(self) -> tuple[str, ...]:
        """Names of the documents of its evidence, each once, in their order."""
        return tuple(dict.fromkeys(chunk.key for chunk in self.evidence))


def read_notes(written: str, sources: Sequence[Source], *, only: int | None) -> list[Note]:
    """The notes that a model wrote. Marks are resolved as in an answer.

    Args:
        written: The model's answer.
        sources: What the numbers of the request stand for: documents, or the evidence of notes.
        only: The number of the one source of the request, of which is what bears no mark; None where there are several.
    """
    citer = Citer(sources)
    citer.read(_LEADING_MARKS.sub(r"\1\3 \2", unfenced(written)))
    citer.end()
    notes = []
    for statement in citer.statements:
        *before, last = _lines(statement.text) or [""]
        unmarked = [*before] if statement.citations else [*before, last]
        notes += [Note(line, _evidence_of(line, sources, only)) for line in unmarked if line and not line.endswith(":")]
        if last and statement.citations:
            notes.append(Note(last, tuple(map(_as_evidence, statement.citations))))
    return notes


def shortened_notes(text: str, fits: Callable[[str], bool]) -> str:
    """The first lines of an answer that fit, or what does of its first line: a model need not keep to its limit."""
    lines = text.strip().splitlines()
    number = bisect_left(range(1, len(lines) + 1), True, key=lambda number: not fits("\n".join(lines[:number])))
    kept = "\n".join(lines[:number]) or "".join(lines[:1])
    while not fits(kept):
        kept = kept[: len(kept) // 2]
    return kept


def first_notes(notes: Sequence[Note], *, counter: TokenCounter, limit_tokens: int) -> list[Note]:
    """The first notes that take at most so many tokens to read, with a frame for each group of documents; at least one.

    Many short statements on a document each take three times as much to read as to write.
    """
    framed: set[tuple[str, ...]] = set()
    tokens = 0
    for number, note in enumerate(notes):
        tokens += counter.count(_line(note) + "\n")
        if note.documents not in framed:
            framed.add(note.documents)
            tokens += counter.count(frame_source("", mark="0f" * 6, number=100, title=_title([note]), place="page 100"))
        if tokens > limit_tokens and number:
            return list(notes[:number])
    return list(notes)


class NotePieces:
    """Notes as the pieces that the next round reads, those on the same documents together."""

    def __init__(self, notes: Iterable[Note]) -> None:
        """Put them together, in the order of their first."""
        self._groups: defaultdict[tuple[str, ...], list[Note]] = defaultdict(list)
        for note in notes:
            self._groups[note.documents].append(note)
        self._notes = dict(zip(map(str, range(len(self._groups))), self._groups.values(), strict=True))

    def __iter__(self) -> Iterator[Chunk]:
        """The pieces."""
        for name, notes in self._notes.items():
            text = "\n".join(map(_line, notes))
            pages = {chunk.page for note in notes for chunk in note.evidence}
            page = pages.pop() if len(pages) == 1 else None
            yield Chunk(f"notes {name}", "notes", name, "", _title(notes), text, 0, len(text), page=page)

    def evidence(self, sources: Iterable[Source]) -> list[Source]:
        """The evidence of the notes in a prompt, with the numbers that they have there.

        Args:
            sources: Those of a prompt that was made of these pieces.
        """
        found: dict[tuple[int, str, int, int], Source] = {}
        for source in sources:
            start = 0
            for note in self._notes[source.chunk.document_id]:
                end = start + len(_line(note))
                if start < source.chunk.end_char and end > source.chunk.start_char:
                    for chunk in note.evidence:
                        place = (source.number, chunk.key, chunk.start_char, chunk.end_char)
                        found.setdefault(place, Source(source.number, chunk))
                start = end + 1
        return list(found.values())


def _line(note: Note) -> str:
    return f"- {note.text}"


def _lines(text: str) -> list[str]:
    """The lines of a statement that say something, without the sign of a list."""
    said = (_ITEM.sub("", line, count=1).strip().lstrip(".,;: ") for line in text.splitlines())
    return [line for line in said if _WORD.search(line) and not _NOTHING.fullmatch(line)]


def _evidence_of(line: str, sources: Sequence[Source], only: int | None) -> tuple[Chunk, ...]:
    """What a statement without a mark rests on, where there is but one thing that it can rest on."""
    return () if only is None else tuple(map(_as_evidence, cite(f"{line} [{only}]", sources)[1]))


def _as_evidence(citation: Citation) -> Chunk:
    """The span as a chunk; its document is known by its address."""
    return Chunk(
        id=citation.chunk_id,
        source="",
        document_id=citation.uri,
        uri=citation.uri,
        title=citation.title,
        text=citation.quote,
        start_char=citation.start_char,
        end_char=citation.end_char,
        page=citation.page,
        heading=citation.heading,
    )


def _title(notes: Sequence[Note]) -> str:
    titles = list({chunk.key: chunk.title for chunk in notes[0].evidence}.values())
    more = f" and {len(titles) - _TITLES} more" if len(titles) > _TITLES else ""
    return "; ".join(titles[:_TITLES]) + more or UNNAMED
