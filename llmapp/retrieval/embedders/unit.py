"""Vectors from outside, checked and brought to length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmapp.errors import EmbedderError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from llmapp.protocols import FloatArray

_NO_TABLE = "the embedder gave something that is no table of numbers"
_HINT = "check that the model embeds texts: it must give one list of numbers for each"


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
        EmbedderError: No table of numbers, another number of vectors, another length, or a vector without a
            direction (zero, NaN, infinite).
    """
    import numpy as np

    try:
        found = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise EmbedderError(_NO_TABLE, hint=_HINT) from error
    if not count and not found.size:
        return np.empty((0, dim), dtype=np.float32)
    given = len(found) if found.ndim else 0
    if given != count:
        raise EmbedderError(f"the embedder gave {given} vectors for {count} texts", hint=_HINT)
    if found.ndim != 2:  # noqa: PLR2004 - rows and columns; nulls are one dimension, vectors in lists of their own are three
        raise EmbedderError(_NO_TABLE, hint=_HINT)
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
