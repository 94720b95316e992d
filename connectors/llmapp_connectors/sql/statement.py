"""The one SELECT that a read is. Names are quoted by SQLAlchemy and values are bound: nothing is formatted in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import FromClause, Select


def table(name: str, columns: Collection[str]) -> FromClause:
    """A table or view by its name, ``schema.table`` where it has a schema."""
    import sqlalchemy

    schema, _, plain = name.rpartition(".")
    return sqlalchemy.table(plain, *map(sqlalchemy.column, sorted(columns)), schema=schema or None)


def query(text: str, columns: Collection[str]) -> FromClause:
    """A SELECT as a subquery; a colon in it is a colon, no parameter."""
    import sqlalchemy

    literal = sqlalchemy.text(text.strip().rstrip(";").replace(":", r"\:"))
    return literal.columns(*map(sqlalchemy.column, sorted(columns))).subquery("documents")


def ordered(source: FromClause, ids: Sequence[str], by: str | None, since: object) -> Select[Any]:
    """All rows by their id; with `by` those by that first, and only where it is at least `since`, or NULL.

    Where the database puts NULLs does not matter: they neither move a cursor nor wait for it.
    """
    import sqlalchemy

    found = source.c
    select = sqlalchemy.select(*found)
    if by and since is not None:
        select = select.where((found[by] >= since) | found[by].is_(None))
    return select.order_by(*(found[name] for name in (by, *ids) if name))
