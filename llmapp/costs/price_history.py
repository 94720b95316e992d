"""Prices of earlier days: ours, each with its source and the day it was read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from llmapp.costs.prices import Price, declared_price


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """What a model cost from a day on."""

    since: date
    """The first day that the source proves."""
    until: date | None
    """The first day on which it was another price; None where it was still so when it was read."""
    read: date
    """When someone read the source."""
    price: Price
    note: str
    """What is to be said where the price is used; mostly nothing."""


def price_in_history(model: str, as_of: date) -> DatedPrice | None:
    """What a model cost on a day; None where nothing is known of that day."""
    rows = (each for each in dated_prices() if each.price.model == model)
    return next((each for each in rows if each.since <= as_of < (each.until or each.read)), None)


@cache
def dated_prices() -> tuple[DatedPrice, ...]:
    """All of them, in the order of the file."""
    text = (files("llmapp.costs") / "price_history.toml").read_text(encoding="utf-8")
    return tuple(map(_dated, tomllib.loads(text)["prices"]))


def _dated(row: dict[str, Any]) -> DatedPrice:
    price = declared_price(
        row["model"],
        input_usd_per_million=Decimal(row["input"]),
        output_usd_per_million=Decimal(row["output"]) if "output" in row else None,
        source=row["source"],
    )
    return DatedPrice(row["since"], row.get("until"), row["read"], price, row.get("note", ""))
