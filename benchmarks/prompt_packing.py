"""How much of the evidence a token budget keeps, by how the prompt is packed, and what packing takes.

Evidence: three corpora of Chroma's chunking evaluation in windows of 200 tokens that overlap by 100, the best 50 by BM25 for
each question; the share of the characters of the questions' references that stand in the prompt, on average. Every packer may
have as many tokens, counted on the finished text, and none frames its passages.

    prefix     best first, up to the first that does not fit
    skip       best first, over what does not fit
    density    most score for a token first
    knapsack   the most score that fits
    ours       best first, new text charged alone, overlaps one passage, the best that does not fit cut

Speed: 1,000 items whose tokens are counted into 128,000, beside joining the same texts; then whole assemblies, of chunks that
are counted. In seconds of the processor, for other programs may run.
"""

from __future__ import annotations

import csv
import json
import math
import random
import statistics
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from evaluation_data import data_folder

from llmapp.prompting import Assembler
from llmapp.prompting.allocation import Item, Section, Span, allocate
from llmapp.prompting.allocation.exact import best_units
from llmapp.prompting.counting import BpeCounter
from llmapp.prompting.evidence import shortened
from llmapp.types import Chunk, Hit, Message, Tool
from llmapp.words.analysis import Words

BUDGETS = (300, 500, 1_000, 2_000)
CHUNK_TOKENS, OVERLAP_TOKENS = 200, 100
CANDIDATES = 50
JOINT = "\n\n"
K1, B = 0.9, 0.4
"""Of BM25, as Anserini has them (Trotman et al. 2014)."""

COUNT = BpeCounter().count
WORDS = Words()

Spans = list[tuple[int, int]]
Packer = Callable[["Candidates", int], Spans]


@dataclass(frozen=True)
class Candidates:
    """What was found for a question, best first."""

    text: str
    """Of the corpus."""
    spans: Sequence[tuple[int, int]]
    tokens: Sequence[int]
    scores: Sequence[float]

    def size(self, spans: Spans) -> int:
        """Tokens of a prompt of these spans."""
        return COUNT(JOINT.join(self.text[start:end] for start, end in spans))


class Corpus:
    """A text in windows, ranked by BM25."""

    def __init__(self, text: str) -> None:
        """Cut it and count its terms."""
        self.text = text
        self.spans = _windows(text)
        self.tokens = [COUNT(text[start:end]) for start, end in self.spans]
        self._postings: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        documents = [Counter(WORDS.terms(text[start:end])) for start, end in self.spans]
        lengths = [counts.total() for counts in documents]
        mean = statistics.mean(lengths)
        for index, counts in enumerate(documents):
            for term, count in counts.items():
                weight = count * (K1 + 1) / (count + K1 * (1 - B + B * lengths[index] / mean))
                self._postings[term].append((index, weight))

    def find(self, question: str) -> Candidates:
        """The best for a question."""
        scores: defaultdict[int, float] = defaultdict(float)
        for term in WORDS.question(question):
            found = self._postings.get(term, [])
            idf = math.log(1 + (len(self.spans) - len(found) + 0.5) / (len(found) + 0.5))
            for index, weight in found:
                scores[index] += idf * weight
        best = sorted(scores, key=lambda index: (-scores[index], index))[:CANDIDATES]
        return Candidates(
            self.text,
            [self.spans[index] for index in best],
            [self.tokens[index] for index in best],
            [scores[index] for index in best],
        )


def _windows(text: str) -> Spans:
    """Windows of whole words; a word is reckoned with the space before it."""
    ends, place = [], 0
    for word in text.split(" "):
        place += len(word) + 1
        ends.append(min(place, len(text)))
    starts = [0, *ends[:-1]]
    sums = list(accumulate((COUNT(text[start:end]) for start, end in zip(starts, ends, strict=True)), initial=0))
    spans, first = [], 0
    while first < len(ends):
        last = max(first + 1, bisect_right(sums, sums[first] + CHUNK_TOKENS) - 1)
        start, end = starts[first], ends[last - 1]
        stripped = text[start:end].strip()
        if stripped:
            start += text[start:end].index(stripped)
            spans.append((start, start + len(stripped)))
        if last == len(ends):
            break
        first = max(first + 1, bisect_right(sums, sums[last] - OVERLAP_TOKENS) - 1)
    return spans


def prefix(found: Candidates, budget_tokens: int) -> Spans:
    kept: Spans = []
    for span in found.spans:
        if found.size([*kept, span]) > budget_tokens:
            break
        kept.append(span)
    return kept


def skip(found: Candidates, budget_tokens: int, order: Sequence[int] | None = None) -> Spans:
    kept: Spans = []
    left_tokens = budget_tokens
    for index in range(len(found.spans)) if order is None else order:
        # The sum first, for speed: the joint is a token, and may take one more.
        if found.tokens[index] - 4 <= left_tokens and found.size([*kept, found.spans[index]]) <= budget_tokens:
            kept.append(found.spans[index])
            left_tokens = budget_tokens - found.size(kept)
    return kept


def density(found: Candidates, budget_tokens: int) -> Spans:
    order = sorted(range(len(found.spans)), key=lambda index: -found.scores[index] / found.tokens[index])
    return skip(found, budget_tokens, order)


def knapsack(found: Candidates, budget_tokens: int) -> Spans:
    kept = [found.spans[index] for index in best_units([t + 1 for t in found.tokens], found.scores, budget_tokens)]
    while found.size(kept) > budget_tokens:
        kept.pop()
    return kept


def ours(found: Candidates, budget_tokens: int, *, shrink: bool = True) -> Spans:
    items = [
        Item(f"{index}", "sources", tokens + 1, score=score, span=Span("text", *span), frame_tokens=1)
        for index, (span, tokens, score) in enumerate(zip(found.spans, found.tokens, found.scores, strict=True))
    ]
    allocation = allocate(
        items,
        sections=[Section("sources", shrink="sentences" if shrink else "drop")],
        budget_tokens=budget_tokens,
        count_request=lambda kept: found.size(_merged(kept)),
        shorten=lambda item, tokens: _shortened(found, item, tokens),
    )
    COUNTS.append(allocation.counts)
    return _merged(allocation.kept)


COUNTS: list[int] = []


def _merged(kept: Sequence[Item]) -> Spans:
    merged: Spans = []
    for start, end in sorted((item.span.start_char, item.span.end_char) for item in kept if item.span):
        if merged and start <= merged[-1][1] + len(JOINT):
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _shortened(found: Candidates, item: Item, tokens: int) -> Item | None:
    if item.span is None:
        return None
    text = found.text[item.span.start_char : item.span.end_char]
    cut = shortened(text, size=COUNT, most=tokens - item.frame_tokens)
    if cut is None:
        return None
    span = item.span._replace(end_char=item.span.start_char + len(cut.text))
    return replace(item, tokens=COUNT(cut.shown) + item.frame_tokens, span=span)


def recall(spans: Spans, references: Spans) -> float:
    """Share of the characters of the references that the spans hold."""
    held = {place for start, end in spans for place in range(start, end)}
    wanted = {place for start, end in references for place in range(start, end)}
    return len(held & wanted) / len(wanted)


def evidence() -> None:
    folder = data_folder("chunking")
    with (folder / "questions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    corpora = {
        name: Corpus((folder / f"{name}.md").read_text(encoding="utf-8")) for name in {row["corpus_id"] for row in rows}
    }
    asked = [
        (
            corpora[row["corpus_id"]].find(row["question"]),
            [(r["start_index"], r["end_index"]) for r in json.loads(row["references"])],
        )
        for row in rows
    ]
    packers: dict[str, Packer] = {
        "prefix": prefix,
        "skip": skip,
        "density": density,
        "knapsack": knapsack,
        "ours, nothing cut": lambda found, budget: ours(found, budget, shrink=False),
        "ours": ours,
    }
    print(f"evidence recall, {len(asked)} questions, windows of {CHUNK_TOKENS} tokens overlapping by {OVERLAP_TOKENS}")
    print(f"{'':<18}" + "".join(f"{budget:>8,}" for budget in BUDGETS))
    for name, pack in packers.items():
        means = []
        for budget_tokens in BUDGETS:
            packed = [(found, pack(found, budget_tokens), references) for found, references in asked]
            over = sum(found.size(spans) > budget_tokens for found, spans, _ in packed)
            if over:
                raise AssertionError(f"{name} is over the budget {over} times")
            means.append(statistics.mean(recall(spans, references) for _, spans, references in packed))
        print(f"{name:<18}" + "".join(f"{mean:>8.3f}" for mean in means))
    print(f"counts of the whole request: {statistics.mean(COUNTS):.2f} on average, {max(COUNTS)} at most")


def drawn_texts(number: int) -> list[str]:
    drawn = random.Random(1)  # noqa: S311 - texts, not secrets
    words = ["water", "damage", "is", "reported", "within", "72", "hours", "to", "the", "adjuster", "who", "calls", "back"]
    return [" ".join(drawn.choices(words, k=drawn.randint(80, 320))) for _ in range(number)]


def speed() -> None:
    drawn = random.Random(2)  # noqa: S311 - values, not secrets
    texts = drawn_texts(1_000)
    for name, valued in (("by order", False), ("by calibrated value", True)):
        items = [
            Item(f"{n}", "sources", COUNT(text) + 1, value=drawn.random() if valued else None, text=text)
            for n, text in enumerate(texts)
        ]
        seconds: list[float] = []
        counting_s: list[float] = []

        def counted(kept: Sequence[Item], spent: list[float] = counting_s) -> int:
            started = time.process_time()
            tokens = COUNT(JOINT.join(item.text or "" for item in kept))
            spent.append(time.process_time() - started)
            return tokens

        for _ in range(21):
            counting_s.clear()
            started = time.process_time()
            allocation = allocate(items, sections=[Section("sources")], budget_tokens=128_000, count_request=counted)
            seconds.append(time.process_time() - started - sum(counting_s))
        started = time.process_time()
        for _ in range(100):
            JOINT.join([f"[{n}] {item.text}" for n, item in enumerate(allocation.kept)])
        joined_s = (time.process_time() - started) / 100
        took_s = statistics.median(seconds)
        print(
            f"1,000 items into 128,000 tokens {name}: {took_s * 1e3:.1f} ms and {allocation.counts} counts, "
            f"{len(allocation.kept)} kept, {allocation.used_tokens:,} tokens; {took_s / joined_s:.0f} times as long as joining them"
        )


class TimedCounter(BpeCounter):
    """Knows how long whole requests took to count, and how many there were."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.requests_s: list[float] = []

    def count_request(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> int:
        """As OpenAI's models do, and time it."""
        started = time.process_time()
        tokens = super().count_request(messages, tools=tools)
        self.requests_s.append(time.process_time() - started)
        return tokens


def assemblies() -> None:
    for number, budget_tokens in ((1_000, 128_000), (50, 8_000), (8, 3_000)):
        counter = TimedCounter()
        assembler = Assembler(counter, budget_tokens=budget_tokens, reserve_output_tokens=500)
        chunks = [
            Chunk(f"c{n}", "s", f"d{n}", "u", "Handbook", text, 0, len(text)) for n, text in enumerate(drawn_texts(number))
        ]
        hits = [Hit(chunk, 1 / rank, rank, "fused") for rank, chunk in enumerate(chunks, start=1)]
        took: list[tuple[float, float]] = []
        for turn in range(21):
            counter.requests_s.clear()
            started = time.process_time()
            assembler.assemble(
                f"What is reported {turn}?", hits
            )  # another mark each time: only the chunks are counted before
            took.append((time.process_time() - started, sum(counter.requests_s)))
        whole_s = statistics.median(whole for whole, _ in took)
        apart_s = statistics.median(whole - counting for whole, counting in took)
        print(
            f"{number:,} hits into {budget_tokens:,} tokens: {whole_s * 1e3:.1f} ms, {apart_s * 1e3:.1f} without counts of requests"
        )


if __name__ == "__main__":
    speed()
    assemblies()
    evidence()
