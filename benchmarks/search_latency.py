"""How long a search takes at 10,000 and 100,000 chunks, with filters and access lists, against bare Chroma.

Ours is the whole search, from the vector of the question to the hits with their text and rights; Chroma gives ids and distances. The
last row is a question as it is asked, its embedding by the default embedder included: words are matched meanwhile.
Both ask the same collection, so the same graph. One document in 7, in 100 and in 10,000 has a field that says so and is
open to a group of its own; Chroma answers `where` on the same field. Searches take turns, so that a busy machine slows all; the
time of the processor is printed beside that of the clock. Aims: with a filter of 1/7 a fifth of the time of `where`; growth
from the smallest to the largest size at most twofold.

    python benchmarks/search_latency.py
    python benchmarks/search_latency.py --chunks 500000     # fills for a quarter of an hour or more, 4 GB of disk

What was filled stays under `.cache/scale` for the next time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scale_corpus import QUERIES, SHARES, Corpus, FilledStore

from llmapp.bootstrap import Parts
from llmapp.filters import Filter, parse_filter
from llmapp.retrieval.embedders.minilm import MiniLMEmbedder
from llmapp.types import Principal

SIZES = (10_000, 100_000)
TOP_K = 10
LEAST_GAIN, MOST_GROWTH = 5.0, 2.0
WARMING = 10
EVERYBODY = Principal("all")
QUESTION = "all, embedding included"


@dataclass(frozen=True)
class Case:
    """Who asks, and for what."""

    name: str
    principal: Principal = EVERYBODY
    where: Filter | None = None
    chroma: dict[str, bool] | None = None


CASES = (
    Case("all"),
    *(Case(f"filter 1/{n:,}", where=parse_filter(f"in{n} = true"), chroma={f"in{n}": True}) for n in SHARES),
    *(Case(f"access 1/{n:,}", Principal("x", (str(n),)), chroma={f"in{n}": True}) for n in SHARES),
)


@dataclass(frozen=True)
class Taken:
    """Milliseconds."""

    p50: float
    p99: float
    cpu: float
    """Of the processor, all threads of the process. Median."""

    def __str__(self) -> str:
        return f"{self.p50:.1f} / {self.p99:.1f} ({self.cpu:.1f})"


def measured(questions: Sequence[str], searches: dict[str, Callable[[str], object]]) -> dict[str, Taken]:
    """Every question to every search in turn; the first few only warm up."""
    clock: dict[str, list[float]] = {name: [] for name in searches}
    processor: dict[str, list[float]] = {name: [] for name in searches}
    for number, question in enumerate(questions):
        for name, search in searches.items():
            started, worked = time.perf_counter(), time.process_time()
            search(question)
            if number >= WARMING:
                clock[name].append(1e3 * (time.perf_counter() - started))
                processor[name].append(1e3 * (time.process_time() - worked))
    return {
        name: Taken(*np.percentile(taken, [50, 99]).tolist(), float(np.median(processor[name])))
        for name, taken in clock.items()
    }


def recalls(corpus: Corpus, parts: Parts, store: FilledStore, case: Case) -> tuple[float, float]:
    """Share of the true ten nearest that ours finds, and that Chroma does."""
    readable = parts.catalog.readable(case.principal, case.where)
    vectors = readable.table.vectors[readable.slots]
    wanted = ours = theirs = 0
    for question, vector in list(corpus.questions.items())[:50]:
        true = np.sort(vectors @ vector)[::-1][:TOP_K]
        hits = parts.dense.retrieve(question, principal=case.principal, top_k=TOP_K, where=case.where)
        distances = asked(store, vector, case)["distances"][0]
        wanted += len(true)
        ours += sum(hit.score >= true[-1] - 1e-5 for hit in hits)
        theirs += sum(1 - distance >= true[-1] - 1e-5 for distance in distances)
    return ours / wanted, theirs / wanted


def asked(store: FilledStore, vector: np.ndarray, case: Case) -> dict:
    return store.bare.query(query_embeddings=vector[None], n_results=TOP_K, where=case.chroma, include=["distances"])


def row(corpus: Corpus, parts: Parts, store: FilledStore, case: Case, queries: int) -> tuple[dict[str, Taken], list[str]]:
    def ask(side: str, question: str) -> object:
        return getattr(parts, side).retrieve(question, principal=case.principal, top_k=TOP_K, where=case.where)

    started = time.perf_counter()
    ask("dense", next(iter(corpus.questions)))
    first = 1e3 * (time.perf_counter() - started)
    searches: dict[str, Callable[[str], object]] = {
        "dense": partial(ask, "dense"),
        "hybrid": partial(ask, "retriever"),
        "Chroma": lambda question: asked(store, corpus.questions[question], case),
    }
    taken = measured(list(corpus.questions)[:queries], searches)
    gain = f"{taken['Chroma'].p50 / taken['dense'].p50:.1f}"
    found = "{:.3f} / {:.3f}".format(*recalls(corpus, parts, store, case))
    return taken, [case.name, *map(str, taken.values()), gain, found, f"{first:.0f}"]


def at(size: int, console: Console, queries: int) -> dict[str, dict[str, Taken]]:
    corpus = Corpus(size)
    store = corpus.store()
    table = Table(
        "may be found",
        "dense",
        "hybrid",
        "Chroma",
        "Chroma / dense",
        "recall ours / Chroma",
        "first dense ms",
        title=f"{size:,} chunks",
    )
    results = {}
    with corpus.ours(store) as parts:
        for case in CASES:
            results[case.name], cells = row(corpus, parts, store, case, queries)
            table.add_row(*cells)
    with corpus.ours(store, beside=MiniLMEmbedder()) as parts:
        ask = partial(parts.retriever.retrieve, principal=EVERYBODY, top_k=TOP_K)
        results[QUESTION] = measured(list(corpus.questions)[:queries], {"hybrid": ask})
        table.add_row(QUESTION, "", str(results[QUESTION]["hybrid"]))
    console.print(table, "milliseconds: p50 / p99 by the clock (p50 of processor time)")
    for who in ("bare", "ours", "exact"):
        told = subprocess.run(
            [sys.executable, __file__, "--memory", who, "--chunks", str(size)], check=True, capture_output=True
        )
        console.print(f"memory, {who}: {told.stdout.decode().strip()}")
    return results


def memory(who: str, size: int) -> None:
    """What opening and 50 searches add to this process: the peak, and what is its own at the end (no mapped files)."""
    corpus = Corpus(size)
    before = resident()
    store = corpus.store()
    if who == "bare":
        for vector in list(corpus.questions.values())[:50]:
            asked(store, vector, CASES[0])
    else:
        case = CASES[0] if who == "ours" else CASES[1]
        with corpus.ours(store) as parts:
            for question in list(corpus.questions)[:50]:
                parts.retriever.retrieve(question, principal=case.principal, top_k=TOP_K, where=case.where)
    after = resident()
    print(f"peak {after['VmHWM'] - before['VmHWM']} MB more, its own {after['RssAnon'] - before['RssAnon']} MB more")


def resident() -> dict[str, int]:
    """Megabytes, by the names of the kernel."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return {
        name: int(value.split()[0]) // 1024
        for name, value in (line.split(":") for line in lines)
        if name in {"VmHWM", "RssAnon"}
    }


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--chunks", type=int, nargs="+", default=SIZES, help="numbers of chunks, ascending")
    reader.add_argument("--queries", type=int, default=QUERIES, help="questions that are timed")
    reader.add_argument("--memory", choices=("bare", "ours", "exact"), help=argparse.SUPPRESS)
    given = reader.parse_args()
    if given.memory:
        memory(given.memory, given.chunks[0])
        return 0
    console = Console(width=130)
    results = {size: at(size, console, given.queries) for size in given.chunks}
    gains = {size: taken["filter 1/7"] for size, taken in results.items()}
    gains = {size: taken["Chroma"].p50 / taken["dense"].p50 for size, taken in gains.items()}
    told = ", ".join(f"{gain:.1f} times as fast at {size:,}" for size, gain in gains.items())
    console.print(f"filter of 1/7 against Chroma's where: {told} (aim: {LEAST_GAIN:g})")
    first, last = results[given.chunks[0]], results[given.chunks[-1]]
    growth = {f"{name} {side}": last[name][side].p50 / first[name][side].p50 for name in first for side in first[name]}
    told = ", ".join(f"{name} {ratio:.1f}" for name, ratio in growth.items())
    console.print(f"p50 at {given.chunks[-1]:,} over p50 at {given.chunks[0]:,} (aim: {MOST_GROWTH:g}): {told}")
    grown = max(growth["all dense"], growth[f"{QUESTION} hybrid"])
    return 0 if min(gains.values()) >= LEAST_GAIN and grown <= MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
