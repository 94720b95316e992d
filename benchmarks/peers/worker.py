"""One system in a process of its own: takes commands from standard input and answers on standard output, a line of JSON each.

python worker.py peer_txtai:Peer FOLDER WEIGHTS

{"build": "documents.json"}      ->  {"seconds": 12.3}; the model is loaded before the clock starts
{"search": ["a question", ...]}  ->  {"seconds": [0.02, ...], "ids": [["id", ...], ...]}
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol


class Peer(Protocol):
    """What a system does here. It is made with a folder for its state and the folder of the model, and loads nothing yet."""

    def load(self) -> None:
        """Load the model, so that building is timed without it."""

    def build(self, documents: list[tuple[str, str, str]]) -> None:
        """Take documents in (id, title, text), so that a new process can search them."""

    def search(self, question: str) -> list[str]:
        """Documents of the `TOP_K` best chunks, best first; one may come twice. Opens what `build` has left, the first time."""


TOP_K = 20
"""Chunks that a search returns, and that it asks of each side where it must say so: ten different documents are nearly always among them."""


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a package prints is no answer
    module, _, name = sys.argv[1].partition(":")
    system: Peer = getattr(import_module(module), name)(Path(sys.argv[2]), Path(sys.argv[3]))
    for line in sys.stdin:
        print(json.dumps(answer(system, json.loads(line))), file=answers, flush=True)


def answer(system: Peer, asked: dict[str, Any]) -> dict[str, Any]:
    if "build" in asked:
        documents = json.loads(Path(asked["build"]).read_text(encoding="utf-8"))
        system.load()
        return {"seconds": timed(lambda: system.build([tuple(row) for row in documents]))[0]}
    found = [timed(lambda question=question: system.search(question)) for question in asked["search"]]
    return {"seconds": [seconds for seconds, _ in found], "ids": [ids for _, ids in found]}


def timed(work: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    main()
