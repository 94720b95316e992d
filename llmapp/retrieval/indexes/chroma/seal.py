"""A seal on a folder of files that another library writes: it tells whether our last write to them was ended.

The seal lies beside the folder and holds the size of every file in it. It is removed before a write and made anew after it, so
a process that dies in between, a file cut short, or a folder copied in part leaves no valid seal. Contents are not
sealed: Chroma rewrites bytes of its database and of its segments each time it opens them (their sizes stay, tried from 1
to 7,300 vectors with 1.5.9), so a flipped bit goes unseen here.
"""

from __future__ import annotations

import json
from pathlib import Path

from llmapp.errors import IndexUnavailableError


class Seal:
    """The seal of one folder."""

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
            return None if sealed == _sizes(self._folder) else "does not hold the files that were last written"
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
            draft.write_text(json.dumps(_sizes(self._folder)), encoding="utf-8")
            draft.replace(self._file)
        except OSError as error:
            raise IndexUnavailableError(f"cannot seal {self._folder}: {error}", hint="check disk and permissions") from error


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file, by its path in the folder."""
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
