"""Errors of the family of money."""

from __future__ import annotations

from llmapp.errors.root import LLMAppError


class CostError(LLMAppError, code="cost_failed"):
    """Money stands in the way."""


class BudgetExceededError(CostError, code="budget_exceeded"):
    """The call could cost more than is left of a budget."""

    def __init__(
        self,
        *,
        scope: str,
        limit_usd: float,
        committed_usd: float,
        requested_usd: float,
        resets_at: float | None = None,
        may_fit_soon: bool = False,
    ) -> None:
        """Say whose budget it is and what is missing.

        Args:
            scope: Budget and window, e.g. ``application:2026-11-22`` or ``user:7:2026-11``.
            limit_usd: The limit. USD.
            committed_usd: Spent and held so far. USD.
            requested_usd: What the call could cost at worst. USD.
            resets_at: When the next window begins. Seconds since 1970; None where none does, or where it rolls.
            may_fit_soon: Whether it would fit if calls that are being made now turned out to cost nothing.
        """
        super().__init__(
            f"budget {scope}: the call could cost ${requested_usd:.6f}, "
            f"${max(0.0, limit_usd - committed_usd):.6f} of ${limit_usd:.6f} is left",
            hint="wait for the next window, raise the limit (llmapp costs budgets list), or choose a cheaper model",
        )
        self.scope = scope
        self.limit_usd = limit_usd
        self.committed_usd = committed_usd
        self.requested_usd = requested_usd
        self.resets_at = resets_at
        self.may_fit_soon = may_fit_soon


class KeyReusedError(CostError, code="key_reused"):
    """An idempotency key was given for one call, and now for another."""

    def __init__(self, key: str) -> None:
        """Name the key."""
        super().__init__(
            f"the key {key!r} was given for another call",
            hint="give every call a key of its own; a repetition is the same call",
        )
        self.key = key


class UnknownPriceError(CostError, code="unknown_price"):
    """No price is known for a model; it is never taken as zero."""

    def __init__(self, model: str, part: str = "price") -> None:
        """Name the model and the way to declare a price.

        Args:
            model: The model that has no price.
            part: What is not known: any ``price``, only the ``output price``, the ``batch price``, the ``price as of`` a day.
        """
        keys = "batch_input_usd_per_million" if part == "batch price" else "input_usd_per_million"
        super().__init__(
            f"no {part} is known for {model}",
            hint=f'declare {keys}, for a chat model also {keys.replace("input", "output")}, in llmapp.toml under [prices."{model}"]',
        )
        self.model = model
