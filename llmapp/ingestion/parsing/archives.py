"""Files in archives: zip, tar and single compressed files, unpacked in memory under one budget; nothing is written to disk.

Knows what may be hostile in an archive: sizes that lie, entries that overlap, archives in archives, links and devices, names
that lead elsewhere or are no text. Reads no format of documents; what a file says is for its caller to find out.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import IO, cast

from llmapp.errors import ParseError
from llmapp.ingestion.parsing.limits import Limits, over
from llmapp.ingestion.parsing.office_passwords import protected

Member = tuple[str, "bytes | ParseError"]
"""Its path in the archive, and its content or why it cannot be read."""

_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
)
"""What the standard library raises on bytes that are no archive; ``UnicodeError`` is a ``ValueError``."""
_ENCRYPTED = 0x1
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_MAX_PATH_CHARS = 500
_SUFFIXES = {".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar"}


class Budget:
    """What an archive and all that is in it may still unpack."""

    def __init__(self, limits: Limits) -> None:
        """Start with all that the limits allow."""
        self._limits = limits
        self._bytes = limits.archive_bytes
        self._members = limits.archive_members
        self._depth = 0

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Enter one more archive.

        Raises:
            LimitExceededError: It lies too deep.
        """
        if self._depth >= self._limits.archive_depth:
            raise over("archive_depth", f"archives lie more than {self._limits.archive_depth} deep in one another")
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def count_member(self) -> None:
        """Take one file off.

        Raises:
            LimitExceededError: There are too many.
        """
        self._members -= 1
        if self._members < 0:
            raise over("archive_members", f"the archive holds more than {self._limits.archive_members:,} files")

    def read(self, file: IO[bytes]) -> bytes:
        """All of an unpacked stream, whatever size it claims.

        Raises:
            LimitExceededError: It is longer than what is left.
        """
        content = file.read(self._bytes + 1)
        self._bytes -= len(content)
        if self._bytes < 0:
            raise over("archive_bytes", f"the archive unpacks to more than {self._limits.archive_bytes:,} bytes")
        return content


def members(content: bytes, media_type: str, name: str, budget: Budget, passwords: Sequence[str]) -> Iterator[Member]:
    """The files of an archive, in its own order; directories are left out.

    Args:
        content: The archive.
        media_type: A key of `media_types.WAYS` that is an archive.
        name: Its name; a single compressed file is called so, less the last suffix.
        budget: What may be unpacked.
        passwords: Tried in order on encrypted files.

    Raises:
        ParseError: It is no such archive, or breaks off.
        LimitExceededError: It is over the budget.
    """
    try:
        if media_type == "application/zip":
            yield from _zip(content, budget, passwords)
        elif media_type == "application/x-tar":
            yield from _tar(content, budget)
        else:
            yield from _compressed(content, media_type, name, budget)
    except _BROKEN as error:
        raise ParseError(f"the archive is broken: {_reason(error)}", hint="pack it again") from error


def _zip(content: bytes, budget: Budget, passwords: Sequence[str]) -> Iterator[Member]:
    with _open_zip(content) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            budget.count_member()
            yield _valid(entry.filename), _entry(archive, entry, budget, passwords)


def _open_zip(content: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(content), metadata_encoding="utf-8")  # what most write without saying so
    except UnicodeDecodeError:
        return zipfile.ZipFile(io.BytesIO(content))  # cp437, as the format has it


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, budget: Budget, passwords: Sequence[str]) -> bytes | ParseError:
    is_encrypted = bool(entry.flag_bits & _ENCRYPTED)
    reason = ""
    for password in passwords if is_encrypted else [None]:
        try:
            with archive.open(entry, pwd=password.encode() if password is not None else None) as file:
                return budget.read(file)
        except (*_BROKEN, RuntimeError) as error:  # RuntimeError is a wrong password
            reason = _reason(error)
    return protected() if is_encrypted else ParseError(reason)


def _tar(content: bytes, budget: Budget) -> Iterator[Member]:
    # Names in any other encoding become valid text here; headers are bounded by the content, which is in memory.
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:", errors="replace") as archive:
        for entry in archive:
            if entry.isdir():
                continue
            budget.count_member()
            file = archive.extractfile(entry) if entry.isreg() else None  # a link would be followed
            yield _valid(entry.name), ParseError("it is a link or a device") if file is None else budget.read(file)


def _compressed(content: bytes, media_type: str, name: str, budget: Budget) -> Iterator[Member]:
    with _unpacker(io.BytesIO(content), media_type) as file:
        plain = budget.read(file)
    if plain[257:262] == b"ustar":
        yield from _tar(plain, budget)
        return
    budget.count_member()
    path = PurePosixPath(name)
    yield _valid(path.stem + _SUFFIXES.get(path.suffix.lower(), "")), plain


def _unpacker(packed: IO[bytes], media_type: str) -> IO[bytes]:
    if media_type == "application/gzip":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=packed))
    return bz2.open(packed) if media_type == "application/x-bzip2" else lzma.open(packed)


def _valid(path: str) -> str:
    """The path as one line of valid Unicode; it is shown and never opened."""
    line = " ".join(_UNPRINTABLE.sub(" ", path).split()).replace("\\", "/")
    return line.encode("utf-8", "replace").decode()[:_MAX_PATH_CHARS] or "?"


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
