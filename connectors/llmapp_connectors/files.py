"""Files of a folder, or one file.

Knows the file system and nothing of formats: the host finds out what a file is. A file that cannot be read is a
`Failure`; a folder that cannot be listed stops the run, because what it holds would otherwise count as deleted.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import ClassVar

from pydantic import BaseModel, Field

from llmapp.connector import Change, Checkpoint, ConnectorError, Cursor, Document, Failure, SourceNotFoundError, Upsert

_BLOCK_BYTES = 1 << 20
_SETTINGS = "llmapp.toml"  # may hold the secrets of connectors
_SAFE_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Files(BaseModel, frozen=True):
    """Files below `path`, in the order of their names.

    Hidden files and folders are left out, and so is every ``llmapp.toml``, which may hold secrets. A link to a file is followed while its target stays below the root; a link to
    a folder is not, because a folder below the root is read in its own place.

    The revision is a hash of the content and of nothing else: a file that was only touched is unchanged, and an edit
    that keeps size and time is seen. An unchanged file costs one stat and one hash.
    """

    snapshot: ClassVar[bool] = True

    path: Path
    """A folder or a file."""
    glob: str = "**/*"
    """Which files of a folder, relative to it; ``**`` stands for any number of folders."""
    max_bytes: int = Field(default=100_000_000, gt=0)
    """A larger file is a failure. Bytes."""
    relative_to: Path | None = None
    """Addresses of files below this folder are relative to it; None writes them as `path` is written."""

    def read(self, cursor: Cursor | None) -> Iterator[Change]:  # noqa: ARG002 - every run lists everything
        """Yield every file, then one checkpoint.

        Raises:
            SourceNotFoundError: `path` does not exist.
            ConnectorError: A folder cannot be listed.
        """
        try:
            root = self.path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise SourceNotFoundError(f"{self.path} does not exist", hint="check the path of the source") from error
        if not root.is_dir():
            yield _change(root.parent, root.name, self.path.name, self._shown, self.max_bytes)
        else:
            for name in self._names(root):
                shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
                yield _change(root, name, shown, self._shown / shown, self.max_bytes)
        yield Checkpoint(None)

    @property
    def _shown(self) -> Path:
        below = self.relative_to is not None and self.path.is_relative_to(self.relative_to)
        return self.path.relative_to(self.relative_to) if below and self.relative_to else self.path

    def _names(self, root: Path) -> list[str]:
        pattern = PurePosixPath(self.glob).parts
        return sorted(name for name in _walk(root) if _matches(PurePosixPath(name).parts, pattern))


def _change(root: Path, name: str, document_id: str, shown: Path, max_bytes: int) -> Change:
    uri = shown.as_posix()
    try:
        target = _target(root, name)
        revision = _hash(target, max_bytes)
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        return Failure(document_id, reason or str(error), uri=uri)
    return Upsert(
        Document(id=document_id, uri=uri, content=lambda: _read(target, uri, revision), revision=f"blake2b:{revision}")
    )


def _walk(root: Path) -> Iterator[str]:
    """Posix names of all visible entries that are no folder, relative to `root`."""
    for folder, folders, names in os.walk(root, onerror=_stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name.casefold() != _SETTINGS and _may_be_file(os.path.join(folder, name)):  # noqa: PTH118 - surrogates stay as they are
                yield Path(folder, name).relative_to(root).as_posix()


def _stop(error: OSError) -> None:
    raise ConnectorError(
        f"{error.filename} cannot be listed: {error.strerror}", hint="grant access, or move it away"
    ) from error


def _may_be_file(path: str) -> bool:
    """Whether it is a file or a link; pipes, sockets and devices are passed over."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return True  # it has just gone, or cannot be seen: reading it tells why
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or (bool(parts) and _matches(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _target(root: Path, name: str) -> Path:
    target = (root / name).resolve(strict=True)
    if not target.is_relative_to(root):
        raise ValueError("the link leads out of the folder")
    if target != root / name and any(part.startswith(".") for part in target.relative_to(root).parts):
        raise ValueError("the link leads to a hidden file")
    if target.name.casefold() == _SETTINGS:
        raise ValueError("it holds settings, which are no document")
    return target


def _blocks(path: Path) -> Iterator[bytes]:
    # The path is resolved, so a link that has since taken its place is refused, and a pipe does not block.
    with os.fdopen(os.open(path, _SAFE_OPEN), "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        while block := file.read(_BLOCK_BYTES):
            yield block


def _hash(path: Path, max_bytes: int) -> str:
    size_bytes = path.stat().st_size
    if size_bytes > max_bytes:
        raise ValueError(f"{size_bytes:,} bytes, the limit is {max_bytes:,}")
    digest = hashlib.blake2b(digest_size=16)
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _read(path: Path, uri: str, revision: str) -> bytes:
    content = b"".join(_blocks(path))
    if hashlib.blake2b(content, digest_size=16).hexdigest() != revision:
        raise ConnectorError(f"{uri} changed while it was read", hint="run again")
    return content
