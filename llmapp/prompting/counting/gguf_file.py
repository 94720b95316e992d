"""What the header of a GGUF file says, read without its tensors.

Source: github.com/ggml-org/ggml, docs/gguf.md, versions 2 and 3, little endian. The package `gguf` would do as well, but
makes NumPy arrays of every single token: seconds where this takes a tenth of one.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from llmapp.errors import PromptError

Value: TypeAlias = str | int | float | bool | list["str | int | float | bool"]

_NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
"""Formats of `struct` by GGUF's number of the type."""
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)


def read_gguf(path: Path) -> Mapping[str, Value]:
    """The keys and values of the header.

    Raises:
        PromptError: The file cannot be read, or is no GGUF file that is known here.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data).header()
    except (OSError, ValueError, struct.error, KeyError) as error:
        raise PromptError(
            f"{path} cannot be read as a GGUF file: {error}", hint="name a whole file of version 2 or 3"
        ) from error


class _Reader:
    """Reads on from where it is."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def header(self) -> Mapping[str, Value]:
        magic, version, _tensors, pairs = struct.unpack("<4sIQQ", self._bytes(24))
        if magic != b"GGUF" or version not in _VERSIONS:
            raise ValueError(f"it begins with {magic!r}, version {version}")
        return {self._string(): self._value(self._number("I")) for _ in range(pairs)}

    def _value(self, kind: int) -> Value:
        if kind != _ARRAY:
            return self._scalar(kind)
        kind, length = self._number("I"), self._number("Q")
        if kind == _STRING:
            return [self._string() for _ in range(length)]
        form = _NUMBERS[kind]  # an array of arrays is a KeyError; llama.cpp knows none either
        return list(struct.unpack(f"<{length}{form}", self._bytes(length * struct.calcsize(form))))

    def _scalar(self, kind: int) -> str | int | float | bool:
        return self._string() if kind == _STRING else self._number(_NUMBERS[kind])

    def _number(self, form: str) -> int:
        (value,) = struct.unpack(f"<{form}", self._bytes(struct.calcsize(form)))
        return value  # type: ignore[no-any-return]  # of any kind of number; lengths are whole ones

    def _string(self) -> str:
        return self._bytes(self._number("Q")).decode("utf-8", "replace")

    def _bytes(self, length: int) -> bytes:
        found = self._data[self._at : self._at + length]
        if len(found) < length:
            raise ValueError("it ends early")
        self._at += length
        return found
