"""The optimum of a knapsack: which of some weights, each with a value, are worth most within a room."""

from __future__ import annotations

from collections.abc import Sequence

MOST_CELLS = 4_000_000
"""Above so many items times tokens, tokens are reckoned in larger steps: 4 million take about 20 ms and 4 MB."""


def best_units(tokens: Sequence[int], values: Sequence[float], room_tokens: int) -> list[int]:
    """Find the most valuable choice by dynamic programming.

    Where ``len(tokens) * room_tokens`` is over `MOST_CELLS`, tokens are rounded up to steps: the choice still fits, and
    may miss the optimum by what rounding takes.

    Args:
        tokens: Of each item, from 0.
        values: Of each item, from 0.
        room_tokens: What the chosen may come to, from 0.

    Returns:
        Indices of the chosen, ascending. Of choices worth the same the one with the earlier items.
    """
    import numpy as np

    count = len(tokens)
    if not count or room_tokens < 0:
        return []
    step = -(-count * (room_tokens + 1) // MOST_CELLS)
    room = room_tokens // step
    weights = [-(-weight // step) for weight in tokens]
    best = np.zeros(room + 1)
    takes = np.zeros((count, room + 1), dtype=bool)
    for index in reversed(range(count)):
        weight = weights[index]
        if weight <= room:
            with_it = best[: room + 1 - weight] + values[index]
            better = with_it >= best[weight:]
            takes[index, weight:] = better
            best[weight:] = np.where(better, with_it, best[weight:])
    chosen = []
    for index in range(count):
        if takes[index, room]:
            chosen.append(index)
            room -= weights[index]
    return chosen
