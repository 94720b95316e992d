"""Forecasts and comparisons as JSON. Amounts are decimals as text: a day at scale has more nano-USD than a double holds."""

from __future__ import annotations

from dataclasses import asdict
from fractions import Fraction
from typing import TYPE_CHECKING

from llmapp.costs.forecast import DAYS_PER_MONTH, decimal_usd

if TYPE_CHECKING:
    from llmapp.app.shapes import Shape
    from llmapp.costs.forecast import Column, Forecast
    from llmapp.costs.in_house import Comparison

_TOKENS_PER_MILLION = 10**6


def forecast_shape(found: Forecast, once: int | None) -> Shape:
    """A forecast; `once` is a number of requests that are made one time, None where none was asked for."""
    return {
        **_head(found),
        "requests_per_day": found.workload.requests_per_day,
        "days_per_month": float(DAYS_PER_MONTH),
        "columns": [_column(found, column, once) for column in found.columns],
        "notes": [*found.notes],
    }


def comparison_shape(api: Forecast, found: Comparison) -> Shape:
    """A comparison; None where in-house is never cheaper."""
    usage = api.columns[0].usage
    volume = round(api.workload.requests_per_day * DAYS_PER_MONTH)
    tokens = usage.input_tokens + usage.output_tokens
    return {
        **_head(api),
        "tokens": asdict(usage),
        "api_usd_per_request": _usd(found.api_usd),
        "gpu_usd_per_month": _usd(found.gpu_usd),
        "operations_usd_per_month": _usd(found.operations_usd),
        "requests_per_gpu_and_month": found.capacity,
        "own_usd_per_request_at_full_load": _usd(found.full_load_usd),
        "own_usd_per_million_tokens_at_full_load": _usd(found.full_load_usd * _TOKENS_PER_MILLION / tokens),
        "break_even_requests_per_month": found.break_even(),
        "always_from_requests_per_month": found.always_from(),
        "at_volume": {
            "requests_per_month": volume,
            "api_usd": _usd(found.api_usd * volume),
            "own_usd": _usd(found.own_usd(volume)),
            "gpus": found.gpus(volume),
        }
        if volume
        else None,
    }


def _head(found: Forecast) -> Shape:
    workload = found.workload
    cached = workload.cached_share
    return {
        "model": found.model,
        "as_of": found.as_of.isoformat(),
        "price_sources": [*found.sources],
        "cached_share": None if cached is None else float(cached),
        "retry_share": float(workload.retry_share),
        "batch_share": float(workload.batch_share),
    }


def _column(found: Forecast, column: Column, once: int | None) -> Shape:
    parts = column.parts
    names = ("input", "cached_input", "output", "retries")
    return {
        "name": column.name,
        "tokens": asdict(column.usage),
        "usd": {
            "prediction": _usd(parts.total),
            "thousand": _usd(parts.total * 1_000),
            "day": _usd(found.daily_usd(column)),
            "month": _usd(found.monthly_usd(column)),
            **({"once": _usd(parts.total * once)} if once is not None else {}),
        },
        "parts_usd": {name: _usd(getattr(parts, name)) for name in names},
    }


def _usd(amount: Fraction) -> str:
    return f"{decimal_usd(amount).normalize():f}"
