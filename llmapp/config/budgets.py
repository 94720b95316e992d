"""The settings of money that may be spent."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field, model_validator

from llmapp.config.table import Table
from llmapp.costs.limits import EACH, Limit, Scope
from llmapp.costs.records import NANO_PER_USD
from llmapp.costs.windows import Span

_MOST_USD = 9_000_000_000
"""So much fits a 64-bit integer of nano-USD."""


class LimitSettings(Table):
    """A limit of money for a scope and a window."""

    scope: Scope
    """Whose: ``application``, ``tenant``, ``group``, ``user``, ``key``, ``source`` (its ingestion) or ``request`` (one question, with all that it takes)."""
    name: str = EACH
    """Name of the user, the group and so on; ``*`` is each of them by itself, save those that a limit of the same `per` names."""
    per: str = "total"
    """``day``, ``month``, ``total``, or a window that rolls: ``24 hours``, ``30 days``."""
    usd: Decimal = Field(ge=0, le=_MOST_USD)
    """USD in that window."""
    timezone: str = "UTC"
    """The place whose days and months count, e.g. ``Europe/Berlin``."""

    @model_validator(mode="after")
    def _is_a_limit(self) -> LimitSettings:
        self.limit()
        return self

    def limit(self) -> Limit:
        """As the ledger takes it."""
        return Limit(self.scope, self.name, Span(self.per, self.timezone), int(self.usd * NANO_PER_USD))


class BudgetSettings(Table):
    """Limits of money; a call that could pass one at worst is refused."""

    day_usd: Decimal | None = Field(default=None, ge=0, le=_MOST_USD)
    """USD for a day (UTC); None is no limit, and everything is recorded all the same."""
    least_output_tokens: int | None = Field(default=None, ge=1)
    """Fewest tokens of an answer that is worth its call: where a limit leaves less than the answer may take, as many are asked for as fit. None asks for all or refuses."""
    limits: tuple[LimitSettings, ...] = ()
    """Further limits, a table ``[[budgets.limits]]`` each; all that a call falls under hold."""

    def all_limits(self) -> list[Limit]:
        """As the ledger takes them."""
        own = [] if self.day_usd is None else [Limit("application", EACH, Span("day"), int(self.day_usd * NANO_PER_USD))]
        return own + [each.limit() for each in self.limits]
