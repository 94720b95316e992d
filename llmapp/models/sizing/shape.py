"""What is known of a model that decides what it takes in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """The weights as they lie in the files."""

    form: str
    """Kinds of numbers, e.g. ``BF16``, or ``GGUF``."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Weights and KV cache of a model."""

    name: str
    source: str
    """Where the figures are from."""
    parameters: int | None
    """All of them, those of every expert too; None where the files hold packed numbers and no formula is known."""
    embedding_parameters: int = 0
    """Those of embeddings and output layer, which stay in 16 bits in most quantisations; 0 where that is not known."""
    kv_numbers_per_token: int | None = None
    """Numbers that a token adds to the KV cache: 2 x layers x kv_heads x head_dim; None where that is not known."""
    kv_is_upper_bound: bool = False
    """Whether some layers keep less than that."""
    kv_note: str = ""
    """Why it is not known, or why it is an upper bound."""
    max_context_tokens: int | None = None
    """Tokens that the model was made for; None where that is not known."""
    stored: StoredWeights | None = None
    """What the files hold; None where there are none."""


@dataclass(frozen=True, slots=True)
class KvCache:
    """What a token keeps in memory while an answer is written."""

    numbers_per_token: int | None
    is_upper_bound: bool = False
    note: str = ""


def full_attention(layers: int, kv_heads: int, key_dim: int, value_dim: int | None = None) -> KvCache:
    """The cache where every layer keeps every token: a key and a value of each KV head, which are often fewer than heads.

    Source: the layout of Llama 3 and all models of its kind; 131,072 bytes a token of Llama-3-8B in 16 bits.
    """
    return KvCache(layers * kv_heads * (key_dim + (key_dim if value_dim is None else value_dim)))
