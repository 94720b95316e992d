"""Rows of a database as documents, of every database that SQLAlchemy speaks to.

Knows rows and not what they mean. A read is one SELECT, and so sees the database at one instant; rows are streamed, and only
their ids are kept. It runs in a transaction that may only read, see `llmapp_connectors.sql.session`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, model_validator

from llmapp.connector import Change, Checkpoint, ConnectorError, Cursor, Delete, Document, Failure, Upsert
from llmapp.errors import ConfigError
from llmapp_connectors.sql.session import rows, told
from llmapp_connectors.sql.statement import ordered, query, table
from llmapp_connectors.sql.values import as_cursor, as_grants, as_json, as_text, from_cursor, is_set

if TYPE_CHECKING:
    from sqlalchemy import RowMapping, Select

Columns = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
"""Names of columns; one may stand alone."""
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_NO_ID = "(no id)"


class Sql(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """Rows of a table or a query.

    Without a `cursor_column` every read brings every row, and what is gone is deleted. With one, a read goes on where the last
    ended: it costs less and sees of removals only what `deleted_column` marks.
    """

    url: SecretStr
    """SQLAlchemy URL with a synchronous driver, e.g. ``postgresql+psycopg://reader:…@host/shop``."""
    table: str | None = None
    """Table or view; ``schema.table`` outside the default schema."""
    query: str | None = None
    """One SELECT instead of a table; it is used as a subquery."""
    id_columns: Columns = Field(min_length=1)
    """Columns that name a row, unique and stable."""
    text_columns: Columns = ()
    """Columns of the text; several are written as lines ``column: value``, without those that are NULL or empty."""
    text: str | None = None
    """Template of the text instead, e.g. ``{subject} – {body}``."""
    title_column: str | None = None
    """Column of the title; None leaves it to the host."""
    uri: str | None = None
    """Template of the address, e.g. ``https://shop.example/orders/{id}``; None writes table and id."""
    metadata_columns: Columns = ()
    """Columns that become facts of the document."""
    acl_column: str | None = None
    """Grants: an array, a JSON list, or text with commas; NULL is nobody. None takes the setting of the source."""
    deleted_column: str | None = None
    """Marks a row as deleted: by true, a number but 0, a time stamp, a text but ``f``, ``false``, ``n``, ``no`` and ``0``."""
    cursor_column: str | None = None
    """A time stamp or a number that grows with every change of a row. Rows where it is NULL are read every time."""
    checkpoint_rows: int = Field(default=1000, gt=0)
    """Rows after which a run that was cut short goes on, with a `cursor_column`. Count."""

    @property
    def snapshot(self) -> bool:
        """Whether every read brings every row."""
        return self.cursor_column is None

    @model_validator(mode="after")
    def _one_of_each(self) -> Sql:
        for first, second in (("table", "query"), ("text_columns", "text")):
            if bool(getattr(self, first)) == bool(getattr(self, second)):
                raise ConfigError(f"set exactly one of {first} and {second}", hint="correct the source in llmapp.toml")
        return self

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        """Yield the rows by their id; with a `cursor_column` by that, from the cursor on, those that stand at it once more.

        Raises:
            ConnectorError: The database refuses the query, or an id comes twice.
            ConnectorAuthError: It refuses the user.
            CursorRejectedError: The cursor was not made here.
            SourceNotFoundError: There is no such database, table or column.
            SourceUnavailableError: It does not answer.
            MissingDependencyError: SQLAlchemy is not installed.
        """
        last = None if self.snapshot else cursor
        seen: set[str] = set()
        with told(self.url):
            for number, row in enumerate(rows(self.url, self._select(from_cursor(last))), start=1):
                change = self._change(row)
                name = change.document.id if isinstance(change, Upsert) else change.id
                if name in seen and name != _NO_ID:
                    raise ConnectorError(
                        f"two rows have the id {name!r}", hint="id_columns must name every column of the key"
                    )
                if name not in seen:
                    yield change
                seen.add(name)
                if self.cursor_column:
                    last = as_cursor(row[self.cursor_column], last)
                    if number % self.checkpoint_rows == 0:
                        yield Checkpoint(last)
        yield Checkpoint(last)

    def _select(self, since: object) -> Select[Any]:
        several = (*self.id_columns, *self.text_columns, *self.metadata_columns)
        single = (self.title_column, self.acl_column, self.deleted_column, self.cursor_column)
        names = {*several, *(name for name in single if name), *_PLACEHOLDER.findall(f"{self.text or ''}{self.uri or ''}")}
        source = query(self.query, names) if self.query else table(self.table or "", names)
        return ordered(source, self.id_columns, self.cursor_column, since)

    def _change(self, row: RowMapping) -> Upsert | Delete | Failure:
        parts = [as_text(row[name]) for name in self.id_columns]
        if not all(parts):
            return Failure(_NO_ID, f"a row or more with nothing in {', '.join(self.id_columns)}", uri=self.table or "")
        name = parts[0] if len(parts) == 1 else "/".join(quote(part, safe="") for part in parts)
        if self.deleted_column and is_set(row[self.deleted_column]):
            return Delete(name)
        return Upsert(
            Document(
                id=name,
                uri=_fill(self.uri, row) if self.uri else f"{self.table or 'row'}/{name}",
                text=_fill(self.text, row) if self.text else self._lines(row),
                title=as_text(row[self.title_column]) or None if self.title_column else None,
                metadata={column: as_json(row[column]) for column in self.metadata_columns},
                acl=as_grants(row[self.acl_column]) if self.acl_column else None,
            )
        )

    def _lines(self, row: RowMapping) -> str:
        texts = {name: as_text(row[name]) for name in self.text_columns}
        return "\n".join(f"{name}: {text}" if len(texts) > 1 else text for name, text in texts.items() if text)


def _fill(template: str, row: RowMapping) -> str:
    return _PLACEHOLDER.sub(lambda found: as_text(row[found[1]]), template)
