"""What becomes of every file of the parse corpus: read or refused, how long it took, how much of the expected text is there.

Run `python benchmarks/parse_corpus.py`. Two figures stand beside a file with expected text. *Reached* is the share of its running
words that the parsed text has at all. *Counted* takes every occurrence apart, and is the harsher where the reference, another
parser's output, repeats a merged cell in each of its columns or writes a chart out as a table.
"""

from __future__ import annotations

import contextlib
import html
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluation_data import data_folder
from rich.console import Console
from rich.table import Table

from llmapp.errors import LLMAppError
from llmapp.ingestion.parsing import ProcessParser
from llmapp.ingestion.parsing.limits import Limits
from llmapp.ingestion.parsing.media_types import sniff

ENOUGH = 0.9
"""Share of the expected words that a clean file reaches."""
_WORD = re.compile(r"\w+")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_ESCAPE = re.compile(r"\\([_*#\[\]|<>])")
_WORST = 15


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    path: str
    kind: str
    """Class in the manifest, e.g. ``clean``."""
    password: str | None
    seconds: float
    code: str
    """``read``, or the code of the error that refused it."""
    reason: str
    reached: float | None
    """Share of the expected running words that the text has; None without expected text."""
    counted: float | None
    """The same, every occurrence counted."""


def outcomes(folder: Path, parser: ProcessParser) -> Iterator[Outcome]:
    """Parse every file of the manifest, in its order."""
    for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        expected = folder / entry["expected"] if entry["expected"] else None
        yield _outcome(folder / entry["path"], entry, expected, parser)


def passwords(folder: Path) -> list[str]:
    """The passwords that the manifest gives."""
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return sorted({entry["password"] for entry in map(json.loads, lines) if entry["password"]})


def _outcome(path: Path, entry: dict[str, str], expected: Path | None, parser: ProcessParser) -> Outcome:
    content = path.read_bytes()
    started = time.perf_counter()
    text, code, reason = "", "read", ""
    try:
        text = parser.parse(content, media_type=sniff(content, name=path.name), name=path.name).text
    except LLMAppError as error:
        code, reason = error.code, error.message
    seconds = time.perf_counter() - started
    reached, counted = _shares(expected, text) if expected and code == "read" else (None, None)
    return Outcome(entry["path"], entry["class"], entry["password"], seconds, code, reason, reached, counted)


def _shares(expected: Path, text: str) -> tuple[float, float]:
    reference = _COMMENT.sub(" ", expected.read_text(encoding="utf-8"))
    reference = _TAG.sub(" ", reference) if expected.suffix == ".html" else _ESCAPE.sub(r"\1", reference)
    wanted, found = _words(html.unescape(reference)), _words(text)
    total = max(1, wanted.total())
    return sum(count for word, count in wanted.items() if word in found) / total, (wanted & found).total() / total


def _words(text: str) -> Counter[str]:
    return Counter(word.casefold() for word in _WORD.findall(text))


def _classes(found: list[Outcome]) -> Table:
    table = Table("class", "files", "read", "refused", "slowest", title="Parse corpus")
    by_kind: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found:
        by_kind[outcome.kind].append(outcome)
    for kind, group in sorted(by_kind.items()):
        codes = Counter(outcome.code for outcome in group)
        read = codes.pop("read", 0)
        refused = ", ".join(f"{code} {count}" for code, count in codes.most_common())
        table.add_row(kind, str(len(group)), str(read), refused, f"{max(outcome.seconds for outcome in group):.2f} s")
    return table


def _recall(found: list[Outcome]) -> Table:
    table = Table("file", "class", "reached", "counted", title=f"Expected words, the {_WORST} lowest")
    compared = sorted((one for one in found if one.reached is not None), key=lambda one: one.reached or 0.0)
    for outcome in compared[:_WORST]:
        table.add_row(Path(outcome.path).name, outcome.kind, f"{outcome.reached:.3f}", f"{outcome.counted:.3f}")
    return table


def _refusals(found: list[Outcome]) -> Table:
    table = Table("file", "class", "code", "reason", title="Refused")
    for outcome in found:
        if outcome.code != "read":
            table.add_row(Path(outcome.path).name, outcome.kind, outcome.code, outcome.reason.partition(": ")[2][:80])
    return table


def main() -> None:
    folder = data_folder("parse-corpus")
    limits = Limits()
    started = time.perf_counter()
    with contextlib.closing(ProcessParser(workers=1, limits=limits, passwords=passwords(folder))) as parser:
        found = list(outcomes(folder, parser))
    seconds = time.perf_counter() - started
    console = Console()
    for table in (_classes(found), _recall(found), _refusals(found)):
        console.print(table)
    clean = [one for one in found if one.kind == "clean" and one.reached is not None]
    crashed = sum(one.code == "parser_crashed" for one in found)
    console.print(
        f"{len(found)} files in {seconds:.1f} s, slowest {max(one.seconds for one in found):.2f} s of {limits.seconds:g} s; "
        f"{crashed} cost a worker; {sum((one.reached or 0) >= ENOUGH for one in clean)} of {len(clean)} clean files "
        f"reach {ENOUGH:g} of their words, lowest {min(one.reached or 0 for one in clean):.3f}"
    )


if __name__ == "__main__":
    main()
