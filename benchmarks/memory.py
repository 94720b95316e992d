"""Memory of an ingest, however large the source: one text of 300 MB, and a folder of 100,000 tiny files (aim: below 1 GB).

Each is taken in by `App.sync` in a process of its own, Chroma included, with an embedder that costs next to nothing: memory is
the matter here, not speed. Counted is all that the process and its children hold at the same time (resident set, shared pages
counted in each), looked at every 20 ms, and the system's own high-water mark of the process. The folder is then synced
once more, unchanged.

    python benchmarks/memory.py                     # both, takes minutes
    python benchmarks/memory.py text --megabytes 30
    python benchmarks/memory.py folder --files 10000
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from llmapp.application import App
from llmapp.config import PriceSettings, Settings, SourceSettings

AIM_MB = 1000
SAMPLE_S = 0.02
MB = 1_000_000
STAGES = ("read", "parse", "embed", "commit", "index", "total")
WORD = re.compile(r"\w+|[^\w\s]")
WORDS = (
    "river",
    "stone",
    "market",
    "ledger",
    "harbour",
    "signal",
    "winter",
    "letter",
    "engine",
    "garden",
    "council",
    "copper",
)


class Words:
    """One token a word or sign."""

    identity = "words"
    special_tokens = 2

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Their spans."""
        return [match.span() for match in WORD.finditer(text)]

    def count(self, text: str) -> int:
        """How many there are."""
        return len(WORD.findall(text))


class QuickEmbedder:
    """A vector that is a hash of its text; texts of equal words are equal, and no more is wanted here."""

    identity = "quick/64"
    dim = 64
    max_tokens = 256
    tokenizer = Words()

    def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (len(texts), 64)."""
        hashes = b"".join(hashlib.shake_128(text.encode()).digest(self.dim) for text in texts)
        vectors = np.frombuffer(hashes, dtype=np.int8).reshape(len(texts), self.dim).astype(np.float32) + 0.5
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def embed_query(self, text: str) -> np.ndarray:
        """Shape (64,)."""
        return self.embed_documents([text])[0]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("case", nargs="?", choices=("text", "folder"), help="which one; both where none is named")
    options.add_argument("--megabytes", type=int, default=300, help="size of the text")
    options.add_argument("--files", type=int, default=100_000, help="files in the folder")
    options.add_argument("--child", nargs=2, metavar=("ROOT", "SOURCE"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        ingest(*map(Path, given.child))
        return
    from rich.console import Console  # not in the process that is measured
    from rich.table import Table

    table = Table("ingest", "documents", "chunks", *(f"{stage} s" for stage in STAGES), "peak MB", "while", title="Memory")
    place = Path(tempfile.mkdtemp())
    try:
        if given.case != "folder":
            name = f"one text, {given.megabytes} MB"
            (place / "text").mkdir()
            write_text(place / "text/text.txt", given.megabytes * MB)
            table.add_row(name, *measured(place / "text-root", place / "text"))
        if given.case != "text":
            write_folder(place / "folder", given.files)
            for turn in ("", ", again"):
                table.add_row(f"{given.files:,} files{turn}", *measured(place / "folder-root", place / "folder"))
    finally:
        shutil.rmtree(place)
    Console(width=140).print(table, f"aim: below {AIM_MB:,} MB", sep="\n")


def write_text(path: Path, size_bytes: int) -> None:
    """Paragraphs of plain words; each begins with its number, so none is like another."""
    paragraphs = [_sentence(pick, 90) for pick in map(random.Random, range(500))]
    number = written = 0
    with path.open("w", encoding="utf-8") as file:
        while written < size_bytes:
            written += file.write(f"Entry {number}: {paragraphs[number % len(paragraphs)]}\n\n")
            number += 1


def write_folder(folder: Path, files: int) -> None:
    """Notes of one sentence, a thousand to a folder."""
    pick = random.Random(7)  # noqa: S311 - not a secret
    for number in range(files):
        place = folder / f"{number // 1000:03}"
        if number % 1000 == 0:
            place.mkdir(parents=True)
        (place / f"note-{number:06}.txt").write_text(f"Note {number}: {_sentence(pick, 12)}\n", encoding="utf-8")


def _sentence(pick: random.Random, words: int) -> str:
    return " ".join(pick.choices(WORDS, k=words)).capitalize() + "."


def ingest(root: Path, source: Path) -> None:
    """What the child does: one sync; tells on a line each when a phase begins, and at the end what it did."""
    given = SourceSettings(name="source", acl=("public",), settings={"path": str(source)})
    free = PriceSettings(input_usd_per_million=0)
    settings = Settings(root=root, sources=(given,), prices={QuickEmbedder.identity: free})
    tell("start")
    with App(settings, embedder=QuickEmbedder()) as app:
        apply = app.projection.apply_pending
        app.projection.apply_pending = lambda: tell("index") or apply()  # type: ignore[method-assign]
        tell("run")
        (report,) = app.ingest()
        tell("end")
        counts = app.catalog.counts()
        seconds = app.catalog.runs(1)[0].seconds
    print(json.dumps({"documents": counts.documents, "chunks": counts.chunks, "pending": counts.pending, "seconds": seconds,
                      "unchanged": report.unchanged}), flush=True)  # fmt: skip


def tell(phase: str) -> None:
    print(json.dumps({"phase": phase, "at": time.monotonic()}), flush=True)


@dataclass
class Watched:
    """Memory of a process and its children over time."""

    samples: list[tuple[float, int]] = field(default_factory=list)
    """Seconds of the monotonic clock and bytes."""
    high_water_bytes: int = 0
    """Of the process itself, as the system has kept it."""

    def look(self, pid: int) -> None:
        """Take one sample.

        Raises:
            OSError: The process has ended.
        """
        facts = status(pid)
        held = sum(status(one).get("VmRSS", 0) for one in family(pid))
        self.samples.append((time.monotonic(), held))
        self.high_water_bytes = max(self.high_water_bytes, facts.get("VmHWM", 0))


def status(pid: int) -> dict[str, int]:
    """What the system tells of the memory of a process. Bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return {
        name: int(rest.split()[0]) << 10 for name, _, rest in (line.partition(":") for line in lines) if name[:2] == "Vm"
    }


def family(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in tasks.read_text(encoding="ascii").split():
                yield from family(int(child))


def measured(root: Path, source: Path) -> list[str]:
    """The cells of one ingest."""
    command = [sys.executable, __file__, "--child", str(root), str(source)]
    watched = Watched()
    with tempfile.TemporaryFile("w+") as told:
        with subprocess.Popen(command, stdout=told) as child:
            while child.poll() is None:
                with contextlib.suppress(OSError):
                    watched.look(child.pid)
                time.sleep(SAMPLE_S)
        if child.returncode:
            sys.exit(child.returncode)
        told.seek(0)
        return cells([json.loads(line) for line in told], watched)


def cells(told: Sequence[dict], watched: Watched) -> list[str]:
    *phases, done = told
    starts = {one["phase"]: one["at"] for one in phases}
    at, most = max(watched.samples, key=lambda sample: sample[1])
    phase = max((name for name in starts if starts[name] <= at), key=lambda name: starts[name], default="start")
    seconds = {**done["seconds"], "index": starts["end"] - starts["index"], "total": starts["end"] - starts["run"]}
    return [
        f"{done['documents']:,}",
        f"{done['chunks']:,}",
        *(f"{seconds[stage]:.1f}" for stage in STAGES),
        f"{max(most, watched.high_water_bytes) / MB:.0f}",
        phase,
    ]


if __name__ == "__main__":
    main()
