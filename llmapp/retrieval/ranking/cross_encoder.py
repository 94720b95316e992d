"""Relevance by a cross-encoder of sentence-transformers: question and passage are read together by one model.

The only reader of that package for rerankers. It costs seconds to import and a model to load, so both wait for the first
question that needs them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from llmapp.errors import MissingDependencyError, RerankerError
from llmapp.types import Relevance

_BATCH_PASSAGES = 16
_TRY_AGAIN_S = 300.0
"""How long a failed load stands. Asking a hub that does not answer takes a minute, which no question after it should wait for."""


class CrossEncoderScorer:
    """Implements `llmapp.protocols.RelevanceScorer`; safe among threads, which take turns."""

    def __init__(self, model: str, *, try_again_s: float = _TRY_AGAIN_S) -> None:
        """Name the model; nothing is loaded yet.

        Args:
            model: A folder, or a name on the Hugging Face hub such as ``cross-encoder/ms-marco-MiniLM-L6-v2``. What does not
                fit its window is cut at the passage's end.
            try_again_s: How long after it could not be loaded nobody tries to. Seconds.
        """
        self.name = f"cross-encoder:{model}"
        self._model_name = model
        self._turn = threading.Lock()
        self._try_again_s = try_again_s
        self._model: Any = None
        self._failure: RerankerError | None = None
        self._failed_at = 0.0

    def score(self, query: str, passages: Sequence[str]) -> Relevance:
        """Judge each passage; the scores are those of the model, most often 0 to 1.

        Raises:
            MissingDependencyError: sentence-transformers is not installed.
            RerankerError: The model cannot be loaded (nor could it lately), gives more than one score a pair, or failed.
        """
        with self._turn:
            model = self._loaded()
            try:
                scores = model.predict([(query, passage) for passage in passages], batch_size=_BATCH_PASSAGES,
                                       show_progress_bar=False)  # fmt: skip
            except Exception as error:
                raise RerankerError(f"{self.name} failed: {type(error).__name__}") from error
        if scores.shape != (len(passages),):
            raise RerankerError(f"{self.name} is no reranker: it gives {scores.shape[1:]} scores for a passage")
        return Relevance(tuple(float(score) for score in scores))

    def _loaded(self) -> Any:
        if self._failure is not None and time.monotonic() < self._failed_at + self._try_again_s:
            raise RerankerError(self._failure.message, hint=self._failure.hint)
        if self._model is None:
            try:
                self._model = self._load()
            except RerankerError as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise
        return self._model

    def _load(self) -> Any:
        try:
            from sentence_transformers import CrossEncoder
        except ImportError as error:
            raise MissingDependencyError("sentence_transformers", extra="sentence-transformers") from error
        try:
            return CrossEncoder(self._model_name)
        except Exception as error:  # whatever the hub, the file or the weights raise
            raise RerankerError(
                f"{self.name} cannot be loaded: {type(error).__name__}",
                hint="name a folder with a sequence classification model, or one on the Hugging Face hub",
            ) from error
