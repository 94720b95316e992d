"""Text files of a folder, as documents."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from llmapp.connector import Change, Checkpoint, Cursor, Document, Upsert
from llmapp.connector import SourceNotFoundError as NotFound
from pydantic import BaseModel


class __CLASS__(BaseModel, frozen=True):
    """Text files of the folder `path`, in the order of their names."""

    snapshot: ClassVar[bool] = True  # mentions all that exist: what is gone is deleted
    path: Path

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        if not self.path.is_dir():  # to yield nothing would say that it is empty
            raise NotFound(f"{self.path} is not there", hint="check the path")
        for path in sorted(self.path.glob("*.txt")):
            uri = path.as_posix()
            yield Upsert(Document(id=path.name, uri=uri, content=path.read_bytes))
        yield Checkpoint(None)
