"""Files of a folder, or one file.

Knows the file system and nothing of formats: the host finds out what a file is. A file that cannot be read is a
`Failure`; a folder that cannot be listed stops the run, because what it holds would otherwise count as deleted.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import FileIO
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, Field

from llmapp.connector import Change, Checkpoint, ConnectorError, Cursor, Document, Failure, SourceNotFoundError, Upsert
from llmapp_connectors.paths import is_wanted

_SETTINGS = "llmapp.toml"  # may hold the secrets of connectors
_SAFE_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Files(BaseModel, frozen=True):
    """Files below `path`, in the order of their names.

    Hidden files and folders are left out, and so is every ``llmapp.toml``, which may hold secrets. A link to a file is followed
    while its target stays below the root; a link to a folder is not, because a folder below the root is read in its own place.

    The revision is a hash of the content alone: a touched file is unchanged, and an edit that keeps size and time is seen.
    """

    snapshot: ClassVar[bool] = True

    path: Path
    """A folder or a file."""
    glob: str = "**/*"
    """Which files of a folder, relative to it; ``**`` stands for any number of folders."""
    max_bytes: int = Field(default=512 << 20, gt=0)
    """A larger file is a failure. Bytes; the host has a limit of its own, ``ingestion.max_bytes``."""
    relative_to: Path | None = None
    """Addresses of files below this folder are relative to it; None writes them as `path` is written."""

    def read(self, cursor: Cursor | None) -> Iterator[Change]:  # noqa: ARG002 - every run lists everything
        """Yield every file, then one checkpoint.

        Raises:
            SourceNotFoundError: `path` does not exist.
            ConnectorError: A folder cannot be listed.
        """
        root = self._root()
        if not root.is_dir():
            yield _change(root.parent, root.name, self.path.name, self._shown.as_posix(), self.max_bytes)
        else:
            folder = (self._shown / "x").as_posix()[:-1]
            for name in self._names(root):
                shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
                yield _change(root, name, shown, folder + shown, self.max_bytes)
        yield Checkpoint(None)

    def total(self) -> int:
        """Number of files that `read` mentions; costs a listing, and raises what that raises."""
        root = self._root()
        return len(self._names(root)) if root.is_dir() else 1

    def _root(self) -> Path:
        try:
            return self.path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise SourceNotFoundError(f"{self.path} does not exist", hint="check the path of the source") from error

    @property
    def _shown(self) -> Path:
        below = self.relative_to is not None and self.path.is_relative_to(self.relative_to)
        return self.path.relative_to(self.relative_to) if below and self.relative_to else self.path

    def _names(self, root: Path) -> list[str]:
        return sorted(name for name in _walk(root) if is_wanted(name, self.glob) and _may_be_file(os.path.join(root, name)))  # noqa: PTH118 - surrogates stay as they are


def _change(root: Path, name: str, document_id: str, uri: str, max_bytes: int) -> Change:
    try:
        target = _target(root, name)
        revision = _hash(target, max_bytes)
    except (OSError, RuntimeError, ValueError) as error:
        return Failure(document_id, getattr(error, "strerror", None) or str(error), uri=uri)
    content = partial(_read, target, uri, revision)
    return Upsert(Document(id=document_id, uri=uri, content=content, revision=f"blake2b:{revision}"))


def _walk(root: Path) -> Iterator[str]:
    """Posix names of all entries that are no folder, relative to `root`; hidden folders are left out."""
    for folder, folders, names in os.walk(root, onerror=_stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        above = (Path(folder).relative_to(root) / "x").as_posix()[:-1]
        yield from (above + name for name in names)


def _stop(error: OSError) -> None:
    raise ConnectorError(f"{error.filename} cannot be listed: {error.strerror}", hint="grant access or move it") from error


def _may_be_file(path: str) -> bool:
    """Whether it is a file or a link; pipes, sockets and devices are passed over."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return True  # it has just gone, or cannot be seen: reading it tells why
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _target(root: Path, name: str) -> str:
    path = os.path.join(root, name)  # noqa: PTH118 - a thousand files a second need no objects
    target = os.path.realpath(path, strict=True)
    if target != path and not Path(target).is_relative_to(root):
        raise ValueError("the link leads out of the folder")
    if target != path and not is_wanted(Path(target).relative_to(root).as_posix(), "**"):
        raise ValueError("the link leads to a hidden file")
    if os.path.basename(target).casefold() == _SETTINGS:  # noqa: PTH119
        raise ValueError("it holds settings, which are no document")
    return target


@contextmanager
def _opened(path: str) -> Iterator[FileIO]:
    # The path is resolved, so a link that has since taken its place is refused, and a pipe does not block.
    with FileIO(os.open(path, _SAFE_OPEN)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        yield file


def _hash(path: str, max_bytes: int) -> str:
    if (size_bytes := os.stat(path).st_size) > max_bytes:  # noqa: PTH116
        raise ValueError(f"{size_bytes:,} bytes, the limit is {max_bytes:,}")
    with _opened(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _read(path: str, uri: str, revision: str) -> bytes:
    with _opened(path) as file:
        content = file.readall()  # at once: blocks that are joined would take the memory twice
    if hashlib.blake2b(content, digest_size=16).hexdigest() != revision:
        raise ConnectorError(f"{uri} changed while it was read", hint="run again")
    return content
