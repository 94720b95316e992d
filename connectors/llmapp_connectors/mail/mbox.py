"""Mail in a file or a folder: an mbox, or a Maildir with its subfolders.

Knows where the mails of both lie; what a mail is made of is in `llmapp_connectors.mail.messages`. Nothing is locked or written,
and a mailbox that cannot be listed stops the run, because what it holds would otherwise count as deleted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, ClassVar
from urllib.parse import quote

from pydantic import BaseModel, Field

from llmapp.connector import Change, Checkpoint, ConnectorError, Cursor, Failure, SourceNotFoundError
from llmapp_connectors.mail.messages import changes, fingerprint, message_id

_LINE_BYTES = 1 << 20
_MAX_ID_CHARS = 200
_SEPARATOR = re.compile(rb"From .*\d{4}\s*$")  # ends in a year, or in a time zone of as many digits
_QUOTED = re.compile(rb">+From ")
_FLAGS = re.compile(r"[:;!]2,[^,]*$")
_EMPTY_LINES = frozenset({b"\n", b"\r\n"})


class Mbox(BaseModel, frozen=True):
    """Mails and what is attached to them.

    A mail of an mbox is named by its Message-ID, or by a hash where it has none; one that is there twice is read once. A
    mail of a Maildir is named by its folder and file, without the flags.
    """

    snapshot: ClassVar[bool] = True

    path: Path
    """An mbox file, or the folder of a Maildir."""
    max_bytes: int = Field(default=50_000_000, gt=0)
    """A larger mail is a failure. Bytes."""

    def read(self, cursor: Cursor | None) -> Iterator[Change]:  # noqa: ARG002 - every run lists everything
        """Yield every mail, each followed by what is attached to it, then one checkpoint.

        Raises:
            SourceNotFoundError: `path` does not exist.
            ConnectorError: It is no mailbox, or cannot be listed.
        """
        try:
            yield from self._maildir() if self.path.is_dir() else self._file()
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"{error.filename} does not exist", hint="check the path of the source") from error
        except OSError as error:
            raise ConnectorError(f"{error.filename} cannot be read: {error.strerror}", hint="grant access") from error
        yield Checkpoint(None)

    def _file(self) -> Iterator[Change]:
        seen: set[str] = set()
        with self.path.open("rb") as file:
            for raw, size_bytes in _mails(file, self.max_bytes):
                mark = fingerprint(raw)
                if mark not in seen:
                    name = _name(raw) or mark
                    name = f"{name}#{mark[:8]}" if name in seen else name
                    seen |= {mark, name}
                    yield from self._changes(raw, size_bytes, name, f"{self.path.as_posix()}#{name}")

    def _maildir(self) -> Iterator[Change]:
        subfolders = sorted(path for path in self.path.glob(".*") if not path.is_symlink() and (path / "cur").is_dir())
        for folder in (self.path, *subfolders):
            prefix = "" if folder == self.path else f"{folder.name}/"
            # Twice: a file that is renamed during one listing, because it was read, may be missing from it.
            for name, path in sorted((_listed(folder) | _listed(folder)).items()):
                yield from self._entry(folder, name, path, prefix + name)

    def _entry(self, folder: Path, name: str, path: Path, mail_id: str) -> Iterator[Change]:
        uri = (folder / "cur" / name).as_posix()
        try:
            try:
                file = path.open("rb")
            except FileNotFoundError:  # renamed since, or gone
                if name not in (now := _listed(folder)):
                    return
                file = now[name].open("rb")
            with file:
                raw = file.read(self.max_bytes + 1)
        except OSError as error:
            yield Failure(mail_id, error.strerror or "it cannot be read", uri=uri)
            return
        yield from self._changes(raw, len(raw), mail_id, uri)

    def _changes(self, raw: bytes, size_bytes: int, mail_id: str, uri: str) -> Iterator[Change]:
        if size_bytes > self.max_bytes:
            yield Failure(mail_id, f"more than {self.max_bytes:,} bytes", uri=uri)
        else:
            yield from changes(raw, mail_id, uri)


def _mails(file: IO[bytes], max_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Each mail of an mbox and its size; of one over the limit only the beginning."""
    lines: list[bytes] | None = None
    size_bytes, was_empty = 0, True
    for line in iter(partial(file.readline, _LINE_BYTES), b""):
        if was_empty and _SEPARATOR.match(line):
            if lines is not None:
                yield _joined(lines), size_bytes
            lines, size_bytes = [], 0
        elif lines is not None:
            size_bytes += len(line)
            if size_bytes <= max_bytes:
                lines.append(line[1:] if _QUOTED.match(line) else line)
        elif line.strip():
            raise ConnectorError("this is no mbox: it does not begin with a line From", hint="name an mbox or a Maildir")
        was_empty = line in _EMPTY_LINES
    if lines is not None:
        yield _joined(lines), size_bytes


def _joined(lines: list[bytes]) -> bytes:
    return b"".join(lines).rstrip(b"\r\n") + b"\n"  # the empty line before the next mail is not of this one


def _name(raw: bytes) -> str:
    name = quote(message_id(raw), safe="@+=$!&")
    return name if len(name) <= _MAX_ID_CHARS else ""


def _listed(folder: Path) -> dict[str, Path]:
    """The files of a Maildir folder by their names without flags; what a mail program moves goes from new to cur."""
    found: dict[str, Path] = {}
    for box in ("new", "cur"):
        with os.scandir(folder / box) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                    found[_shown(_FLAGS.sub("", entry.name))] = Path(entry.path)
    return found


def _shown(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
