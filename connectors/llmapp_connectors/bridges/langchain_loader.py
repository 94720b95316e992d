"""A bridge to LangChain: what any of its document loaders loads.

A loader gives pieces: pages of a file, rows of a table. Pieces of one source, which come one after the other, become one
document, so that its id stays the same whatever the loader's order; only one document is held at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, JsonValue, SecretStr

from llmapp.connector import Change, Checkpoint, ConnectorError, Cursor, Document, Upsert
from llmapp_connectors.bridges.foreign import ImportPath, imported, keywords, plain, told

if TYPE_CHECKING:
    from langchain_core.documents import Document as Piece

_BY_TEXT = "text:"
"""Begins the id of a piece that has none: the hash of its text."""


class LangChainLoader(BaseModel, frozen=True):
    """What a LangChain document loader loads; every read loads everything, and what is gone is deleted."""

    snapshot: ClassVar[bool] = True

    loader: ImportPath
    """Class of the loader, ``package.module:Class``."""
    arguments: dict[str, JsonValue] = {}
    """What the class is called with."""
    secrets: dict[str, SecretStr] = {}
    """Arguments that are secret; given as text, and before an argument of that name."""
    id_keys: tuple[str, ...] = ()
    """Metadata that name a document, together; none takes the loader's own id, else `uri_key`, else a hash of the text."""
    uri_key: str = "source"
    """Metadata that say where a person finds it."""
    title_key: str = "title"
    """Metadata with the title."""
    metadata_keys: tuple[str, ...] | None = None
    """Metadata that are kept; None keeps all. Name them where others differ from run to run."""

    def read(self, cursor: Cursor | None) -> Iterator[Change]:  # noqa: ARG002 - a loader loads everything
        """Load all pieces and yield their documents, in the loader's order.

        Raises:
            ConnectorError: There is no such loader, it failed, or pieces of a document do not come one after the other.
        """
        seen: set[str] = set()
        with told(self.loader, self.secrets):
            for name, pieces in groupby(self._pieces(), key=self._name):
                if name not in seen:
                    yield Upsert(self._document(name, list(pieces)))
                elif not name.startswith(_BY_TEXT):
                    hint = "set id_keys to metadata that name each piece, e.g. source and page"
                    raise ConnectorError(f"{self.loader} comes back to {name} after another document", hint=hint)
                seen.add(name)
        yield Checkpoint(None)

    def _pieces(self) -> Iterator[Piece]:
        from langchain_core.document_loaders import BaseLoader

        loader = imported(self.loader)
        if not (isinstance(loader, type) and issubclass(loader, BaseLoader)):
            raise ConnectorError(f"{self.loader} is no document loader", hint="name a class that derives from BaseLoader")
        return loader(**keywords(self.arguments, self.secrets)).lazy_load()

    def _name(self, piece: Piece) -> str:
        keys = self.id_keys or (() if piece.id else (self.uri_key,))
        values = [plain(piece.metadata.get(key), self.secrets) for key in keys] or [plain(piece.id, self.secrets)]
        if all(value not in (None, "") for value in values):
            return "#".join(str(value) for value in values)
        return _BY_TEXT + hashlib.blake2b(piece.page_content.encode(errors="replace"), digest_size=16).hexdigest()

    def _document(self, name: str, pieces: Sequence[Piece]) -> Document:
        metadata = self._shared(pieces)
        texts = [str(plain(piece.page_content, self.secrets)) for piece in pieces]
        uri, title = metadata.get(self.uri_key), metadata.get(self.title_key)
        kept = metadata if self.metadata_keys is None else {key: metadata.get(key) for key in self.metadata_keys}
        return Document(
            id=name,
            uri=str(uri or name),
            text=texts[0] if name.startswith(_BY_TEXT) else "\n\n".join(texts),
            title=title if isinstance(title, str) and title else None,
            metadata=kept,
        )

    def _shared(self, pieces: Sequence[Piece]) -> dict[str, JsonValue]:
        """What the metadata of all pieces agree on; a page number is true of one piece only."""
        first, *others = ({str(key): plain(value, self.secrets) for key, value in one.metadata.items()} for one in pieces)
        return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
