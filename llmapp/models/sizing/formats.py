"""Number formats of weights, with the bits that a weight really takes: scales and what is left in 16 bits counted."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How weights are kept."""

    name: str
    bits: float
    """Bits of a weight, the scales of its group included."""
    keeps_embeddings: bool
    """Whether the embeddings and the output layer stay in 16 bits."""

    def weights_bytes(self, parameters: int, embedding_parameters: int = 0) -> int:
        """Size of the weights of a model.

        Args:
            parameters: All of them; of a mixture of experts those of every expert.
            embedding_parameters: Those of embeddings and output layer; 0 where that is not known.
        """
        kept = min(embedding_parameters, parameters) if self.keeps_embeddings else 0
        return math.ceil((parameters - kept) * self.bits / 8) + 2 * kept


FORMATS = (
    NumberFormat("fp32", 32, keeps_embeddings=False),
    NumberFormat("bf16, fp16", 16, keeps_embeddings=False),
    NumberFormat("int8, fp8", 8, keeps_embeddings=True),
    NumberFormat("int4 AWQ, GPTQ", 4 + (16 + 4) / 128, keeps_embeddings=True),
    NumberFormat("GGUF Q8_0", 8.5008, keeps_embeddings=False),
    NumberFormat("GGUF Q6_K", 6.5633, keeps_embeddings=False),
    NumberFormat("GGUF Q5_K_M", 5.7036, keeps_embeddings=False),
    NumberFormat("GGUF Q4_K_M", 4.8944, keeps_embeddings=False),
    NumberFormat("GGUF IQ4_XS", 4.4597, keeps_embeddings=False),
    NumberFormat("GGUF IQ3_M", 3.7628, keeps_embeddings=False),
    NumberFormat("GGUF Q2_K", 3.1593, keeps_embeddings=False),
)
"""Largest first, those of GGUF after the others. int4 has a scale of 16 bits and a zero point of 4 for each 128 weights.

GGUF's are measured over the whole file of Llama-3.1-8B (github.com/ggml-org/llama.cpp, tools/quantize/README.md, 2026-11);
in a small model with a large vocabulary a weight takes more.
"""
