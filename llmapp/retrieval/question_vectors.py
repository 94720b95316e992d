"""Vectors of questions that are asked for again and again, kept in a file, so that none is embedded or paid for twice."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray

_log = logging.getLogger(__name__)


class QuestionVectors:
    """The vectors of some questions, from a file, and of all others, from an embedder. Safe to use from several threads."""

    def __init__(self, file: Path, questions: Sequence[str], *, embed: Callable[[str], FloatArray], identity: str) -> None:
        """Keep the vectors of these questions.

        Args:
            file: Where they are kept, ``.npz``; it then holds no vector of any other question.
            questions: Those that are asked for again.
            embed: The unit vector of a question.
            identity: That of the embedder; vectors of another one are not read.
        """
        self._file = file
        self._keys = {question: _key(question, identity) for question in questions}
        self._embed = embed
        self._kept: Mapping[str, FloatArray] | None = None
        self._lock = threading.Lock()

    def __call__(self, question: str) -> FloatArray:
        """The vector of a question.

        Raises:
            EmbedderError: A question cannot be embedded.
            CostError: It could not be paid.
        """
        key = self._keys.get(question)
        return self._embed(question) if key is None else self._all()[key]

    def _all(self) -> Mapping[str, FloatArray]:
        with self._lock:
            if self._kept is None:
                self._kept = self._completed()
            return self._kept

    def _completed(self) -> dict[str, FloatArray]:
        stored = self._read()
        found = {key: stored[key] for key in self._keys.values() if key in stored}
        try:
            for question, key in self._keys.items():
                if key not in found:
                    found[key] = self._embed(question)
        finally:
            # What has been paid is kept, also where the next one fails.
            if found.keys() != stored.keys():
                self._write(found)
        return found

    def _read(self) -> dict[str, FloatArray]:
        try:
            with np.load(self._file, allow_pickle=False) as arrays:
                return dict(zip(arrays["keys"].tolist(), arrays["vectors"], strict=True))
        except FileNotFoundError:
            return {}
        except Exception as error:  # noqa: BLE001 - whatever a damaged file does: it can be made anew
            _log.warning("%s cannot be read and is made anew: %s", self._file.name, error)
            return {}

    def _write(self, found: Mapping[str, FloatArray]) -> None:
        beside = self._file.with_name(f"{self._file.name}.{os.getpid()}.tmp")
        try:
            with beside.open("wb") as opened:
                np.savez(opened, keys=np.array(list(found)), vectors=np.array(list(found.values())))
            beside.replace(self._file)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._file.name, error)


def _key(question: str, identity: str) -> str:
    return hashlib.blake2b(f"{identity}\0{question}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
