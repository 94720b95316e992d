"""What the embedder reads for a chunk: where the chunk stands, then its words.

The header is no part of the chunk: spans, citations and prompts never hold it. Knows the room that it takes in the embedder's
window, so chunks are cut that much smaller.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmapp.ingestion.blocks import SEPARATOR

if TYPE_CHECKING:
    from llmapp.protocols import Embedder

HEADER_TOKENS = 32
"""Tokens that are kept free for the header."""
REVISION = 1
"""Raised when the same chunk gives another text."""


def chunk_tokens(embedder: Embedder) -> int:
    """Tokens that a chunk may have, so that it fits the embedder with its header; at least half of its window."""
    window = embedder.max_tokens - embedder.tokenizer.special_tokens
    return max(window - HEADER_TOKENS, window // 2)


@dataclass(frozen=True, slots=True)
class EmbeddingText:
    """What is embedded for one chunk."""

    text: str
    tokens: int
    """Tokens of `text`, special tokens left out."""
    key: str
    """Name of its vector: a hash of the text and of the embedder."""


def embedding_text(text: str, *, title: str, heading: str, embedder: Embedder) -> EmbeddingText:
    """Put the header before a chunk.

    Args:
        text: The chunk.
        title: Title of its document.
        heading: Headings above it, joined by `SEPARATOR`; one that begins with the title is not said twice.
        embedder: It sets the tokens of the whole: the header is cut, the chunk never is.

    Returns:
        ``title › heading`` on a line of its own, and the chunk; the chunk alone where no header fits.
    """
    tokenizer = embedder.tokenizer
    window = embedder.max_tokens - tokenizer.special_tokens
    says_title = f"{heading}{SEPARATOR}".startswith(f"{title}{SEPARATOR}")
    header = heading if says_title else SEPARATOR.join(name for name in (title, heading) if name)
    ends = [end for _, end in tokenizer.offsets(header)]
    for last in range(min(HEADER_TOKENS, len(ends)) - 1, -1, -1):
        whole = f"{header[: ends[last]]}\n{text}"
        if (tokens := tokenizer.count(whole)) <= window:
            return EmbeddingText(whole, tokens, _key(whole, embedder))
    return EmbeddingText(text, tokenizer.count(text), _key(text, embedder))


def _key(text: str, embedder: Embedder) -> str:
    return hashlib.blake2b(f"{embedder.identity}\0{text}".encode(), digest_size=16).hexdigest()
