"""Vectors of texts that are compared again and again, kept in a file, so that none is embedded or paid for twice."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmapp.retrieval.embedders.tokenizers import cut_to

if TYPE_CHECKING:
    from llmapp.protocols import Embedder, FloatArray

_BATCH_TEXTS = 64
"""Embedded at once; what a batch has cost is kept though the next one fails."""

_log = logging.getLogger(__name__)


class KeptVectors:
    """The vectors of some texts, which are made when the first of them is asked for. Safe to use from several threads."""

    def __init__(self, file: Path, texts: Sequence[str], embedder: Embedder) -> None:
        """Keep the vectors of these texts.

        Args:
            file: Where they are kept, ``.npz``; it then holds no vector of any other text.
            texts: What may be asked for.
            embedder: Embeds them as it does what is searched, the beginning of one that is too long for it; vectors that
                another one has made are not read.
        """
        self._file = file
        self._keys = {text: _key(text, embedder.identity) for text in texts}
        self._embedder = embedder
        self._kept: Mapping[str, FloatArray] | None = None
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> list[FloatArray]:
        """The vectors of some of the texts, in their order.

        Raises:
            EmbedderError: One cannot be embedded.
            CostError: It could not be paid.
        """
        kept = self._all()
        return [kept[self._keys[text]] for text in texts]

    def _all(self) -> Mapping[str, FloatArray]:
        with self._lock:
            if self._kept is None:
                self._kept = self._completed()
            return self._kept

    def _completed(self) -> dict[str, FloatArray]:
        stored = self._read()
        found = {key: stored[key] for key in self._keys.values() if key in stored}
        new = [text for text, key in self._keys.items() if key not in found]
        try:
            for start in range(0, len(new), _BATCH_TEXTS):
                batch = new[start : start + _BATCH_TEXTS]
                found |= zip((self._keys[text] for text in batch), self._embedded(batch), strict=True)
        finally:
            # What has been paid is kept, also where the next one fails.
            if found.keys() != stored.keys():
                self._write(found)
        return found

    def _embedded(self, texts: Sequence[str]) -> FloatArray:
        embedder = self._embedder
        return embedder.embed_documents([cut_to(text, embedder.tokenizer, embedder.max_tokens) for text in texts])

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


def _key(text: str, identity: str) -> str:
    return hashlib.blake2b(f"{identity}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
