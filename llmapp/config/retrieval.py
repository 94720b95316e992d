"""The settings of a search: what is found, how it is merged, and in which order it comes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from llmapp.config.table import Table
from llmapp.words.analysis import Language


class RetrievalSettings(Table):
    """How chunks are found."""

    top_k: int = Field(default=8, ge=1, le=1000)
    """Chunks offered to the prompt."""
    candidates: int = Field(default=100, ge=1, le=10_000)
    """Chunks that each of dense and lexical search brings to the fusion."""
    fusion: Literal["convex", "rrf"] = "convex"
    """How the two are merged: by scores brought to one scale (``convex``), or by ranks (``rrf``, reciprocal rank)."""
    dense_weight: float = Field(default=0.5, ge=0, le=1)
    """Share of dense search in a convex fusion; the rest is lexical."""
    reranker: str = Field(default="none", pattern=r"^(none|model|cross-encoder:.+|api:.+)$")
    """Who orders the fused hits anew: ``none``, ``cross-encoder:NAME`` (extra sentence-transformers), ``api:MODEL`` (at `reranker_url`), or ``model``, the chat model."""
    reranker_url: str | None = None
    """Whole address of the rerank API, e.g. ``https://api.cohere.com/v2/rerank``; its key is in ``LLMAPP_RERANKER_API_KEY``."""
    reranker_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds without an answer of the rerank API after which the fused order stands."""
    rerank_candidates: int = Field(default=30, ge=1, le=1000)
    """Fused hits that the reranker reads, and no fewer than `top_k`, whatever a search asks for; what it does not read is not returned."""
    diversity: float = Field(default=0.0, ge=0, le=1)
    """Weight of novelty against relevance (maximal marginal relevance); 0 leaves the order as it is."""
    expand: Literal["none", "neighbours", "section", "document"] = "none"
    """How far a hit grows in its document: not at all, by a chunk to each side, to its section, or as far as there is room."""
    expand_chars: int = Field(default=4_000, ge=1)
    """Characters that a hit may grow to."""
    rewrite: bool = False
    """Whether the chat model puts a question with a history so that it can be searched for without it; a paid call."""
    queries: int = Field(default=1, ge=1, le=6)
    """Searches for a question to be answered: its own, and other wordings that the chat model writes; above 1 a paid call."""
    exact_up_to: int = Field(default=10_000, ge=0)
    """Readable chunks up to which vectors are compared one by one; above, the vector index is asked where that is faster."""
    language: Language = "en"
    """Whose word stems and stop words full text goes by, ISO 639-1, or `none`; it is for words in Latin letters, other scripts tell their language. Another one writes the full text anew."""
    bm25_k1: float = Field(default=1.2, ge=0, le=100)
    """How soon the repetition of a word counts no more; 0 is at once."""
    bm25_b: float = Field(default=0.4, ge=0, le=1)
    """How much long texts are held down, from 0 to 1."""
