"""Rows of budgets: what the holds of an account that were reserved within a window come to, held and posted.

A row is made when a limit first asks for it, from the holds that there are; from then on every change of a hold is added
to all rows that it falls into, whether a limit still asks for them or not. So a limit that is set later, or again, counts
all that was spent in its window, and what has no limit costs nothing to keep.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llmapp.catalog.database import Connection
from llmapp.costs.windows import Window

_MAKE = """
INSERT INTO budget (account, starts_at, ends_at, held_nano_usd, posted_nano_usd)
SELECT CAST(:account AS TEXT), CAST(:starts AS INTEGER), CAST(:ends AS INTEGER),
       coalesce(sum(CASE WHEN state IN ('held', 'sent') THEN held_nano_usd ELSE 0 END), 0), coalesce(sum(posted_nano_usd), 0)
FROM hold_account JOIN hold ON hold.id = hold_account.hold_id
WHERE account = :account AND hold_account.created_at >= :starts AND hold_account.created_at < :ends
ON CONFLICT DO NOTHING
"""
_ONE = """
SELECT count(*) AS made, coalesce(sum(held_nano_usd), 0) AS held, coalesce(sum(posted_nano_usd), 0) AS posted
FROM budget WHERE account = :account AND ends_at = :ends AND starts_at = :starts
"""
# Buckets ahead of the present one are there when the clock was set back; they count as well.
_BUCKETS = """
SELECT count(CASE WHEN ends_at <= :ends THEN 1 END) AS made,
       coalesce(sum(held_nano_usd), 0) AS held, coalesce(sum(posted_nano_usd), 0) AS posted
FROM budget
WHERE account = :account AND ends_at > :starts AND starts_at >= :starts AND ends_at - starts_at = :length AND starts_at % :length = 0
"""
_ADD = """
UPDATE budget SET held_nano_usd = held_nano_usd + :held, posted_nano_usd = posted_nano_usd + :posted
WHERE account = :account AND ends_at > :at AND starts_at <= :at
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account has spent and reserved in a window."""

    held_nano_usd: int
    posted_nano_usd: int

    @property
    def committed_nano_usd(self) -> int:
        """What a limit is compared with."""
        return self.held_nano_usd + self.posted_nano_usd


def standing(connection: Connection, account: str, windows: Sequence[Window]) -> Standing:
    """What an account has spent and reserved in a window that may be cut into buckets; rows that lack are made."""
    found, standing = _read(connection, account, windows)
    if found < len(windows):
        for window in windows:
            connection.execute(_MAKE, {"account": account, "starts": window.starts_at, "ends": window.ends_at})
        _, standing = _read(connection, account, windows)
    return standing


def add(connection: Connection, accounts: Iterable[str], *, held: int, posted: int, at: float) -> None:
    """Add a change of a hold that was reserved `at` to all rows that it falls into. Accounts are sorted, as everywhere."""
    connection.executemany(_ADD, [{"account": account, "held": held, "posted": posted, "at": at} for account in accounts])


def _read(connection: Connection, account: str, windows: Sequence[Window]) -> tuple[int, Standing]:
    first, last = windows[0], windows[-1]
    params = {"account": account, "starts": first.starts_at, "ends": last.ends_at}
    if len(windows) == 1:
        row = connection.execute(_ONE, params).fetchone()
    else:
        row = connection.execute(_BUCKETS, {**params, "length": last.length_s}).fetchone()
    return row["made"], Standing(row["held"], row["posted"])
