"""Cutting a text into chunks: by structure first, by sentences where a block is too long, by tokens where nothing else is left.

Knows blocks and the embedder's tokens; no embedder, no catalog. Every chunk is a span of the text, spans do not overlap,
each is counted on its own, and together they hold all that is not white space. They come one by one, so that a text of
any length takes little memory besides its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from llmapp.graphemes import safe_cut
from llmapp.ingestion.blocks import Block, split_blocks
from llmapp.ingestion.token_map import TokenMap
from llmapp.sentences import sentence_spans
from llmapp.types import ChunkSpan, ParsedDocument

if TYPE_CHECKING:
    from llmapp.protocols import Tokenizer

_REVISION = 2  # raised when the same text gives other spans
_MAX_CHARS_PER_TOKEN = 8
"""A chunk has at most this many characters for each token it may have: a tokenizer may see one unknown word in a megabyte."""


class StructureChunker:
    """A `Chunker` that keeps headings with their text and packs small neighbours under one heading."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        """Set the size of a chunk.

        Args:
            tokenizer: The embedder's.
            max_tokens: Tokens of one chunk, special tokens left out.

        Raises:
            ValueError: `max_tokens` is not positive.
        """
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be positive, not {max_tokens}")
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens

    @property
    def version(self) -> str:
        """Name, revision, tokenizer and size."""
        return f"structure-{_REVISION}:{self._tokenizer.identity}:{self._max_tokens}"

    def chunk(self, document: ParsedDocument) -> Iterator[ChunkSpan]:
        """Cut a document; see `llmapp.protocols.Chunker`."""
        cutter = _Cutter(document.text, self._tokenizer, self._max_tokens)
        parts = cutter.pack(split_blocks(document.text, document.page_starts, has_headings=document.has_headings))
        return (ChunkSpan(start, end, part.heading) for part in parts for start, end in cutter.cut(part))


class _Cutter:
    """Packs and cuts the blocks of one text."""

    def __init__(self, text: str, tokenizer: Tokenizer, max_tokens: int) -> None:
        self.text = text
        self.tokenizer = tokenizer
        self.tokens = TokenMap(text, tokenizer)
        self.max_tokens = max_tokens
        self.max_chars = max_tokens * _MAX_CHARS_PER_TOKEN

    def pack(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Join neighbours that fit into one chunk; a heading goes with what follows it."""
        part: Block | None = None
        for block in blocks:
            if part and self._belong(part, block):
                part = replace(block, start=part.start, is_heading=part.is_heading and block.is_heading)
            else:
                yield from (part,) if part else ()
                part = block
        yield from (part,) if part else ()

    def cut(self, part: Block) -> Iterator[tuple[int, int]]:
        """Spans of a part, each within the limits."""
        start, end = self._strip(part.start, part.end)
        while start < end:
            cut = self._piece_end(start, end, is_code=part.is_code)
            yield self._strip(start, cut)
            start, _ = self._strip(cut, end)

    def _belong(self, part: Block, block: Block) -> bool:
        if part.page != block.page:
            return False
        if part.is_heading:
            return self._fits(part.start, part.end)  # a heading over nothing but headings goes on to the next
        return not block.is_heading and part.heading == block.heading and self._fits(part.start, block.end)

    def _fits(self, start: int, end: int) -> bool:
        return end - start <= self.max_chars and self.tokens.count(start, end) <= self.max_tokens

    def _piece_end(self, start: int, end: int, *, is_code: bool) -> int:
        """Where the chunk that begins at `start` ends: proved by counting it on its own."""
        allowed = self.max_tokens
        while True:
            reach = self.tokens.reach(start, allowed, end=min(end, start + self.max_chars))
            cut = end if reach >= end else self._best_cut(start, max(reach, start + 1), is_code=is_code)
            excess = self.tokenizer.count(self.text[slice(*self._strip(start, cut))]) - self.max_tokens
            if excess <= 0 or cut <= start + 1:
                return cut
            if allowed > 1:
                allowed = max(1, min(allowed, self.tokens.count(start, cut)) - excess)
            else:  # one token of the whole is many on its own
                end = start + max(1, (cut - start) // 2)

    def _best_cut(self, start: int, reach: int, *, is_code: bool) -> int:
        """The last good border in the second half of ``[start, reach]``: a sentence, a line, a space, a letter."""
        half = start + (reach - start) // 2
        window = self.text[half : reach + 1]
        # The last one is where the window ends, not the sentence.
        sentences = [] if is_code else [end for _, end in sentence_spans(window)[:-1]]
        for offset in (*sentences[-1:], window.rfind("\n"), _last_space(window)):
            if offset > 0:
                return half + offset
        return safe_cut(self.text, reach, floor=start)

    def _strip(self, start: int, end: int) -> tuple[int, int]:
        while start < end and self.text[start].isspace():
            start += 1
        while start < end and self.text[end - 1].isspace():
            end -= 1
        return start, end


def _last_space(window: str) -> int:
    return next((index for index in range(len(window) - 1, 0, -1) if window[index].isspace()), -1)
