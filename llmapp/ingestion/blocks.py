"""The structure of a text: headings, paragraphs, list items, table rows, code fences, pages.

Reads Markdown and plain text line by line; knows no tokens. Where a mark is ambiguous it is taken as plain text: a wrong block
costs a less apt cut and never a character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*)")
_UNDERLINE = re.compile(r"(=+|-{3,})[ \t]*$")
_ITEM = re.compile(r"[ \t]*(?:[-*+•‣◦]|\d{1,4}[.)])[ \t]+\S")
_FENCE = re.compile(r"[ \t]{0,3}(`{3,}|~{3,})")
_MARKUP = re.compile(r"[*_`\\]+|!?\[|\]\([^)]*\)|\]")
_MAX_HEADING_CHARS = 200
_MAX_MARKED_CHARS = 4 * _MAX_HEADING_CHARS
"""A title with its markup is cut here before it is searched: the search for the end of a link is quadratic."""
SEPARATOR = " › "
"""Between the headings of a path."""


@dataclass(frozen=True, slots=True)
class Block:
    """A span that is better not cut."""

    start: int
    end: int
    heading: str
    """Headings above it, outermost first."""
    page: int
    """Index of its page, from 0."""
    is_heading: bool = False
    is_code: bool = False
    """Whether it is a code fence, which is cut at lines only."""


def split_blocks(text: str, page_starts: Sequence[int] = (), *, has_headings: bool = True) -> Iterator[Block]:
    """Cut a text into blocks.

    Args:
        text: Text of the document.
        page_starts: Offset of each page.
        has_headings: Whether lines may be Markdown headings.

    Yields:
        Blocks in order, without overlap; only blank lines lie between them.
    """
    reader = _Reader(has_headings=has_headings)
    for start, end, page in _lines(text, page_starts):
        reader.take(text[start:end], start, end, page)
        yield from reader.blocks
        reader.blocks.clear()
    reader.flush()
    yield from reader.blocks


def _lines(text: str, page_starts: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Start, end and page of each line; a page always begins a line."""
    bounds = [*sorted({start for start in page_starts if 0 < start < len(text)}), len(text)]
    start = 0
    for page, bound in enumerate(bounds):
        while start < bound:
            newline = text.find("\n", start, bound)
            end = newline + 1 if newline >= 0 else bound
            yield start, end, page
            start = end


class _Reader:
    """Takes lines in order, and leaves in `blocks` those that are whole."""

    def __init__(self, *, has_headings: bool) -> None:
        self.blocks: list[Block] = []
        self._has_headings = has_headings
        self._path: list[tuple[int, str]] = []
        self._heading = ""
        self._open: tuple[int, int, int] | None = None  # start, end and page of the block that is still growing
        self._line = ""  # the last line of the open block
        self._fence = ""

    def take(self, line: str, start: int, end: int, page: int) -> None:
        """Add a line."""
        if self._open and self._open[2] != page:
            self.flush()
        if self._fence:
            self._take_code(line, start, end, page)
        elif not line.strip():
            self.flush()
        elif self._opens_fence(line):
            self.flush()
            self._fence = _FENCE.match(line)[1]  # type: ignore[index]  # it has just matched
            self._grow(line, start, end, page)
        elif self._has_headings and (heading := _HEADING.match(line)):
            self.flush()
            self._take_heading(len(heading[1]), heading[2].rstrip(" \t#\n"), Block(start, end, "", page, is_heading=True))
        elif self._has_headings and self._is_underlined(line):
            self._take_underlined(line, end)
        else:
            if line.lstrip().startswith("|") or _ITEM.match(line):
                self.flush()
            self._grow(line, start, end, page)

    def flush(self) -> None:
        """Close the block that is still growing."""
        if self._open:
            start, end, page = self._open
            self.blocks.append(Block(start, end, self._heading, page, is_code=bool(self._fence)))
        self._open, self._line, self._fence = None, "", ""

    def _grow(self, line: str, start: int, end: int, page: int) -> None:
        self._open = (self._open[0] if self._open else start, end, page)
        self._line = line

    def _opens_fence(self, line: str) -> bool:
        found = _FENCE.match(line)
        # A row of tildes under a title is an underline in other markups, so it opens a fence only after a blank line.
        return bool(found) and (found[1][0] == "`" or self._open is None)  # type: ignore[index]

    def _take_code(self, line: str, start: int, end: int, page: int) -> None:
        fence, mark = self._fence, line.strip()
        self._grow(line, start, end, page)
        if mark.startswith(fence) and not mark.strip(fence[0]):
            self.flush()

    def _is_underlined(self, line: str) -> bool:
        return bool(
            self._open and self._open[1] - self._open[0] == len(self._line) <= _MAX_HEADING_CHARS
            and _UNDERLINE.match(line) and not _ITEM.match(self._line) and not self._line.lstrip().startswith("|")
        )  # fmt: skip

    def _take_underlined(self, line: str, end: int) -> None:
        start, _, page = self._open or (0, 0, 0)
        title, self._open = self._line, None
        self._take_heading(1 if line.startswith("=") else 2, title, Block(start, end, "", page, is_heading=True))

    def _take_heading(self, level: int, title: str, block: Block) -> None:
        plain = " ".join(_MARKUP.sub("", title[:_MAX_MARKED_CHARS]).split())[:_MAX_HEADING_CHARS]
        self._path = [(above, name) for above, name in self._path if above < level] + [(level, plain)]
        self._heading = SEPARATOR.join(name for _, name in self._path if name)
        self.blocks.append(Block(block.start, block.end, self._heading, block.page, is_heading=True))
