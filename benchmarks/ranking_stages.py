"""What every step of the ranking gains, and what it costs: quality, evidence in what is found, and time against fused search alone.

Quality is nDCG@10 of documents on samples of SciFact and SQuAD 2.0. Evidence is what an answer can be made from: of the passages
that the questions of the chunking set (three long texts) ask for, the share of characters that stands in the first hits; beside it
the characters of those hits, which a prompt must hold. Time is that of a whole search of SciFact as a ratio to the default's, the
median over questions.

No package that we found ships the weights of a cross-encoder. One of the shape of ms-marco-MiniLM-L6 with an untrained head is measured for its
time alone. The last row is two bare parts of a search: the question embedded, and Chroma asked for ten ids.

    python benchmarks/ranking_stages.py [--write]

It uses the catalogs of quality_table.py, or makes them; ``--write`` puts the table into architecture/quality.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median

from evaluation_data import data_folder
from pages import write
from quality_table import PAGE, SETS, STATE, weights

from llmapp.application import App
from llmapp.config import load_settings
from llmapp.evaluation.corpora import asked
from llmapp.evaluation.datasets import load_dataset
from llmapp.evaluation.measures import MAIN
from llmapp.evaluation.questions import Dataset, Question
from llmapp.evaluation.retrieval import evaluate_retrieval
from llmapp.evaluation.scores import Scores
from llmapp.evaluation.variants import varied
from llmapp.retrieval.embedders.minilm import MiniLMEmbedder
from llmapp.types import Hit

VARIANTS = {
    "fused, `convex` (the default)": (),
    "fused, `rrf`": ("retrieval.fusion=rrf",),
    "+ `diversity = 0.1`": ("retrieval.diversity=0.1",),
    "+ `diversity = 0.3`": ("retrieval.diversity=0.3",),
    '+ `expand = "neighbours"`': ("retrieval.expand=neighbours",),
    '+ `expand = "document"`, 4,000 characters': ("retrieval.expand=document",),
}
DEFAULT = next(iter(VARIANTS))
SLOW = "+ a cross-encoder of six layers, untrained, 30 hits"
BARE = "for comparison: the question embedded, and Chroma asked for ten ids"
QUALITY = ("SciFact", "SQuAD 2.0")
QUESTIONS = 100
EVIDENCE_QUESTIONS = 150
TIMED, TIMED_SLOW = 90, 6
"""Questions whose searches are timed; a cross-encoder takes seconds for each."""
FIRST = (3, 8)
"""Hits whose evidence is counted; 8 are those that a prompt is offered."""
EXACT = "retrieval.exact_up_to=20000"
"""One process has the index at a time; exact search is the same for all."""
SCRIPT = "ranking_stages.py"


@dataclass(frozen=True)
class Evidence:
    """A question, and where in a text its evidence stands."""

    question: Question
    document: str
    characters: frozenset[int]

    def share_in(self, hits: Sequence[Hit]) -> float:
        """Share of the characters that stand in `hits`."""
        held: set[int] = set()
        for hit in (hit for hit in hits if hit.chunk.document_id == self.document):
            held |= self.characters.intersection(range(hit.chunk.start_char, hit.chunk.end_char))
        return len(held) / len(self.characters)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--write", action="store_true", help="put the table into architecture/quality.md")
    given = options.parse_args()
    STATE.mkdir(parents=True, exist_ok=True)
    (STATE / "llmapp.toml").touch()
    with App(load_settings(STATE), embedder=MiniLMEmbedder()) as app:
        quality = {name: qualities(app, sample(name)) for name in QUALITY}
        evidence = evidences(app)
        times = timings(app, sample("SciFact"))
    lines = list(table(quality, evidence, times))
    print("\n".join(lines))
    if given.write:
        write(PAGE, SCRIPT, lines)


def sample(name: str) -> Dataset:
    folder, _, inner = SETS[name].partition("/")
    dataset = load_dataset(data_folder(folder) / inner)
    return replace(dataset, questions=dataset.judged).sample(QUESTIONS)


@contextmanager
def opened(app: App, dataset: Dataset, variants: Mapping[str, Sequence[str]]) -> Iterator[dict[str, App]]:
    """An application for each variant, all over the same catalog."""
    with ExitStack() as stack:
        chosen = {name: stack.enter_context(varied(app, (EXACT, *changes))) for name, changes in variants.items()}
        yield {name: stack.enter_context(asked(variant, dataset)) for name, variant in chosen.items()}


def qualities(app: App, dataset: Dataset) -> dict[str, Scores]:
    scores = {}
    for name, changes in VARIANTS.items():
        with varied(app, (EXACT, *changes)) as variant:
            report = evaluate_retrieval(variant, dataset, depth=10)
        scores[name] = report.scores
        print(f"{dataset.name}  {name}  {report.scores.intervals()[MAIN].mean:.4f}", file=sys.stderr, flush=True)
    return scores


def evidences(app: App) -> dict[str, dict[int, tuple[float, float]]]:
    """By variant and number of first hits: mean share of the evidence, and mean characters of the hits."""
    dataset, wanted = chunking_set()
    found = {}
    with opened(app, dataset, VARIANTS) as variants:
        for name, variant in variants.items():
            hits = [variant.search(each.question.text, top_k=max(FIRST)) for each in wanted]
            found[name] = {
                count: (
                    mean(each.share_in(some[:count]) for each, some in zip(wanted, hits, strict=True)),
                    mean(sum(len(hit.chunk.text) for hit in some[:count]) for some in hits),
                )
                for count in FIRST
            }
            print(f"evidence  {name}  {found[name]}", file=sys.stderr, flush=True)
    return found


def chunking_set() -> tuple[Dataset, list[Evidence]]:
    folder, corpus = data_folder("chunking"), STATE / "chunking.jsonl"
    with (folder / "questions.csv").open(encoding="utf-8", newline="") as opened_file:
        rows = list(csv.DictReader(opened_file))
    names = sorted({row["corpus_id"] for row in rows})
    texts = [{"_id": name, "title": name, "text": (folder / f"{name}.md").read_text(encoding="utf-8")} for name in names]
    corpus.write_text("".join(json.dumps(each) + "\n" for each in texts), encoding="utf-8")
    questions = tuple(Question(str(n), row["question"], documents={row["corpus_id"]: 1}) for n, row in enumerate(rows))
    dataset = Dataset("chunking", questions, corpus).sample(EVIDENCE_QUESTIONS)
    return dataset, [evidence_of(question, rows[int(question.id)]) for question in dataset.questions]


def evidence_of(question: Question, row: Mapping[str, str]) -> Evidence:
    spans = [range(each["start_index"], each["end_index"]) for each in json.loads(row["references"])]
    return Evidence(question, row["corpus_id"], frozenset(char for span in spans for char in span))


def timings(app: App, dataset: Dataset) -> dict[str, float]:
    """How many times as long as with the defaults a search takes: the median over questions, by variant.

    All are asked in turn, to and fro, so that the load of the machine and what stands before one in turn meet all alike.
    """
    variants = {**VARIANTS, SLOW: (f"retrieval.reranker=cross-encoder:{untrained()}",)}
    with opened(app, dataset, variants) as apps:
        searches: dict[str, Callable[[str], object]] = {name: each.find for name, each in apps.items()}
        bare = apps[DEFAULT]
        searches[BARE] = lambda text: bare.index.query(bare.embedder.embed_query(text), top_k=10)
        for search in searches.values():
            search(dataset.questions[0].text)  # the first one loads
        ratios: dict[str, list[float]] = {name: [] for name in searches}
        for number, question in enumerate(dataset.questions[1 : TIMED + 1]):
            names = [name for name in searches if name != SLOW or number < TIMED_SLOW]
            seconds = {name: seconds_of(searches[name], question.text) for name in (names[::-1] if number % 2 else names)}
            for name in names:
                ratios[name].append(seconds[name] / seconds[DEFAULT])
    return {name: median(each) for name, each in ratios.items()}


def seconds_of(search: Callable[[str], object], text: str) -> float:
    started = time.perf_counter()
    search(text)
    return time.perf_counter() - started


def untrained() -> Path:
    """A cross-encoder of six layers of 384, as ms-marco-MiniLM-L6 has them; its scores mean nothing."""
    folder = STATE / "untrained-cross-encoder"
    if not folder.is_dir():
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        AutoModelForSequenceClassification.from_pretrained(weights(), num_labels=1).save_pretrained(folder)
        AutoTokenizer.from_pretrained(weights(), model_max_length=512).save_pretrained(folder)
    return folder


def table(
    quality: Mapping[str, Mapping[str, Scores]],
    evidence: Mapping[str, Mapping[int, tuple[float, float]]],
    times: Mapping[str, float],
) -> Iterator[str]:
    heads = [*(f"{name}, nDCG@10" for name in quality), *(f"evidence in {count} hits (characters)" for count in FIRST)]
    yield f"| ranking | {' | '.join(heads)} | time |"
    yield "| --- |" + " --- |" * (len(heads) + 1)
    for name in VARIANTS:
        cells = [change(scores[DEFAULT], scores[name]) for scores in quality.values()]
        cells += [f"{share:.3f} ({characters:,.0f})" for share, characters in evidence[name].values()]
        yield f"| {name} | {' | '.join(cells)} | {times[name]:.2f} |"
    blank = " |" * len(heads)
    yield from (f"| {name} |{blank} {times[name]:.2f} |" for name in (SLOW, BARE))


def change(before: Scores, after: Scores) -> str:
    """The mean; where it is another setting's, also what it has more and whether that is more than chance."""
    mean_of = after.intervals()[MAIN].mean
    if before is after:
        return f"**{mean_of:.4f}**"
    compared = before.against(after)[MAIN]
    return f"{mean_of:.4f} ({compared.difference:+.4f}, p {compared.p:.2f})"


if __name__ == "__main__":
    main()
