"""How long a search takes at 10,000, 100,000 and 500,000 chunks, with and without access lists, against bare Chroma.

Vectors lie in clusters, texts are words by Zipf's law. One document in 7, in 100 and in 10,000 is open to one group alone; asking
as its member is compared with Chroma's own `where` on the same share of the same vectors, ids and distances only. What is compared is asked in turn, so that
a busy machine slows both. Aims: a share of 1/7 in a fifth of the time of `where`; at most twice as long at 500,000 as at 10,000.

Filled stores stay under `.cache/search_latency` for the next time; filling 500,000 takes half an hour. `--sizes 10000` measures less.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import chromadb
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from llmapp.bootstrap import Parts
from llmapp.catalog.records import DocumentRecord
from llmapp.config import PriceSettings, Settings
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import Chunk, Principal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmapp.protocols import FloatArray

_T = TypeVar("_T")

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "search_latency"
SIZES = (10_000, 100_000, 500_000)
DIM = 384
CHUNKS_A_DOCUMENT = 5
CHUNKS_A_CLUSTER = 100
SPREAD = 0.9
WORDS_A_CHUNK = 80
VOCABULARY = 50_000
QUERIES = 200
TOP_K = 10
SHARES = (7, 100, 10_000)
BATCH = 500
LEAST_GAIN, MOST_GROWTH = 5.0, 2.0


class GivenVectors(HashEmbedder):
    """Knows the vectors of the questions beforehand: what is measured is the search."""

    def __init__(self, vectors: dict[str, FloatArray]) -> None:
        """Know these, by question."""
        super().__init__(dim=DIM, max_tokens=512)
        self._given = vectors

    def embed_query(self, text: str) -> FloatArray:
        """The vector of a question. Shape (DIM,)."""
        return self._given[text]


@dataclass
class Corpus:
    """The same for the same size, whenever it is made."""

    vectors: FloatArray
    """Shape (size, DIM)."""
    words: NDArray[np.int32]
    """Shape (size, WORDS_A_CHUNK)."""
    questions: dict[str, FloatArray]

    @classmethod
    def of(cls, size: int) -> Corpus:
        """The corpus of so many chunks."""
        chance = np.random.default_rng(size)
        centres = chance.normal(size=(size // CHUNKS_A_CLUSTER, DIM)).astype(np.float32)

        def near(count: int) -> FloatArray:
            drawn = centres[chance.integers(0, len(centres), size=count)]
            return unit(drawn + SPREAD * chance.normal(size=(count, DIM)).astype(np.float32))

        words = (chance.zipf(1.2, size=(size, WORDS_A_CHUNK)) % VOCABULARY).astype(np.int32)
        asked = [" ".join(f"word{word}" for word in words[row, :8]) for row in chance.integers(0, size, size=QUERIES)]
        return cls(near(size), words, dict(zip(asked, near(QUERIES), strict=True)))


def batched(items: Iterable[_T], size: int) -> Iterator[tuple[_T, ...]]:
    """As Python 3.12 has it."""
    left = iter(items)
    while batch := tuple(islice(left, size)):
        yield batch


def unit(vectors: FloatArray) -> FloatArray:
    normed: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normed


def groups_of(number: int) -> tuple[str, ...]:
    """The groups that a document is open to."""
    return tuple(f"group:{share}" for share in SHARES if number % share == 0)


def records(corpus: Corpus) -> Iterator[tuple[DocumentRecord, dict[str, FloatArray]]]:
    for number, rows in enumerate(batched(range(len(corpus.vectors)), CHUNKS_A_DOCUMENT)):
        name, chunks = f"d{number}", []
        for row in rows:
            text = " ".join(f"word{word}" for word in corpus.words[row])
            chunks.append(Chunk(f"c{row:09}", "bench", name, name, "", text, 0, len(text)))
        keys = tuple(f"k{row}" for row in rows)
        acl = ("user:all", *groups_of(number))
        record = DocumentRecord(
            "bench", name, name, "", "", (), None, {}, acl, None, name, "none", tuple(chunks), keys, chunker="bench"
        )
        yield record, dict(zip(keys, corpus.vectors[list(rows)], strict=True))


def ours(corpus: Corpus, folder: Path) -> Parts:
    embedder = GivenVectors(corpus.questions)
    settings = Settings(root=folder, prices={embedder.identity: PriceSettings(input_usd_per_million=0)})
    parts = Parts(settings, embedder=embedder)
    if parts.catalog.counts().chunks < len(corpus.vectors):
        total = len(corpus.vectors) // CHUNKS_A_DOCUMENT // BATCH + 1
        for batch in track(batched(records(corpus), BATCH), f"catalog of {len(corpus.vectors):,}", total=total):
            vectors = {key: vector for _, given in batch for key, vector in given.items()}
            parts.catalog.replace([record for record, _ in batch], vectors)
    if parts.catalog.pending(limit=1):
        print("writing the vector index", flush=True)
        parts.projection.apply_pending()
    return parts


def bare(corpus: Corpus, folder: Path) -> Any:
    client = chromadb.PersistentClient(str(folder), settings=chromadb.Settings(anonymized_telemetry=False))
    store = client.get_or_create_collection("bare", embedding_function=None, configuration={"hnsw": {"space": "ip"}})
    for rows in track(list(batched(range(store.count(), len(corpus.vectors)), 5_000)), "bare Chroma"):
        facts = [{f"in{share}": (row // CHUNKS_A_DOCUMENT) % share == 0 for share in SHARES} for row in rows]
        store.upsert(ids=[f"c{row:09}" for row in rows], embeddings=corpus.vectors[list(rows)], metadatas=facts)
    return store


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """The 50th and the 99th, in milliseconds."""
    p50, p99 = np.percentile(np.array(seconds) * 1e3, [50, 99])
    return float(p50), float(p99)


def measured(corpus: Corpus, searches: dict[str, Callable[[str], object]]) -> dict[str, tuple[float, float]]:
    """Every question to every search in turn; the first few only warm up."""
    taken: dict[str, list[float]] = {name: [] for name in searches}
    for number, question in enumerate(corpus.questions):
        for name, search in searches.items():
            started = time.perf_counter()
            search(question)
            if number >= QUERIES // 20:
                taken[name].append(time.perf_counter() - started)
    return {name: percentiles(seconds) for name, seconds in taken.items()}


def memory_mb() -> str:
    """Resident memory of this process, and its share of what others map as well."""
    rollup = Path("/proc/self/smaps_rollup")
    if not rollup.exists():
        return "unknown"
    sizes = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in rollup.read_text().splitlines()[1:]}
    return f"RSS {sizes['Rss']} MB, of them {sizes['Shared_Clean'] + sizes['Private_Clean']} MB mapped files"


def recall(corpus: Corpus, parts: Parts, principal: Principal) -> float:
    """Share of the true ten nearest that dense search finds."""
    readable, found, wanted = parts.catalog.readable(principal), 0, 0
    for question, vector in list(corpus.questions.items())[:50]:
        true = np.sort(readable.table.vectors[readable.slots] @ vector)[::-1][:TOP_K]
        hits = parts.dense.retrieve(question, principal=principal, top_k=TOP_K)
        found, wanted = found + sum(hit.score >= true[-1] - 1e-5 for hit in hits), wanted + len(true)
    return found / wanted


def at(size: int, console: Console) -> dict[str, tuple[float, float]]:
    corpus = Corpus.of(size)
    folder = CACHE / str(size)
    folder.mkdir(parents=True, exist_ok=True)
    store = bare(corpus, folder / "bare")
    with ours(corpus, folder) as parts:
        table = Table(
            "open to the asker",
            "dense p50 / p99 ms",
            "hybrid p50 / p99 ms",
            "Chroma p50 / p99 ms",
            "Chroma / dense",
            "recall",
            title=f"{size:,} chunks",
        )
        results = {}
        for share in (1, *SHARES):
            principal = Principal("all") if share == 1 else Principal("x", (str(share),))
            where = None if share == 1 else {f"in{share}": True}
            taken = measured(
                corpus,
                {
                    "dense": lambda q, who=principal: parts.dense.retrieve(q, principal=who, top_k=TOP_K),
                    "hybrid": lambda q, who=principal: parts.retriever.retrieve(q, principal=who, top_k=TOP_K),
                    "chroma": lambda q, where=where: store.query(
                        query_embeddings=corpus.questions[q][None], n_results=TOP_K, where=where, include=["distances"]
                    ),
                },
            )
            results |= {f"{name} {share}": value for name, value in taken.items()}
            cells = [f"{p50:.2f} / {p99:.2f}" for p50, p99 in taken.values()]
            gain = taken["chroma"][0] / taken["dense"][0]
            table.add_row(
                "all" if share == 1 else f"1/{share:,}", *cells, f"{gain:.1f}", f"{recall(corpus, parts, principal):.3f}"
            )
        console.print(table, f"memory: {memory_mb()}")
    return results


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of chunks, ascending")
    sizes = reader.parse_args().sizes
    console = Console(width=120)
    results = {size: at(size, console) for size in sizes}
    first, last = results[sizes[0]], results[sizes[-1]]
    gains = {size: taken["chroma 7"][0] / taken["dense 7"][0] for size, taken in results.items()}
    console.print(
        "1/7 against Chroma's where: "
        + ", ".join(f"{gain:.1f} times as fast at {size:,}" for size, gain in gains.items())
        + f" (aim: {LEAST_GAIN:g})"
    )
    growth = {name: last[name][0] / first[name][0] for name in first}
    console.print(
        f"p50 at {sizes[-1]:,} over p50 at {sizes[0]:,} (aim: {MOST_GROWTH:g}): "
        + ", ".join(f"{name} {ratio:.1f}" for name, ratio in growth.items())
    )
    reached = (
        min(gains.values()) >= LEAST_GAIN
        and max(ratio for name, ratio in growth.items() if not name.startswith("chroma")) <= MOST_GROWTH
    )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
