"""Vectors from outside, checked and brought to length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmapp.errors import EmbedderError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from llmapp.protocols import FloatArray


def unit_rows(vectors: ArrayLike, *, count: int, dim: int, keep: int | None = None) -> FloatArray:
    """Check what a model gave for `count` texts, and normalise it.

    Args:
        vectors: What came, anything like an array.
        count: Texts that were given.
        dim: Length that a vector should have.
        keep: Dimensions from the front that are used of longer vectors; None takes no longer ones.

    Returns:
        Shape (count, dim), float32, each row of length 1.

    Raises:
        EmbedderError: Another number of vectors, another length, or a vector without a direction (zero, NaN, infinite).
    """
    import numpy as np

    try:
        found = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise EmbedderError("the embedder gave something that is no table of numbers") from error
    if not count and not found.size:
        return np.empty((0, dim), dtype=np.float32)
    if found.ndim != 2 or len(found) != count:  # noqa: PLR2004 - rows and columns
        raise EmbedderError(f"the embedder gave {len(found) if found.ndim else 0} vectors for {count} texts")
    found = found[:, :keep]
    if found.shape[1] != dim:
        raise EmbedderError(
            f"the embedder gave vectors of {found.shape[1]} dimensions, {dim} are expected",
            hint=f"set embedder_options.dimensions to {found.shape[1]}, or ask for the model that was meant",
        )
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise EmbedderError("the embedder gave a vector without a direction: zero, or not a number")
    rows: FloatArray = (found / lengths).astype(np.float32)
    return rows
