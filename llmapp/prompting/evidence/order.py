"""The order of passages in a prompt. A model reads the middle of a long prompt least (Liu et al., 2023, "Lost in the Middle")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from llmapp.prompting.evidence.passages import Passage

Order: TypeAlias = Literal["score", "edges", "document"]
"""``score``: the best first. ``edges``: the best first and last, the worst in the middle. ``document``: as the documents
have them, a document before another if its best passage is better."""


def in_order(passages: Sequence[Passage], order: Order) -> list[Passage]:
    """The passages as they are to stand."""
    by_rank = sorted(passages, key=lambda passage: passage.rank)
    if order == "edges":
        return [*by_rank[::2], *reversed(by_rank[1::2])]
    if order == "document":
        best: dict[str, int] = {}
        for passage in by_rank:
            best.setdefault(passage.document, passage.rank)
        return sorted(by_rank, key=lambda passage: (best[passage.document], passage.first.start_char))
    return by_rank
