"""A connector on trial: what it says when it is read, once for all the checks that look at it.

As the host does, it reads a document and its content right when they were mentioned. Knows nothing of pytest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from llmapp.connector import Change, Checkpoint, Connector, Cursor, Document, Listed, Upsert


@dataclass(frozen=True, slots=True)
class Seen:
    """A change, and what was read because of it."""

    change: Change
    document: Document | None = None
    """The document that it brings; None for a change without one, and where reading it failed."""
    content: object = None
    """What `content` gave; None where there is no `content`, and where reading it failed."""
    error: Exception | None = None
    """What reading the document or its content raised."""


@dataclass(slots=True)
class Reading:
    """A read of a source from its start, as far as it came."""

    seen: list[Seen] = field(default_factory=list)
    error: Exception | None = None
    """What ended it before its time; None when it came to its end, or to the limit."""
    is_cut_short: bool = False
    """Whether the source holds more than the limit let through."""


class Trial:
    """A connector, and the first read of its source, which is remembered."""

    def __init__(self, connector: Connector, *, limit: int | None = None) -> None:
        """Take the connector; nothing is read yet.

        Args:
            connector: The connector on trial.
            limit: Changes to read at most, checkpoints not counted; None reads the whole source.
        """
        self.connector = connector
        self.limit = limit

    @cached_property
    def reading(self) -> Reading:
        """The first read, with documents and contents."""
        reading = Reading()
        try:
            for change in self._read(None, reading):
                reading.seen.append(_look(change))
        except Exception as error:  # noqa: BLE001 - whatever it is, a check tells of it
            reading.error = error
        return reading

    @property
    def seen(self) -> list[Seen]:
        """The changes of the first read, with documents and contents.

        Raises:
            Exception: What the connector raised, the same each time; the source is not asked again.
        """
        if self.reading.error is not None:
            raise self.reading.error
        return self.reading.seen

    @property
    def changes(self) -> list[Change]:
        """The changes of the first read."""
        return [seen.change for seen in self.seen]

    @property
    def documents(self) -> list[Document]:
        """The documents of the first read, as far as they could be read."""
        return [seen.document for seen in self.seen if seen.document is not None]

    def outline(self, cursor: Cursor = None) -> list[Change]:
        """The changes of another read; neither `content` nor the `read` of what is listed is called."""
        return list(self._read(cursor, Reading()))

    def _read(self, cursor: Cursor, reading: Reading) -> Iterator[Change]:
        mentioned = 0
        for change in self.connector.read(cursor):
            mentioned += not isinstance(change, Checkpoint)
            if self.limit is not None and mentioned > self.limit:
                reading.is_cut_short = True
                return
            yield change


def _look(change: Change) -> Seen:
    document: Document | None = None
    try:
        if isinstance(change, Upsert | Listed):
            document = change.document if isinstance(change, Upsert) else change.read()
        content = document.content() if document is not None and document.content is not None else None
    except Exception as error:  # noqa: BLE001 - whatever it is, a check tells of it
        return Seen(change, document, error=error)
    return Seen(change, document, content)
