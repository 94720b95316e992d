"""A seal on a folder of files that another library writes: it tells whether they are as our last write left them.

The seal lies beside the folder and holds the sizes of all files and the digests of most. It is removed before a write and
made anew after it, so a process that dies in between, a file cut short, or a folder copied in part leaves no valid seal.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TypeAlias

from llmapp.errors import IndexUnavailableError

_Inventory: TypeAlias = dict[str, list[int | str]]

_REWRITTEN_WHEN_OPENED = ".sqlite3"
"""Chroma writes a few bytes into its database each time it is opened; only the size is sealed."""


class Seal:
    """The seal of one folder. Reads every file: some 0.4 s for 100,000 vectors of 384 dimensions."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it may be missing."""
        self._folder = folder
        self._file = folder.with_name(folder.name + ".seal")

    def broken(self) -> str | None:
        """Why the files cannot be trusted, as the end of a sentence; None when they are as they were sealed."""
        if not self._folder.is_dir():
            return "is missing"
        try:
            sealed = json.loads(self._file.read_bytes())
            return None if sealed == _inventory(self._folder) else "does not hold the files that were last written"
        except FileNotFoundError:
            return "was not written to the end"
        except (OSError, ValueError) as error:
            return f"cannot be checked: {error}"

    def break_(self) -> None:
        """Remove the seal; a write follows.

        Raises:
            IndexUnavailableError: It cannot be removed.
        """
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            raise IndexUnavailableError(f"cannot remove {self._file}: {error}", hint="check its permissions") from error

    def make(self) -> None:
        """Seal the folder as it is; in one step, so that there is no half seal.

        Raises:
            IndexUnavailableError: The files cannot be read, or the seal cannot be written.
        """
        draft = self._file.with_name(self._file.name + ".new")
        try:
            draft.write_text(json.dumps(_inventory(self._folder)), encoding="utf-8")
            draft.replace(self._file)
        except OSError as error:
            raise IndexUnavailableError(f"cannot seal {self._folder}: {error}", hint="check disk and permissions") from error


def _inventory(folder: Path) -> _Inventory:
    """Relative path to size in bytes and digest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): [path.stat().st_size, _digest(path)] for path in files}


def _digest(path: Path) -> str:
    if path.suffix == _REWRITTEN_WHEN_OPENED:
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
