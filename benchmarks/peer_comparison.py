"""llmapp beside LangChain with Chroma, LlamaIndex, Haystack and txtai: same texts, same weights, each as its documentation has hybrid search.

Measured are nDCG@10, how many documents a second go in, a warm query, a new process up to its first hit, and the disk that is taken.
They take turns in all of it, because a shared machine changes its mind from minute to minute. Texts: SciFact's first documents
and all that its 300 test questions ask for. How a peer is set up stands in `peers/`, a file for each.

Optional: the peers have environments of their own under ``.cache/peers/``, and without them it says so and ends. What a peer has
ingested is kept there too, so that only the first run takes long.

    python benchmarks/peer_comparison.py --install         # 7 GB, some minutes; with the CPU build of torch, see TORCH
    python benchmarks/peer_comparison.py [--documents 1000] [--rounds 3] [--write] [SYSTEM ...]

``--write`` puts the table into architecture/peers.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from evaluation_data import CACHE, ROOT, data_folder
from pages import write

from llmapp.evaluation.beir import load_beir, read_corpus
from llmapp.evaluation.measures import MAIN, score_rankings

sys.path.insert(0, str(Path(__file__).parent / "peers"))  # where a worker, which has none of this project, is started too

from systems import NAMES, OURS, PEERS, System, install, is_installed, running

RATE_DOCUMENTS = 60
STATE = CACHE / "peers" / "state"
BATCH = 20
MOST_WARM_MS, MOST_COLD = 10.0, 0.2
PAGE = ROOT / "architecture" / "peers.md"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("systems", nargs="*", metavar="SYSTEM", help=f"of {', '.join(NAMES)}; all unless named")
    options.add_argument("--install", action="store_true", help="make the environments of the peers, and end")
    options.add_argument("--documents", type=int, default=1000, help="the first of SciFact; the judged ones come on top")
    options.add_argument("--questions", type=int, default=300, help="of SciFact's test questions, the first")
    options.add_argument("--rounds", type=int, default=3, help="of ingests and of all questions; cold starts take two more")
    options.add_argument("--write", action="store_true", help="put the table into architecture/peers.md")
    given = options.parse_args()
    wanted = given.systems or NAMES
    if given.install:
        for name in wanted:
            if name in PEERS:
                install(name)
        return 0
    absent = [name for name in wanted if name in PEERS and not is_installed(name)]
    if absent:
        print(f"skipped: {', '.join(absent)} not installed (python benchmarks/peer_comparison.py --install)")
        return 0
    documents, questions, judged = texts(given.documents, given.questions)
    found = measure([System.of(name) for name in wanted], documents, questions, given.rounds)
    lines = [
        f"{len(documents):,} abstracts, {len(questions)} questions, {given.rounds} rounds.",
        "",
        *table(found, judged),
        *aims(found),
    ]
    print("\n".join(lines))
    if given.write:
        write(PAGE, "peer_comparison.py", lines)
    return 0


# ---------------------------------------------------------------- what is measured


def texts(count: int, most_questions: int) -> tuple[list[tuple[str, str, str]], dict[str, str], dict[str, dict[str, int]]]:
    """Documents (id, title, text), questions by id, and grades of relevant documents by question."""
    folder = data_folder("scifact") / "beir"
    asked = [question for question in load_beir(folder).questions if question.is_judged][:most_questions]
    needed = {document for question in asked for document in question.documents}
    rows = [(name, title, text) for _, name, title, text in read_corpus(folder / "corpus.jsonl")]
    documents = [row for number, row in enumerate(rows) if number < count or row[0] in needed]
    return documents, {one.id: one.text for one in asked}, {one.id: dict(one.documents) for one in asked}


def measure(
    systems: list[System], documents: Sequence[tuple[str, str, str]], questions: dict[str, str], rounds: int
) -> list[System]:
    """Fill in what is found of each system."""
    folders = {one.name: ingested(one, documents) for one in systems}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        for number, one in in_turn(systems, rounds, "ingest"):
            folder = made(Path(scratch) / f"{one.slug}-{number}")
            one.rates.append(built(one, documents[:RATE_DOCUMENTS], folder))
    first = next(iter(questions.values()))
    for _, one in in_turn(systems, rounds + 2, "cold start"):
        one.colds_s.append(cold_s(one, folders[one.name], first))
    warm(systems, folders, questions, rounds)
    for one in systems:
        one.disk_mb = size_mb(folders[one.name])
    return systems


def ingested(one: System, documents: Sequence[tuple[str, str, str]]) -> Path:
    """The folder in which all documents are. What a peer has made is kept; what we make is made of the code as it is now."""
    key = hashlib.sha256(json.dumps([documents, one.configuration, one.requirements]).encode()).hexdigest()[:12]
    folder = STATE / f"{one.slug}-{key}"
    if not folder.with_suffix(".json").exists() or one.name in OURS:
        say(f"{one.name}: ingest of all")
        shutil.rmtree(folder, ignore_errors=True)
        built(one, documents, made(folder))
    return folder


def in_turn(systems: list[System], rounds: int, what: str) -> Iterator[tuple[int, System]]:
    """Every system once a round, each round begun by another one."""
    for number in range(rounds):
        say(f"{what}, round {number + 1} of {rounds}")
        for one in systems[number % len(systems) :] + systems[: number % len(systems)]:
            yield number, one


def built(one: System, documents: Sequence[tuple[str, str, str]], folder: Path) -> float:
    """Documents a second, with the model loaded before."""
    corpus = folder.with_suffix(".part")
    corpus.write_text(json.dumps(documents), encoding="utf-8")
    with running(one, folder) as process:
        rate = len(documents) / process.ask({"build": str(corpus)})["seconds"]
    corpus.rename(folder.with_suffix(".json"))
    return rate


def cold_s(one: System, folder: Path, question: str) -> float:
    """Seconds from the start of a process to its first hits; its files have been read before."""
    started = time.perf_counter()
    with running(one, folder) as process:
        process.ask({"search": [question]})
        return time.perf_counter() - started


def warm(systems: list[System], folders: dict[str, Path], questions: dict[str, str], rounds: int) -> None:
    """Every question to every system, a batch in turn; the first batch is asked once more before, for nothing."""
    names = list(questions)
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    with ExitStack() as all_of_them:
        processes = {one.name: all_of_them.enter_context(running(one, folders[one.name])) for one in systems}
        for one in systems:
            processes[one.name].ask({"search": [questions[name] for name in batches[0]]})
        for number in range(rounds):
            say(f"warm queries, round {number + 1} of {rounds}")
            for batch in batches:
                for one in systems:
                    answered = processes[one.name].ask({"search": [questions[name] for name in batch]})
                    one.warm_s.extend(answered["seconds"])
                    one.rankings.update(
                        {name: list(dict.fromkeys(ids)) for name, ids in zip(batch, answered["ids"], strict=True)}
                    )


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def size_mb(folder: Path) -> float:
    """Of its files, less those of the model: the others leave it where it was."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.suffix != ".onnx") / 1e6


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


# ---------------------------------------------------------------- what is told


def table(systems: list[System], judged: dict[str, dict[str, int]]) -> list[str]:
    lines = [
        "| system | nDCG@10 | documents/s | warm query p50 / p99 ms | cold process to first hit s | disk MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in systems:
        quality = score_rankings(judged, one.rankings).intervals()[MAIN]
        cells = (
            f"{quality.mean:.4f} ({quality.low:.3f} … {quality.high:.3f})",
            spread(one.rates, ".1f"),
            f"{percentile_ms(one, 50):.1f} / {percentile_ms(one, 99):.1f}",
            spread(one.colds_s, ".2f"),
            f"{one.disk_mb:.1f}",
        )
        lines.append(f"| {' | '.join((one.name, *cells))} |")
    return [*lines, "", *(f"- {one.name}: {how(one)}" for one in systems)]


def how(one: System) -> str:
    return one.configuration + (f" ({', '.join(one.requirements)})" if one.requirements else "")


def spread(values: list[float], shape: str) -> str:
    return f"{statistics.median(values):{shape}} [{min(values):{shape}}, {max(values):{shape}}]"


def percentile_ms(one: System, percent: int) -> float:
    return float(np.percentile(one.warm_s, percent) * 1e3)


def aims(systems: list[System]) -> list[str]:
    """What was aimed at, and what was reached."""
    ours = [one for one in systems if one.name in OURS]
    theirs = [one for one in systems if one.name not in OURS]
    if not ours or not theirs:
        return []
    best, quickest = min(theirs, key=cold_median_s), min(theirs, key=lambda one: percentile_ms(one, 50))
    lines = [
        f"- {one.name}: a warm query takes {percentile_ms(one, 50):.1f} ms (aim: at most {MOST_WARM_MS:g}), with {quickest.name}, the "
        f"quickest of the others, {percentile_ms(quickest, 50):.1f}; a cold start {cold_median_s(one) / cold_median_s(best):.2f} of that "
        f"of {best.name}, the best of theirs (aim: at most {MOST_COLD:g})"
        for one in ours
    ]
    return ["", *lines]


def cold_median_s(one: System) -> float:
    return statistics.median(one.colds_s)


if __name__ == "__main__":
    sys.exit(main())
