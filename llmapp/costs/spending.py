"""What the guarded calls of one piece of work have taken, added up for whoever asks.

It belongs to the context it was opened in: work in other threads and tasks does not count, unless it was started from
within.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from llmapp.types import Usage

_NOTHING = Usage()


@dataclass(slots=True)
class Spending:
    """Money and tokens spent so far."""

    nano_usd: int = 0
    usage: Usage = _NOTHING
    """Of chat models; embedders and rerankers count other tokens."""


_current: ContextVar[Spending | None] = ContextVar("llmapp_spending", default=None)


@contextmanager
def counted() -> Iterator[Spending]:
    """Count what is spent within the block; blocks do not nest, the innermost counts."""
    spending = Spending()
    token = _current.set(spending)
    try:
        yield spending
    finally:
        _current.reset(token)


def count(nano_usd: int, usage: Usage = _NOTHING) -> None:
    """Add to the block that is open here, if one is; `usage` is that of a chat model."""
    spending = _current.get()
    if spending is not None:
        spending.nano_usd += nano_usd
        spending.usage += usage
