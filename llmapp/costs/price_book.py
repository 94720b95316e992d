"""Finds prices: what the operator has declared, then what is free, then what is published; none known is an error.

A price is of a day. Today's are those of `genai-prices`; of an earlier day only such as carry a date, from our own history or
from that package, for a package that says what a model costs now does not say what it cost before, nor whether it existed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime

from llmapp.costs.price_history import price_in_history
from llmapp.costs.prices import Price, free_price
from llmapp.costs.published_prices import Variant, published_price
from llmapp.errors import UnknownPriceError

_FREE_PROVIDERS = frozenset({"extractive", "minilm", "ollama", "sentence-transformers"})


class PriceBook:
    """Finds prices by model name, e.g. ``openai:gpt-4o``."""

    def __init__(
        self,
        declared: Mapping[str, Price] | None = None,
        *,
        declared_batch: Mapping[str, Price] | None = None,
        local: Collection[str] = (),
    ) -> None:
        """Keep what the operator has declared.

        Args:
            declared: Prices by model, with or without the provider; they win over every other source, whatever the day.
            declared_batch: The same of the provider's batch endpoint.
            local: Models that run on the operator's own machines and are free, beside ``extractive`` and ``ollama:*``.
        """
        self._declared = dict(declared or {})
        self._declared_batch = dict(declared_batch or {})
        self._local = frozenset(local)
        self._found: dict[tuple[str, Variant, int], Price] = {}
        self._lock = threading.Lock()

    def price(self, model: str, *, as_of: date | None = None, variant: Variant = "standard") -> Price:
        """The price of a model.

        Args:
            model: Its name, e.g. ``openai:gpt-4o``.
            as_of: The day, in UTC, at its dearest hour; None is this moment. A later day is as far as is known today.
            variant: The endpoint or service tier; one without figures of its own has no known price.

        Raises:
            UnknownPriceError: No price is known for it on that day; it is never taken as zero, nor as that of another day.
        """
        provider, _, name = model.partition(":")
        for key in (model, name):
            if key in self._declared:
                return self._own(model, key, variant)
        if provider in _FREE_PROVIDERS or not self._local.isdisjoint((model, name)):
            return free_price(model)
        if as_of is None:
            return self._now(model, variant)
        if as_of < datetime.now(UTC).date():
            return _earlier(model, as_of, variant)
        return published_price(model, as_of, variant)

    def _own(self, model: str, key: str, variant: Variant) -> Price:
        if variant == "standard":
            return self._declared[key]
        if variant != "batch" or key not in self._declared_batch:
            raise UnknownPriceError(model, f"{variant} price")
        return self._declared_batch[key]

    def _now(self, model: str, variant: Variant) -> Price:
        # Prices change at dates and, with some providers, at hours of the day; so no answer is kept for longer than an hour.
        key = (model, variant, int(time.time() // 3600))
        with self._lock:
            if key not in self._found:
                self._found[key] = published_price(model, datetime.now(UTC), variant)
            return self._found[key]


def _earlier(model: str, as_of: date, variant: Variant) -> Price:
    found = price_in_history(model, as_of) if variant == "standard" else None
    return found.price if found else published_price(model, as_of, variant, must_be_dated=True)
