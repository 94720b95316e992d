"""What a provider says that it has billed, by day: from its own report, or from any CSV with a day and an amount.

Known forms, as documented in November 2026:

- OpenAI, ``GET /v1/organization/costs`` (https://platform.openai.com/docs/api-reference/usage/costs): buckets with
  ``start_time`` in seconds and ``amount.value`` in the currency's unit.
- Anthropic, ``GET /v1/organizations/cost_report`` (https://platform.claude.com/docs/en/api/admin/cost_report/retrieve): buckets
  with ``starting_at`` and ``amount``, a decimal text in **cents**.
- CSV with one of the columns in `_DAYS` and one of those in `_AMOUNTS`, FOCUS among them; others are named by the caller.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from llmapp.costs.records import NANO_PER_USD
from llmapp.errors import CostError

_DAYS = ("start_time_iso", "start_time", "usage_date_utc", "ChargePeriodStart", "date", "day")
_AMOUNTS = ("amount_value", "cost_usd", "BilledCost", "amount_usd", "cost")
_CURRENCIES = ("amount_currency", "BillingCurrency", "currency")
_CENTS = 100


def read_invoice(file: Path, *, day_column: str | None = None, usd_column: str | None = None) -> dict[str, int]:
    """Read what was billed, by day.

    Args:
        file: JSON of one of the forms above, several pages as a list of them; or CSV.
        day_column: Column of a CSV with a day or a time, ISO (UTC) or seconds since 1970; None looks for a known one.
        usd_column: Column of a CSV with the amount; None looks for a known one.

    Returns:
        Nano-USD by ISO day (UTC), in order.

    Raises:
        CostError: It cannot be read, or is of no known form, or not in USD.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        parts = _json_parts(json.loads(text)) if text.lstrip()[:1] in "[{" else _csv_parts(text, day_column, usd_column)
        billed: dict[str, Decimal] = defaultdict(Decimal)
        for day, amount in parts:
            billed[day] += amount
    except OSError as error:
        raise CostError(f"{file} cannot be read: {error.strerror}", hint="name the file of the provider") from error
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
        raise CostError(f"{file.name} is of no form that is known: {error!r}", hint=_hint()) from error
    return {day: round(billed[day] * NANO_PER_USD) for day in sorted(billed)}


def _hint() -> str:
    return f"a CSV needs a column of {', '.join(_DAYS)}, and one of {', '.join(_AMOUNTS)}, or name yours with --day-column and --usd-column"


def _json_parts(report: Any) -> Iterator[tuple[str, Decimal]]:
    for page in report if isinstance(report, list) else [report]:
        for bucket in page["data"]:
            is_anthropic = "starting_at" in bucket
            day = _day(bucket["starting_at"] if is_anthropic else bucket["start_time"])
            for result in bucket["results"]:
                yield day, _anthropic(result) if is_anthropic else _openai(result)


def _openai(result: Mapping[str, Any]) -> Decimal:
    _check_currency(result["amount"]["currency"])
    return Decimal(str(result["amount"]["value"]))


def _anthropic(result: Mapping[str, Any]) -> Decimal:
    _check_currency(result["currency"])
    return Decimal(str(result["amount"])) / _CENTS


def _csv_parts(text: str, day_column: str | None, usd_column: str | None) -> Iterator[tuple[str, Decimal]]:
    rows = csv.DictReader(text.splitlines())
    names = rows.fieldnames or []
    day, amount = _column(names, day_column, _DAYS), _column(names, usd_column, _AMOUNTS)
    currency = next((name for name in _CURRENCIES if name in names), None)
    for row in rows:
        if currency is not None:
            _check_currency(row[currency])
        if row[day]:
            yield _day(row[day]), Decimal((row[amount] or "0").replace("$", "").replace(",", ""))


def _column(names: Sequence[str], given: str | None, known: Iterable[str]) -> str:
    found = next((name for name in ([given] if given else known) if name in names), None)
    if found is None:
        raise ValueError(f"it has the columns {', '.join(names)}")
    return found


def _day(when: object) -> str:
    text = str(when)
    if text.replace(".", "", 1).isdigit():
        return datetime.fromtimestamp(float(text), UTC).date().isoformat()
    moment = datetime.fromisoformat(text)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date().isoformat()


def _check_currency(currency: str) -> None:
    if currency.upper() != "USD":
        raise ValueError(f"an amount in {currency}, not in USD")
