"""A local model as one fused ONNX graph: the same vectors as torch gives, faster, and no torch to start.

The graph is made once, from the model's own weights, and kept beside the catalog. It serves only when its vectors are those of
torch; whatever stands in the way of that, torch goes on serving.

Speed, measured on two cores with texts of 250 tokens and the weights of all-MiniLM-L6-v2 (`benchmarks/embedding_speed.py`): 1.4 to
2.2 times `SentenceTransformer.encode`. What it lies in: attention, layer norms and activations become one operation each, and
small batches run side by side on one thread each.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmapp.errors import EmbedderError
from llmapp.retrieval.embedders.minilm import batches, cores, open_session
from llmapp.retrieval.embedders.prompted import Encoded
from llmapp.retrieval.embedders.tokenizers import cut_to

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from llmapp.protocols import FloatArray
    from llmapp.retrieval.embedders.model_folder import ModelFolder
    from llmapp.retrieval.embedders.sentence_transformer import TorchModel

_log = logging.getLogger(__name__)

_FUSIBLE = frozenset({"bert", "camembert", "roberta", "xlm-roberta"})
_MODULES = frozenset({"Transformer", "Pooling", "Dense", "Normalize"})
_MOST_BYTES = 1_500_000_000
"""A graph of 2 GB is no single file any more."""
_OPSET = 17
_LEAST_COSINE = 0.9999
_REVISION = 1  # raised when the graph is made in another way
_OUTPUT = "sentence_embedding"
_PROBES = [
    "A probe: 12 words, Ünïcode and (signs); is it the vector that torch gives?",
    "short",
    "A longer one, so that padding has its say. " * 6,
]


class FusedModel:
    """Implements `TextModel`; safe to use from several threads."""

    def __init__(self, folder: ModelFolder, torch_model: TorchModel, cache: Path) -> None:
        """Choose a model; nothing is loaded or made yet.

        Args:
            folder: Its files.
            torch_model: The same model by torch: what the graph is made from, and what serves where there is none.
            cache: Folder in which graphs are kept.
        """
        self._folder = folder
        self._torch = torch_model
        name = hashlib.sha256(f"{_REVISION}\0{folder.name}\0{folder.revision}".encode()).hexdigest()[:16]
        self._file = cache / f"{name}.onnx"
        self._opening = threading.Lock()
        self._session: InferenceSession | None = None
        self._is_open = False

    def encode(self, texts: Sequence[str], *, prompt: str, is_query: bool) -> Encoded:
        """Embed texts; see `TextModel`.

        Raises:
            EmbedderError: The model cannot be loaded, or failed.
            MissingDependencyError: The graph is yet to be made, and sentence-transformers is not installed.
        """
        session = self._opened()
        if session is None:
            return self._torch.encode(texts, prompt=prompt, is_query=is_query)
        try:
            return Encoded(self._run(session, [self._folder.tokenizer.ids(prompt + text) for text in texts]))
        except Exception as error:  # onnxruntime's errors share no base of their own
            raise EmbedderError(f"the embedder failed: {error}") from error

    def _opened(self) -> InferenceSession | None:
        """The graph, made now where there is none; None when torch is to serve."""
        with self._opening:
            if not self._is_open:
                self._session = self._open()
                self._is_open = True
            return self._session

    def _open(self) -> InferenceSession | None:
        try:
            if self._file.is_file():
                return open_session(self._file.read_bytes())
            return self._make() if self._is_fusible() else None
        except ImportError:
            return None  # onnx makes graphs, and is not installed
        except Exception as error:  # noqa: BLE001 - an exporter fails in every way, and torch serves as well
            _log.warning("%s runs on torch: no graph could be made of it (%s)", self._folder.name, type(error).__name__)
            return None

    def _is_fusible(self) -> bool:
        weights = sum(file.stat().st_size for file in self._folder.path.rglob("*.safetensors"))
        is_plain = set(self._folder.kinds) <= _MODULES and self._folder.pools_prompt
        return is_plain and self._folder.model_type in _FUSIBLE and weights <= _MOST_BYTES

    def _make(self) -> InferenceSession | None:
        import numpy as np
        import onnx  # noqa: F401 - asked for here, before ten seconds of torch

        from llmapp.retrieval.embedders.unit import unit_rows

        if not self._torch.is_on_cpu:
            return None
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=self._file.parent) as work:
            made = _exported(
                self._torch.loaded(attn_implementation="eager"), Path(work), self._folder.heads, self._folder.hidden
            )
            session = open_session(made.read_bytes())
            tokenizer, limit = self._folder.tokenizer, self._torch.max_tokens
            probes = [cut_to(text, tokenizer, limit) for text in _PROBES]
            found = self._run(session, [tokenizer.ids(text) for text in probes])
            wanted = np.asarray(self._torch.encode(probes, prompt="", is_query=False).vectors)
            count, dim = wanted.shape
            cosines = (unit_rows(found, count=count, dim=dim) * unit_rows(wanted, count=count, dim=dim)).sum(axis=1)
            if cosines.min() < _LEAST_COSINE:
                _log.warning("%s runs on torch: its graph gives other vectors", self._folder.name)
                return None
            os.replace(made, self._file)  # noqa: PTH105 - atomic, whoever else makes it
        return session

    def _run(self, session: InferenceSession, tokens: Sequence[Sequence[int]]) -> FloatArray:
        import numpy as np

        names = {given.name for given in session.get_inputs()}
        parts = batches([len(ids) for ids in tokens])
        with ThreadPoolExecutor(min(cores(), len(parts)), thread_name_prefix="embed") as pool:
            found = list(pool.map(lambda part: _run_batch(session, names, [tokens[i] for i in part]), parts))
        vectors = np.empty((len(tokens), found[0].shape[1]), dtype=np.float32)
        for part, result in zip(parts, found, strict=True):
            vectors[part] = result
        return vectors


def _run_batch(session: InferenceSession, names: set[str], tokens: Sequence[Sequence[int]]) -> FloatArray:
    import numpy as np

    width = max(len(ids) for ids in tokens)
    feed = {name: np.zeros((len(tokens), width), dtype=np.int64) for name in names}
    for row, ids in enumerate(tokens):
        feed["input_ids"][row, : len(ids)] = ids
        feed["attention_mask"][row, : len(ids)] = 1
    vectors: FloatArray = session.run([_OUTPUT], feed)[0]
    return vectors


def _exported(model: Any, work: Path, heads: int, hidden: int) -> Path:
    """Write the fused graph of a `SentenceTransformer` that runs on the CPU."""
    import torch
    from onnxruntime.transformers import optimizer

    names = ["input_ids", "attention_mask", "token_type_ids"]

    class Whole(torch.nn.Module):
        def forward(self, *given: torch.Tensor) -> Any:
            return model(dict(zip(names, given, strict=False)))[_OUTPUT]

    whole = Whole().eval()
    whole.model = model
    if "token_type_ids" not in model.preprocess(["a"]):
        names.pop()
    ids = torch.randint(5, 50, (2, 16))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    given = (ids, mask, torch.zeros_like(ids))[: len(names)]
    axes = {name: {0: "batch", 1: "tokens"} for name in names} | {_OUTPUT: {0: "batch"}}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            whole, given, str(work / "plain.onnx"), input_names=names, output_names=[_OUTPUT], dynamic_axes=axes,
            opset_version=_OPSET, dynamo=False,
        )  # fmt: skip
        fused = optimizer.optimize_model(str(work / "plain.onnx"), model_type="bert", num_heads=heads, hidden_size=hidden)
        fused.save_model_to_file(str(work / "fused.onnx"))
    return work / "fused.onnx"
