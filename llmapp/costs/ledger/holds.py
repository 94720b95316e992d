"""Rows of holds, and the journal of their changes. Everything else in the ledger can be made anew from these two."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llmapp.catalog.database import Connection, Row
from llmapp.costs.records import Charge, Hold, Once, State
from llmapp.costs.windows import day_of
from llmapp.types import Usage

OPEN: tuple[State, ...] = ("held", "sent")


def insert(
    connection: Connection,
    hold: Hold,
    *,
    price: Mapping[str, object],
    accounts: Sequence[str],
    now: float,
    until: float,
    once: Once | None = None,
) -> None:
    """Write a new hold, open until `until`, and whose it is."""
    connection.execute(
        "INSERT INTO hold (id, kind, model, state, held_nano_usd, price, day, created_at, expires_at, accounts,"
        " idempotency_key, fingerprint) VALUES (:id, :kind, :model, 'held', :amount, :price, :day, :now, :until, :accounts,"
        " :key, :fingerprint)",
        {
            "id": hold.id,
            "kind": hold.kind,
            "model": hold.model,
            "amount": hold.held_nano_usd,
            "price": json.dumps(price, sort_keys=True),
            "day": day_of(now),
            "now": now,
            "until": until,
            "accounts": json.dumps(accounts, ensure_ascii=False),
            "key": once and once.key,
            "fingerprint": once and once.fingerprint,
        },
    )
    connection.executemany(
        "INSERT INTO hold_account (account, created_at, hold_id) VALUES (:account, :now, :hold)",
        [{"account": account, "now": now, "hold": hold.id} for account in accounts],
    )


def find(connection: Connection, hold_id: str) -> Row | None:
    """The row of a hold; None when there is none."""
    row: Row | None = connection.execute("SELECT * FROM hold WHERE id = :id", {"id": hold_id}).fetchone()
    return row


def find_once(connection: Connection, key: str) -> Row | None:
    """The row of the hold that was reserved with that key; None when there is none."""
    row: Row | None = connection.execute("SELECT * FROM hold WHERE idempotency_key = :key", {"key": key}).fetchone()
    return row


def expired(connection: Connection, now: float) -> list[Any]:
    """Rows of the open holds whose lease has run out."""
    # Not ordered: SQLite would walk all holds by their ids instead of the few that are open.
    return connection.execute(
        "SELECT * FROM hold WHERE state IN ('held', 'sent') AND expires_at <= :now", {"now": now}
    ).fetchall()


def mark_sent(connection: Connection, hold_id: str, *, until: float) -> bool:
    """Note that the request leaves now, and lengthen the lease; False when the hold is not open any more."""
    return bool(
        connection.execute(
            "UPDATE hold SET state = 'sent', expires_at = :until WHERE id = :id AND state IN ('held', 'sent') RETURNING id",
            {"id": hold_id, "until": until},
        ).fetchone()
    )


def finish(connection: Connection, row: Row, state: State, *, posted: int | None, usage: Usage | None, now: float) -> Charge:
    """Write how a hold has ended."""
    overage = max(0, (posted or 0) - row["held_nano_usd"])
    connection.execute(
        "UPDATE hold SET state = :state, posted_nano_usd = :posted, ended_at = :now, overage_nano_usd = :overage,"
        " input_tokens = :input, output_tokens = :output, cache_read_tokens = :cache_read, cache_write_tokens = :cache_write"
        " WHERE id = :id",
        {
            "id": row["id"],
            "state": state,
            "posted": posted,
            "now": now,
            "overage": overage,
            "input": usage and usage.input_tokens,
            "output": usage and usage.output_tokens,
            "cache_read": usage and usage.cache_read_tokens,
            "cache_write": usage and usage.cache_write_tokens,
        },
    )
    return Charge(row["id"], state, posted, overage)


def note(connection: Connection, hold_id: str, event: str, *, held: int, posted: int, now: float) -> None:
    """Write a line of the journal: by how much the hold, and with it all its budgets, has changed."""
    connection.execute(
        "INSERT INTO journal (at, hold_id, event, held_nano_usd, posted_nano_usd)"
        " VALUES (:at, :hold, :event, :held, :posted)",
        {"at": now, "hold": hold_id, "event": event, "held": held, "posted": posted},
    )


def charge_of(row: Row) -> Charge:
    """How a hold stands."""
    return Charge(row["id"], row["state"], row["posted_nano_usd"], row["overage_nano_usd"])


def accounts_of(row: Row) -> list[str]:
    """The accounts that a hold counts in, sorted."""
    accounts: list[str] = json.loads(row["accounts"])
    return accounts
