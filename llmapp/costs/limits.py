"""Limits of money: whose, in which window, how much. Pure.

A call counts in the accounts of all who spend: the application, the user, each of his groups, and so on. A limit is for
one account, or for every account of its scope, each by itself (``*``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from llmapp.costs.windows import Span

Scope: TypeAlias = Literal["application", "tenant", "group", "user", "key", "source", "request"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

APPLICATION = "application"
"""The account that every call counts in."""
EACH = "*"


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that may be spent in a window."""

    scope: Scope
    name: str
    """Of the user, the group and so on; ``*`` is each of them by itself. ``*`` also where there is only one: the application."""
    span: Span
    nano_usd: int | None
    """The most. None only counts."""

    def __post_init__(self) -> None:
        """Check the scope and the amount.

        Raises:
            ValueError: There is no such scope, or the amount is negative.
        """
        if self.scope not in SCOPES:
            raise ValueError(f"there is no scope {self.scope!r}; there are {', '.join(SCOPES)}")
        if self.nano_usd is not None and self.nano_usd < 0:
            raise ValueError("a limit is not negative")
        if not self.name or (self.scope == APPLICATION and self.name != EACH):
            raise ValueError("the application has no name beside *" if self.name else "a limit needs a name, or *")

    def is_for(self, account: str) -> bool:
        """Whether it limits that account."""
        scope, _, name = account.partition(":")
        return scope == self.scope and self.name in (EACH, name)


@dataclass(frozen=True, slots=True)
class LimitSet:
    """Limits from one place, of which a named one stands in for ``*`` of the same scope and window."""

    limits: Sequence[Limit] = ()

    def of(self, account: str) -> list[Limit]:
        """The limits of an account, in the order of the set."""
        mine = [limit for limit in self.limits if limit.is_for(account)]
        named = {limit.span.per for limit in mine if limit.name != EACH}
        return [limit for limit in mine if limit.name != EACH or limit.span.per not in named]


COUNTED = LimitSet((Limit("application", EACH, Span("day"), None), Limit("application", EACH, Span("total"), None)))
"""What is counted though it has no limit, so that it can be told without adding up every call."""


def limits_of(account: str, sets: Iterable[LimitSet]) -> list[Limit]:
    """The limits of an account from several places; all of them hold, so the narrowest decides."""
    found = [limit for each in sets for limit in each.of(account)]
    limited = {limit.span for limit in found if limit.nano_usd is not None}
    return [limit for limit in found if limit.nano_usd is not None or limit.span not in limited]
