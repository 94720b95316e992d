"""What the ledger tells: balances, spending by any view, every entry, and whether the books agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from llmapp.catalog.database import Connection, Row
from llmapp.costs.ledger import budgets
from llmapp.costs.limits import APPLICATION, LimitSet, limits_of
from llmapp.costs.records import Balance, Spend
from llmapp.costs.windows import Window
from llmapp.types import Usage

Part: TypeAlias = Literal["model", "user", "group", "tenant", "key", "source", "request", "kind", "day", "month"]
PARTS: tuple[Part, ...] = get_args(Part)

_COLUMNS: dict[str, str] = {"model": "model", "kind": "kind", "day": "day", "month": "substr(day, 1, 7)"}
_SUMS = """
count(*) AS calls, coalesce(sum(posted_nano_usd), 0) AS posted, coalesce(sum(overage_nano_usd), 0) AS overage,
count(CASE WHEN state = 'presumed' THEN 1 END) AS presumed, coalesce(sum(input_tokens), 0) AS input,
coalesce(sum(output_tokens), 0) AS output, coalesce(sum(cache_read_tokens), 0) AS cache_read,
coalesce(sum(cache_write_tokens), 0) AS cache_write
"""
_CHARGED = "state IN ('posted', 'presumed') AND day BETWEEN :since AND :until"

SPEND = f"SELECT day, model, kind, {_SUMS} FROM hold WHERE {_CHARGED} GROUP BY day, model, kind ORDER BY day, model, kind"  # noqa: S608
ENTRIES = "SELECT * FROM hold WHERE day BETWEEN :since AND :until ORDER BY created_at, id"


@dataclass(frozen=True, slots=True)
class Total:
    """What was charged to one name."""

    name: str
    """Of the user, the model, the day and so on; ``-`` where it is not known."""
    calls: int
    usage: Usage
    """Tokens that were reported; presumed calls have reported none."""
    posted_nano_usd: int
    presumed_calls: int
    """Calls charged at the hold because the truth is not known."""
    overage_nano_usd: int
    """Charged beyond what was held."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the books agree."""

    holds: int
    budgets: int
    wrong_holds: tuple[str, ...]
    """Ids of holds whose journal does not come to what they stand at."""
    wrong_budgets: tuple[str, ...]
    """Accounts and windows whose kept balance is not the sum of their holds."""

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong_holds and not self.wrong_budgets


def totals_sql(by: Part) -> str:
    """The statement that adds up what was charged by a column of the holds, or by an account."""
    if by in _COLUMNS:
        order = "name" if by in ("day", "month") else "posted DESC, calls DESC, name"
        return f"SELECT {_COLUMNS[by]} AS name, {_SUMS} FROM hold WHERE {_CHARGED} GROUP BY name ORDER BY {order}"  # noqa: S608
    return f"""
        SELECT coalesce(substr(account, {len(by) + 2}), '-') AS name, {_SUMS}
        FROM hold LEFT JOIN hold_account ON hold_account.hold_id = hold.id
            AND account >= :first AND account < :behind
        WHERE {_CHARGED} GROUP BY account ORDER BY posted DESC, calls DESC, name
    """  # noqa: S608


def accounts_in(scope: str) -> dict[str, str]:
    """Between which texts the accounts of a scope lie: ``user:`` and ``user;``, which is the next letter."""
    return {"first": f"{scope}:", "behind": f"{scope};"}


def total_of(row: Row) -> Total:
    """A row of `totals_sql`."""
    return Total(row["name"], row["calls"], _usage(row), row["posted"], row["presumed"], row["overage"])


def spend_of(row: Row) -> Spend:
    """A row of `SPEND`."""
    return Spend(
        row["day"], row["model"], row["kind"], row["calls"], _usage(row), row["posted"], row["presumed"], row["overage"]
    )


def balances(connection: Connection, sets: Sequence[LimitSet], now: float) -> list[Balance]:
    """How every account stands that has a limit and has spent something in its window; the application always, first."""
    found = []
    for account in _accounts(connection, sets, now):
        for limit in limits_of(account, sets):
            standing = budgets.standing(connection, account, limit.span.windows(now))
            if account == APPLICATION or standing.committed_nano_usd:
                window = limit.span.name(now)
                found.append(Balance(account, limit, window, standing.held_nano_usd, standing.posted_nano_usd))
    return found


def _accounts(connection: Connection, sets: Sequence[LimitSet], now: float) -> list[str]:
    """The application, then the accounts that a limit is for and that have spent in its window."""
    names: set[str] = set()
    for limit in (limit for each in sets for limit in each.limits):
        first = limit.span.windows(now)[0]
        rows = connection.execute(
            "SELECT DISTINCT account FROM hold_account WHERE account >= :first AND account < :behind AND created_at >= :since",
            {**accounts_in(limit.scope), "since": first.starts_at},
        ).fetchall()
        names.update(row["account"] for row in rows if limit.is_for(row["account"]))
    return [APPLICATION, *sorted(names)]


def verify(connection: Connection) -> Verdict:
    """Replay the journal and add up the holds."""
    wrong_holds = connection.execute(_WRONG_HOLDS).fetchall()
    wrong_budgets = connection.execute(_WRONG_BUDGETS).fetchall()
    count = connection.execute(
        "SELECT (SELECT count(*) FROM hold) AS holds, (SELECT count(*) FROM budget) AS budgets"
    ).fetchone()
    return Verdict(
        count["holds"],
        count["budgets"],
        tuple(row["id"] for row in wrong_holds),
        tuple(f"{row['account']} {Window(row['starts_at'], row['ends_at'])}" for row in wrong_budgets),
    )


_WRONG_HOLDS = """
SELECT hold.id AS id FROM hold LEFT JOIN journal ON journal.hold_id = hold.id
GROUP BY hold.id, hold.state, hold.held_nano_usd, hold.posted_nano_usd
HAVING coalesce(sum(journal.held_nano_usd), 0) <> CASE WHEN hold.state IN ('held', 'sent') THEN hold.held_nano_usd ELSE 0 END
    OR coalesce(sum(journal.posted_nano_usd), 0) <> coalesce(hold.posted_nano_usd, 0)
ORDER BY hold.id
"""


_WRONG_BUDGETS = """
SELECT account, starts_at, ends_at FROM budget
WHERE held_nano_usd <> (
    SELECT coalesce(sum(journal.held_nano_usd), 0)
    FROM hold_account JOIN journal ON journal.hold_id = hold_account.hold_id
    WHERE hold_account.account = budget.account AND created_at >= starts_at AND created_at < ends_at
) OR posted_nano_usd <> (
    SELECT coalesce(sum(journal.posted_nano_usd), 0)
    FROM hold_account JOIN journal ON journal.hold_id = hold_account.hold_id
    WHERE hold_account.account = budget.account AND created_at >= starts_at AND created_at < ends_at
)
ORDER BY account, ends_at, starts_at
"""


def _usage(row: Row) -> Usage:
    return Usage(row["input"], row["output"], row["cache_read"], row["cache_write"])
