"""A bridge to dlt: the rows of any of its resources, outside a pipeline.

dlt keeps what an incremental resource remembers in a state, which it takes from its surroundings. Here that state is the
cursor: given to the resource before it runs, stored by the host when it has run to its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, JsonValue, SecretStr

from llmapp.connector import Change, Checkpoint, ConnectorError, Cursor, Delete, Document, Failure, Upsert
from llmapp.errors import CursorRejectedError, MissingDependencyError
from llmapp_connectors.bridges.foreign import ImportPath, imported, keywords, plain, told

if TYPE_CHECKING:
    from dlt.common.pipeline import TPipelineState
    from dlt.extract import DltResource


class DltRows(BaseModel, frozen=True):
    """Rows of a dlt resource, as documents.

    Without `incremental` every read brings every row, and what is gone is deleted. With it, a read brings what the
    resource has not brought yet, and of removals only those that `deleted_key` marks.
    """

    resource: ImportPath
    """A dlt resource, a function that makes one, or a source: ``package.module:name``."""
    select: str | None = None
    """Name of the resource, where a source has several."""
    arguments: dict[str, JsonValue] = {}
    """What the function is called with."""
    secrets: dict[str, SecretStr] = {}
    """Arguments that are secret; given as text, and before an argument of that name."""
    incremental: bool = False
    """Whether what the resource remembers is kept from one read to the next."""
    id_key: str = "id"
    """Key of the row's id, unique and stable."""
    text_keys: tuple[str, ...]
    """Keys of the text; several become paragraphs."""
    title_key: str | None = None
    """Key of the title; None leaves it to the host."""
    uri_key: str | None = None
    """Key of the address; None writes resource and id."""
    metadata_keys: tuple[str, ...] = ()
    """Keys that become facts of the document."""
    updated_key: str | None = None
    """Key of a time or version that changes with the row; None compares the text."""
    deleted_key: str | None = None
    """Key that marks a row as deleted, by true, a number but 0, or any text."""

    @property
    def snapshot(self) -> bool:
        """Whether every read brings every row."""
        return not self.incremental

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        """Yield the rows in the order of the resource, then a checkpoint: only at its end is what it remembers true of all.

        Raises:
            MissingDependencyError: dlt is not installed.
            CursorRejectedError: The cursor was not made here.
            ConnectorError: There is no such resource, it failed, or yields what is no row.
        """
        try:
            from dlt.common.json import json as dlt_json
        except ModuleNotFoundError as error:
            raise MissingDependencyError("dlt", extra="dlt") from error

        state = _state(cursor if self.incremental else None)
        with told(self.resource, self.secrets):
            for number, row in enumerate(self._rows(state), start=1):
                yield self._change(row, number)
            yield Checkpoint(json.loads(dlt_json.typed_dumps(state)) if self.incremental else None)

    def _rows(self, state: TPipelineState) -> Iterator[Mapping[str, Any]]:
        from dlt.common.configuration.container import Container
        from dlt.common.pipeline import StateInjectableContext

        with Container().injectable_context(StateInjectableContext(state=state)):
            items = iter(self._resource())
        for item in items:
            for row in item.to_pylist() if hasattr(item, "to_pylist") else [item]:
                if not isinstance(row, Mapping):
                    raise ConnectorError(f"{self.resource} yields {type(row).__name__}", hint="a resource yields rows")
                yield row

    def _resource(self) -> DltResource:
        from dlt.extract import DltResource, DltSource

        found: Any = imported(self.resource)
        if not isinstance(found, DltSource) and not getattr(found, "args_bound", False):
            found = found(**keywords(self.arguments, self.secrets))
        if isinstance(found, DltSource):
            names = [self.select] if self.select else list(found.selected_resources)
            if len(names) != 1 or names[0] not in found.resources:
                hint = f"set select to one of {', '.join(found.resources)}"
                raise ConnectorError(f"{self.resource} is a source of several resources", hint=hint)
            found = found.resources[names[0]]
        if not isinstance(found, DltResource):
            raise ConnectorError(f"{self.resource} is no dlt resource", hint="decorate the function with @dlt.resource")
        return found

    def _change(self, row: Mapping[str, Any], number: int) -> Upsert | Delete | Failure:
        values = {str(key): plain(value, self.secrets) for key, value in row.items()}
        name = _text(values.get(self.id_key))
        if not name:
            return Failure(f"row {number}", f"it has no {self.id_key}", uri=self.resource)
        if self.deleted_key and values.get(self.deleted_key):
            return Delete(name)
        return Upsert(
            Document(
                id=name,
                uri=_text(values.get(self.uri_key or "")) or f"{self.resource}#{name}",
                text="\n\n".join(text for key in self.text_keys if (text := _text(values.get(key)))),
                title=_text(values.get(self.title_key or "")) or None,
                revision=_text(values.get(self.updated_key or "")) or None,
                metadata={key: values.get(key) for key in self.metadata_keys},
            )
        )


def _state(cursor: Cursor) -> TPipelineState:
    from dlt.common.json import json as dlt_json

    try:
        state = dlt_json.typed_loads(json.dumps(cursor or {}))
    except (TypeError, ValueError):
        state = None
    if not isinstance(state, dict):
        raise CursorRejectedError("the cursor is no state of dlt", hint="the source is read from the start")
    return cast("TPipelineState", state)


def _text(value: JsonValue) -> str:
    """A text as it is, nothing as an empty one, and anything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
