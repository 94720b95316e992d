"""What the header of a GGUF file says, read without its tensors.

Source: github.com/ggml-org/ggml, docs/gguf.md, versions 2 and 3, little endian. The package `gguf` would do as well, but
makes NumPy arrays of every single token: seconds where this takes a tenth of one. The vocabulary counts tokens
(`prompting`), the sizes of the tensors say what a model takes in memory (`models`).
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from llmapp.errors import ModelFileError

Value: TypeAlias = str | int | float | bool | list["str | int | float | bool"]

_NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
"""Formats of `struct` by GGUF's number of the type."""
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)
_ALIGNMENT_BYTES = 32
"""Of the tensors, where the file names none."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What stands before the tensors."""

    values: Mapping[str, Value]
    """The keys and values."""
    parameters: int
    """Numbers in all tensors of this file; a split model has more files."""
    tensor_bytes: int
    """Size of the tensors."""


def read_gguf(path: Path) -> GgufHeader:
    """The header of a file.

    Raises:
        ModelFileError: The file cannot be read, or is no GGUF file that is known here.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data).header()
    except (OSError, ValueError, struct.error, KeyError) as error:
        raise ModelFileError(
            f"{path} cannot be read as a GGUF file: {error}", hint="name a whole file of version 2 or 3"
        ) from error


class _Reader:
    """Reads on from where it is."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def header(self) -> GgufHeader:
        magic, version, tensors, pairs = struct.unpack("<4sIQQ", self._bytes(24))
        if magic != b"GGUF" or version not in _VERSIONS:
            raise ValueError(f"it begins with {magic!r}, version {version}")
        values = {self._string(): self._value(self._number("I")) for _ in range(pairs)}
        parameters = sum(self._tensor_length() for _ in range(tensors))
        alignment = values.get("general.alignment", _ALIGNMENT_BYTES)
        if not isinstance(alignment, int) or alignment < 1:
            raise ValueError(f"its alignment is {alignment!r}")
        return GgufHeader(values, parameters, max(0, len(self._data) - math.ceil(self._at / alignment) * alignment))

    def _tensor_length(self) -> int:
        """Numbers of the tensor described next: name, extents, kind and place."""
        self._string()
        extents = [self._number("Q") for _ in range(self._number("I"))]
        self._bytes(struct.calcsize("<IQ"))
        return math.prod(extents)

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
