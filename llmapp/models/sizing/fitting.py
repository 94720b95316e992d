"""Whether a model fits a GPU: weights by number format, KV cache by context and batch, and overhead as a range.

The overhead is what a server takes besides: activations, CUDA graphs, the CUDA context. It is no property of the model, so
it is a range; a measured one replaces it. A format fits where the upper end does, and is tight where only the lower does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from llmapp.errors import InvalidRequestError
from llmapp.models.sizing.formats import FORMATS
from llmapp.models.sizing.quantities import GIB
from llmapp.models.sizing.shape import ModelShape

Verdict: TypeAlias = Literal["fits", "tight", "no"]

_LEAST_OVERHEAD_BYTES = int(0.7 * GIB)
"""CUDA context and CUDA graphs of 0.25 GiB each, and 0.2 of activations; kvplan 0.1.1 has 0.83 for an L4 in all."""
_PART_OF_WEIGHTS = 5
"""A fifth of the weights more at the upper end: "up to an additional 20%", accelerate's estimate-memory, from EleutherAI's
transformer-math. A server that reads very long prompts at once takes more: 9.37 GiB in github.com/vllm-project/vllm#12330."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model is to run, and how."""

    gpu_bytes: int
    context_tokens: int
    """Tokens of a sequence, input and output."""
    batch: int = 1
    """Sequences at the same time."""
    share: float = 1.0
    """Part of the GPU that the server may take; vLLM's ``gpu_memory_utilization``."""
    kv_bits: int = 16
    """Bits of a number of the KV cache."""
    overhead_bytes: int | None = None
    """As measured; None takes the range."""

    def __post_init__(self) -> None:
        """See that it is a place."""
        if (
            min(self.gpu_bytes, self.context_tokens, self.batch) < 1
            or not 0 < self.share <= 1
            or self.kv_bits not in {8, 16}
        ):
            raise InvalidRequestError(
                "a GPU, a context and a batch have at least 1, a share is from 0 to 1, a KV cache has 8 or 16 bits",
                hint="see llmapp models fit --help",
            )

    @property
    def usable_bytes(self) -> int:
        """What the server may take."""
        return int(self.gpu_bytes * self.share)


@dataclass(frozen=True, slots=True)
class FormatFit:
    """A model in one number format."""

    format: str
    bits_per_weight: float | None
    """None where the parameters are not known."""
    weights_bytes: int
    kv_bytes: int | None
    """Of all sequences at the context asked for; None where that is not known."""
    least_overhead_bytes: int
    most_overhead_bytes: int
    verdict: Verdict
    max_context_tokens: int | None
    """Longest context at that batch with the most overhead, not above the model's own; 0 where not even the weights fit,
    None where nothing bounds it or the cache is not known."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A model in every number format."""

    shape: ModelShape
    placement: Placement
    kv_bytes_per_token: int | None
    rows: tuple[FormatFit, ...]
    """As the files have it, where there are files; then as in `FORMATS`."""


def fit(shape: ModelShape, placement: Placement) -> Fit:
    """What a model takes at a place, and what of it fits."""
    numbers = shape.kv_numbers_per_token
    per_token = None if numbers is None else numbers * placement.kv_bits // 8
    rows = (_row(shape, placement, per_token, *weights) for weights in _weights(shape))
    return Fit(shape, placement, per_token, tuple(rows))


def _weights(shape: ModelShape) -> Iterator[tuple[str, int]]:
    """Formats with the bytes of the weights."""
    if shape.stored is not None:
        yield "as stored", shape.stored.size_bytes
    if shape.parameters is not None:
        for each in FORMATS:
            yield each.name, each.weights_bytes(shape.parameters, shape.embedding_parameters)


def _row(shape: ModelShape, placement: Placement, per_token: int | None, name: str, weights: int) -> FormatFit:
    measured = placement.overhead_bytes
    least = _LEAST_OVERHEAD_BYTES if measured is None else measured
    most = _LEAST_OVERHEAD_BYTES + weights // _PART_OF_WEIGHTS if measured is None else measured
    kv = None if per_token is None else per_token * placement.context_tokens * placement.batch
    taken = weights + (kv or 0)
    room = placement.usable_bytes - weights - most
    return FormatFit(
        name,
        None if not shape.parameters else 8 * weights / shape.parameters,
        weights,
        kv,
        least,
        most,
        _verdict(placement.usable_bytes - taken, least, most),
        _longest(room, per_token, placement.batch, shape.max_context_tokens),
    )


def _verdict(left_bytes: int, least: int, most: int) -> Verdict:
    if left_bytes >= most:
        return "fits"
    return "tight" if left_bytes >= least else "no"


def _longest(room_bytes: int, per_token: int | None, batch: int, most_tokens: int | None) -> int | None:
    if room_bytes < 0:
        return 0
    if not per_token:
        return None if per_token is None else most_tokens
    tokens = room_bytes // (per_token * batch)
    return tokens if most_tokens is None else min(tokens, most_tokens)
