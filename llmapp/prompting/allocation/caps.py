"""How much each section of a tier may have: by weight, within what it has already and what it can use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Claim(NamedTuple):
    """What a section has, and what it can use at most. Tokens."""

    weight: float
    has_tokens: int
    wants_tokens: int
    """Not below `has_tokens`."""


def shares(claims: Sequence[Claim], left_tokens: int) -> list[int]:
    """The cap of each section, what it has included.

    Each has its weight's part of all that the sections have and may have, no less than it has and no more than it wants;
    what one does not want goes to the others. The rule of flexible lengths in CSS (W3C, CSS Flexible Box Layout 9.7).

    Args:
        claims: Of the sections of one tier.
        left_tokens: What may be shared out beyond what they have.

    Returns:
        In the order of `claims`; together no more than what they have and `left_tokens`.
    """
    caps: dict[int, float] = {}
    total = left_tokens + sum(claim.has_tokens for claim in claims)
    while len(caps) < len(claims):
        open_claims = {index: claim for index, claim in enumerate(claims) if index not in caps}
        weights = sum(claim.weight for claim in open_claims.values())
        level = max(0.0, total - sum(caps.values())) / weights if weights else 0.0
        within = {
            index: min(max(level * claim.weight, claim.has_tokens), claim.wants_tokens)
            for index, claim in open_claims.items()
        }
        drift = sum(within[index] - level * claim.weight for index, claim in open_claims.items())
        frozen = {index: cap for index, cap in within.items() if _is_frozen(cap - level * open_claims[index].weight, drift)}
        caps |= frozen or within
    return [int(caps[index]) for index in range(len(claims))]


def _is_frozen(change: float, drift: float) -> bool:
    """Whether a bound has moved a share the way in which the bounds have moved all together."""
    return (change > 0 and drift > 0) or (change < 0 and drift < 0)
