"""Limits that an operator has set at run time. They are read with every reservation, so they count at once, in every process."""

from __future__ import annotations

from llmapp.catalog.database import Connection
from llmapp.costs.limits import Limit, LimitSet
from llmapp.costs.windows import Span


def read(connection: Connection) -> LimitSet:
    """All of them."""
    rows = connection.execute("SELECT * FROM budget_limit ORDER BY scope, name, per").fetchall()
    return LimitSet([Limit(row["scope"], row["name"], Span(row["per"], row["timezone"]), row["nano_usd"]) for row in rows])


def put(connection: Connection, limit: Limit, *, now: float) -> None:
    """Set one, in the place of one of the same scope, name and window."""
    connection.execute(
        "INSERT INTO budget_limit (scope, name, per, timezone, nano_usd, set_at)"
        " VALUES (:scope, :name, :per, :timezone, :nano_usd, :now)"
        " ON CONFLICT (scope, name, per) DO UPDATE SET timezone = :timezone, nano_usd = :nano_usd, set_at = :now",
        {
            "scope": limit.scope,
            "name": limit.name,
            "per": limit.span.per,
            "timezone": limit.span.timezone,
            "nano_usd": limit.nano_usd,
            "now": now,
        },
    )


def remove(connection: Connection, scope: str, name: str, per: str) -> bool:
    """Take one away; False when there was none."""
    return bool(
        connection.execute(
            "DELETE FROM budget_limit WHERE scope = :scope AND name = :name AND per = :per RETURNING scope",
            {"scope": scope, "name": name, "per": per},
        ).fetchone()
    )
