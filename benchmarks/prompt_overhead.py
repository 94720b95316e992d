r"""What a prompt within a budget costs beside plain string formatting, and how often the whole request is counted for it.

    python benchmarks/prompt_overhead.py

Plain is ``"\n\n".join`` of numbered sources and ``str.format``, which counts nothing and cuts nothing. The whole `Assembler` is
timed with counts that it has made before (the same chunks come again in most questions) and with none, where each text is
tokenised for the first time. Milliseconds of the processor, medians, with the default template and o200k_base.

Counts of the whole request are those of random packs, as `packer_comparison.py` has them, with three tokenizers.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation_data import data_folder

from llmapp.prompting import Assembler, Chunk, Hit, Message, counter_for
from llmapp.protocols import TokenCounter
from llmapp.types import Tool

sys.path.insert(0, str(Path(__file__).parent / "peers"))

from packer_llmapp import assembler_request
from packing_inputs import Bytes, Pack, kinds, packs

CASES = ((8, 3_000), (50, 8_000))
"""Hits, and tokens of the budget."""
CHUNK_CHARS = 1_200
REPEATS = 31
PACKS = 10
QUESTION = "What is said about the economy, and who is named?"
PLAIN = "Answer from the sources and cite them.\n\nSources:\n{sources}\n\nQuestion: {question}"


@dataclass
class Timed:
    """A counter that says how long it took, and how often whole requests were counted."""

    counter: TokenCounter
    seconds: float = 0.0
    requests: int = 0

    @property
    def name(self) -> str:
        """As its counter."""
        return self.counter.name

    @property
    def is_exact(self) -> bool:
        """As its counter."""
        return self.counter.is_exact

    @property
    def is_exact_with_tools(self) -> bool:
        """As its counter."""
        return self.counter.is_exact_with_tools

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return self._timed(lambda: self.counter.count(text))

    def count_request(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> int:
        """Tokens of a request."""
        asks = bool(messages) and messages[-1].role == "user" and bool(messages[-1].content)
        self.requests += asks  # a turn ends with the assistant, a beginning with an empty question
        return self._timed(lambda: self.counter.count_request(messages, tools=tools))

    def upper_bound(self, text: str) -> int:
        """As its counter."""
        return self._timed(lambda: self.counter.upper_bound(text))

    def _timed(self, work: Callable[[], int]) -> int:
        started = time.process_time()
        tokens = work()
        self.seconds += time.process_time() - started
        return tokens


def speed() -> None:
    text = (data_folder("chunking") / "state_of_the_union.md").read_text(encoding="utf-8")
    for hits, budget_tokens in CASES:
        found = list(_hits(text, hits))
        plain_s = statistics.median(_plain_s(found) for _ in range(REPEATS))
        known = Assembler(counter_for("gpt-4o"), budget_tokens=budget_tokens, reserve_output_tokens=500)
        for name, is_new in (("counts known", False), ("first time", True)):
            took = [_assembled_s(known, found, is_new=is_new) for _ in range(REPEATS)][1:]
            whole_s, counting_s = (statistics.median(each) for each in zip(*took, strict=True))
            print(
                f"{hits:2} hits into {budget_tokens:,} tokens, {name:12}: {whole_s * 1e3:6.2f} ms, of which counting "
                f"{counting_s / whole_s:4.0%}; plain formatting {plain_s * 1e3:.3f} ms, {whole_s / plain_s:,.0f} times as long"
            )


def _hits(text: str, count: int) -> Iterator[Hit]:
    """Chunks of one document that lie apart, best first."""
    step = (len(text) - CHUNK_CHARS) // count
    for rank, start in enumerate(range(0, step * count, step), 1):
        chunk = Chunk(f"c{rank}", "s", f"d{rank}", f"u{rank}", "Speech", text[start : start + CHUNK_CHARS], 0, CHUNK_CHARS)
        yield Hit(chunk, 1 / rank, rank, "fused")


def _plain_s(found: Sequence[Hit]) -> float:
    started = time.process_time()
    for _ in range(100):
        sources = "\n\n".join(f"[{hit.rank}] {hit.chunk.title}\n{hit.chunk.text}" for hit in found)
        PLAIN.format(sources=sources, question=QUESTION)
    return (time.process_time() - started) / 100


def _assembled_s(known: Assembler, found: Sequence[Hit], *, is_new: bool) -> tuple[float, float]:
    """Seconds of all, and of counting; a counter that is new remembers no count."""
    timed = Timed(counter_for("gpt-4o") if is_new else known.counter)
    assembler = known.for_model(timed, reserve_output_tokens=500)
    started = time.process_time()
    assembler.assemble(QUESTION, found)
    return time.process_time() - started, timed.seconds


def counts() -> None:
    tokenizers = {"o200k": counter_for("gpt-4o"), "cl100k": counter_for("gpt-4"), "bytes": Bytes()}
    for task in ("request", "conversation"):
        found: list[int] = []
        for counter in tokenizers.values():
            for kind, text in kinds().items():
                given = (pack for pack in packs(kind, text, counter, PACKS) if pack.task == task)
                found += [_requests(pack, counter) for pack in given]
        cuts = statistics.quantiles(found, n=20)
        print(
            f"whole requests counted, {len(found)} random packs, {task}: p50 {cuts[9]:.0f}, p95 {cuts[18]:.0f}, most {max(found)}"
        )


def _requests(pack: Pack, counter: TokenCounter) -> int:
    timed = Timed(counter)
    assembler_request(pack, timed)
    return timed.requests


if __name__ == "__main__":
    speed()
    counts()
