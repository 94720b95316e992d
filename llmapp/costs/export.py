"""The ledger as a table for others: every hold as it stands, or charges with the columns of FOCUS.

FOCUS is the FinOps Open Cost and Usage Specification, version 1.2: https://focus.finops.org/focus-specification/v1-2/. Its
columns that say nothing of a call to a model, such as regions and commitments, are left out.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from llmapp.catalog.database import Row
from llmapp.costs.records import NANO_PER_USD
from llmapp.errors import CostError

_ENTRY = (
    "id", "created_at", "ended_at", "kind", "model", "state", "accounts", "held_usd", "posted_usd", "overage_usd",
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "idempotency_key", "price",
)  # fmt: skip
_SUBCATEGORIES = {"chat": "Generative AI", "embed": "Machine Learning", "rerank": "Machine Learning"}


def write_entries(entries: Iterable[Row], target: Path) -> int:
    """Write every hold to a CSV file, ``-`` being standard output.

    Returns:
        Number of rows.

    Raises:
        CostError: The file cannot be written.
    """
    return _write(entries, target, _entry)


def write_focus(entries: Iterable[Row], target: Path) -> int:
    """Write every charge to a CSV file with the columns of FOCUS; what is open, voided or free is no charge.

    Returns:
        Number of rows.

    Raises:
        CostError: The file cannot be written.
    """
    return _write((row for row in entries if row["posted_nano_usd"]), target, _focus)


def _write(rows: Iterable[Row], target: Path, shape: Callable[[Row], Mapping[str, object]]) -> int:
    count = 0
    with _opened(target) as file:
        writer: csv.DictWriter[str] | None = None
        for count, row in enumerate(rows, start=1):  # noqa: B007 - it is the number of rows in the end
            cells = {name: _safe(value) for name, value in shape(row).items()}
            if writer is None:
                writer = csv.DictWriter(file, cells)
                writer.writeheader()
            writer.writerow(cells)
    return count


def _safe(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: names of users are not ours."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


@contextmanager
def _opened(target: Path) -> Iterator[TextIO]:
    if str(target) == "-":
        yield sys.stdout
        return
    try:
        with target.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise CostError(
            f"{target} cannot be written: {error.strerror}", hint="name a file in a folder that is there"
        ) from error


def _entry(row: Row) -> dict[str, object]:
    usd = {f"{name}_usd": _usd(row[f"{name}_nano_usd"]) for name in ("held", "posted", "overage")}
    times = {name: _time(row[name]) for name in ("created_at", "ended_at")}
    made = {**dict(row), **usd, **times, "accounts": " ".join(json.loads(row["accounts"]))}
    return {name: made[name] for name in _ENTRY}


def _focus(row: Row) -> dict[str, object]:
    at = datetime.fromtimestamp(row["created_at"], UTC)
    month = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    provider, _, name = row["model"].partition(":")
    cost = _usd(row["posted_nano_usd"])
    tokens = (row["input_tokens"] or 0) + (row["output_tokens"] or 0)
    return {
        "BilledCost": cost,
        "BillingAccountId": "",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _iso((month + timedelta(days=32)).replace(day=1)),
        "BillingPeriodStart": _iso(month),
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": f"{row['kind']}, {row['state']}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _time(row["ended_at"]),
        "ChargePeriodStart": _iso(at),
        "ConsumedQuantity": tokens or "",
        "ConsumedUnit": "Tokens" if tokens else "",
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceIssuerName": provider,
        "ListCost": cost,
        "PricingQuantity": tokens or "",
        "PricingUnit": "Tokens" if tokens else "",
        "ProviderName": provider,
        "PublisherName": provider,
        "ResourceId": row["id"],
        "ResourceName": name or provider,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": row["model"],
        "ServiceSubcategory": _SUBCATEGORIES[row["kind"]],
        "SkuId": row["model"],
        "Tags": json.dumps(_tags(json.loads(row["accounts"])), ensure_ascii=False),
    }


def _tags(accounts: Iterable[str]) -> dict[str, str]:
    """Who has paid, by scope; several groups are one tag."""
    tags: dict[str, list[str]] = {}
    for account in accounts:
        scope, _, name = account.partition(":")
        if name:
            tags.setdefault(f"llmapp/{scope}", []).append(name)
    return {scope: ",".join(names) for scope, names in tags.items()}


def _usd(nano: int | None) -> str:
    if nano is None:
        return ""
    whole, rest = divmod(nano, NANO_PER_USD)
    return f"{whole}.{rest:09d}"


def _time(seconds: float | None) -> str:
    return "" if seconds is None else _iso(datetime.fromtimestamp(seconds, UTC))


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
