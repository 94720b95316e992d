"""The items of the `rest` connector: what each says of its document.

An item that does not fit the settings is a failure of its own; the rest can be read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from urllib.parse import quote

from pydantic import JsonValue

from llmapp.connector import Change, ConnectorError, Delete, Failure, Listed, Upsert
from llmapp.types import Document
from llmapp_connectors.rest.api import Api
from llmapp_connectors.rest.expressions import is_true, search, seconds, text, texts
from llmapp_connectors.rest.paging import pages
from llmapp_connectors.rest.settings import Detail, Item
from llmapp_connectors.rest.templates import filled

_VERBATIM = frozenset({"text/plain", "text/markdown"})
"""Media types that are text already; any other is left to a parser."""


class Items:
    """Turns items into changes."""

    def __init__(self, item: Item, detail: Detail | None, api: Api) -> None:
        """Take the settings.

        Args:
            item: Where a document stands in an item.
            detail: What is asked besides for each new or changed item.
            api: Where it is asked.
        """
        self._item = item
        self._detail = detail
        self._api = api
        self._shape = item.model_dump_json() + (detail.model_dump_json() if detail else "")

    def change(self, raw: JsonValue) -> tuple[Change | None, float | None]:
        """What an item says, and its time stamp in seconds since 1970; None for what it does not have."""
        document_id = ""
        try:
            if not isinstance(raw, dict):
                raise ConnectorError("an item that is no object")  # noqa: TRY301 - a failure like all others
            if self._item.skip and is_true(search(self._item.skip, raw)):
                return None, None
            document_id = text(self._item.id, raw)
            time_s = seconds(self._item.time, raw) if self._item.time else None
            if self._item.deleted and is_true(search(self._item.deleted, raw)):
                return Delete(document_id), time_s
            return self._mentioned(document_id, {**raw, "detail": []} if self._detail else raw), time_s
        except ConnectorError as error:
            return Failure(document_id or f"item without id {_hash(raw)}", error.message), None

    def _mentioned(self, document_id: str, item: Mapping[str, JsonValue]) -> Change:
        revision = self._revision(item)
        if self._detail is None or revision is None:
            return Upsert(self._document(document_id, item, revision))
        return Listed(
            document_id, revision, lambda: self._document(document_id, self._with_detail(document_id, item), revision)
        )

    def _revision(self, item: Mapping[str, JsonValue]) -> str | None:
        """Covers the settings too, under which the same item is another document, and who may read it, which is urgent."""
        at = self._item.revision or self._item.time
        found = search(at, dict(item)) if at else None
        acl = search(self._item.acl, dict(item)) if self._item.acl else None
        return None if found is None else _hash([self._shape, found, acl])

    def _with_detail(self, document_id: str, item: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        detail = self._detail
        if detail is None or (detail.when and not is_true(search(detail.when, dict(item)))):
            return dict(item)
        path = filled(detail.path, {"id": quote(document_id, safe="")})
        params = {
            name: filled(value, {"id": document_id}) if isinstance(value, str) else value
            for name, value in detail.params.items()
        }
        return {**item, "detail": [part for page in pages(self._api, detail, path, params) for part in page]}

    def _document(self, document_id: str, item: Mapping[str, JsonValue], revision: str | None) -> Document:
        shape, found = self._item, dict(item)
        parts = texts(shape.text, found)
        if not parts:
            raise ConnectorError("no text in it", hint="check `item.text` of the source")
        written = "\n\n".join(part for part in parts if part)
        is_verbatim = shape.media_type in _VERBATIM
        metadata = {name: search(expression, found) for name, expression in shape.metadata.items()}
        return Document(
            id=document_id,
            uri=text(shape.uri, found),
            text=written if is_verbatim else None,
            content=None if is_verbatim else written.encode,
            media_type=shape.media_type,
            title=next(iter(texts(shape.title, found)), None) if shape.title else None,
            revision=revision,
            metadata={name: value for name, value in metadata.items() if value is not None},
            acl=tuple(texts(shape.acl, found)) if shape.acl else None,
        )


def _hash(value: JsonValue) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()
