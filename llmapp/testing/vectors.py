"""Unit vectors to test a vector index with, the same in every run, and what exact search says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray

_SPREAD = 0.6
"""Length of the noise around a centre of length 1: the cosine of two vectors of a cluster is about 1 / (1 + .6²) = .74."""


def clustered(count: int, dim: int, *, clusters: int = 50, seed: int = 0) -> FloatArray:
    """Unit vectors in clusters, as texts have them; random ones are all equally far from each other.

    Args:
        count: Vectors.
        dim: Length of a vector.
        clusters: Centres that they stand around.
        seed: Another one gives other vectors around other centres.

    Returns:
        Shape (count, dim), float32, each row of length 1.
    """
    random = np.random.default_rng(seed)
    centres = _units(random.normal(size=(clusters, dim)))
    noise = _SPREAD * random.normal(size=(count, dim)) / dim**0.5
    return _units(centres[random.integers(clusters, size=count)] + noise)


def nearest(vectors: Mapping[str, FloatArray], query: FloatArray, *, top_k: int) -> list[tuple[str, float]]:
    """The `top_k` nearest of `vectors` by cosine similarity in float64, best first, ties by id. The oracle of every index."""
    ids = sorted(vectors)
    scores = np.stack([vectors[name] for name in ids]).astype(np.float64) @ query.astype(np.float64)
    order = np.argsort(-scores, kind="stable")[:top_k]
    return [(ids[place], float(scores[place])) for place in order]


def _units(vectors: np.ndarray) -> FloatArray:
    units: FloatArray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return units
