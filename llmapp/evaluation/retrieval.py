"""How well a search finds: asks every question, and scores what comes against what is expected.

A document counts at the place of its best chunk. Where a question expects quoted words, chunks are ranked themselves, and
each quote counts at the first chunk that holds it.

A ranking is as deep as the settings make it: `retrieval.candidates` chunks, for a search that is asked for more takes more
candidates, and would no longer be the one that questions of the application get.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from llmapp.errors import DatasetError
from llmapp.evaluation.corpora import asked, corpus_fingerprint
from llmapp.evaluation.documents import Names, plain
from llmapp.evaluation.incompleteness import left_out, without_index
from llmapp.evaluation.measures import MAIN, RECALL_AT, score_rankings
from llmapp.evaluation.questions import Dataset, Question, named
from llmapp.evaluation.quotes import quotes_nowhere
from llmapp.evaluation.scores import Scores

if TYPE_CHECKING:
    from pydantic import JsonValue

    from llmapp.application import App
    from llmapp.protocols import Progress
    from llmapp.types import Found, Hit

    Search = Callable[[Question, int], Found]

DEPTH = 100
"""Documents of a ranking, as usual with BEIR's sets."""
_CHUNKS_A_DOCUMENT = 2
_SHOWN = 5
_SHOWN_CHARS = 240


@dataclass(frozen=True, slots=True)
class Shown:
    """One of the first hits of a question, as it is shown."""

    name: str
    """``source:id`` of its document."""
    title: str
    text: str
    """The beginning."""
    is_expected: bool


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a search has brought for one question."""

    question: Question
    expected: Mapping[str, int]
    """Grades by the names that `items` uses."""
    items: tuple[str, ...]
    """Documents, quotes or chunks, best first."""
    found: tuple[Shown, ...]
    """The first few."""
    seconds: float
    notes: tuple[str, ...]
    """What was left out of the search."""

    @property
    def has_all(self) -> bool:
        """Whether everything expected was found, however deep."""
        return self.expected.keys() <= set(self.items)

    def shape(self) -> dict[str, JsonValue]:
        """As JSON."""
        return {
            "id": self.question.id,
            "question": self.question.text,
            "tags": list(self.question.tags),
            "expected": dict(self.expected),
            "found": [asdict(shown) for shown in self.found],
            "seconds": round(self.seconds, 6),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """How a search has done on a data set."""

    dataset: str
    fingerprints: Mapping[str, str]
    """Of ``corpus`` and ``questions``: what a comparison must have in common."""
    settings: Mapping[str, JsonValue]
    """What may differ: embedder, chunker and the settings of retrieval."""
    documents: int
    chunks: int
    scores: Scores
    rankings: tuple[Ranking, ...]
    """Aligned with the questions of `scores`."""
    warnings: tuple[str, ...]
    """What is odd about the questions."""

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Why these are not the figures of the settings; empty when they are."""
        return left_out([ranking.notes for ranking in self.rankings])

    @property
    def seconds(self) -> tuple[float, float]:
        """Median and 95th percentile of the time of one search."""
        return _percentiles([ranking.seconds for ranking in self.rankings])

    def curve(self) -> list[tuple[int, float]]:
        """Mean recall by depth."""
        return [(depth, float(np.mean(self.scores.of(f"recall@{depth}")))) for depth in RECALL_AT]

    def worst(self, count: int) -> list[tuple[Ranking, float]]:
        """The questions with the lowest nDCG@10, worst first, with it; those that found everything are left out."""
        values = self.scores.values[MAIN]
        order = [int(number) for number in np.argsort(values, kind="stable") if values[number] < 1.0]
        return [(self.rankings[number], float(values[number])) for number in order[:count]]

    def shape(self) -> dict[str, JsonValue]:
        """As JSON."""
        median_s, slow_s = self.seconds
        return {
            "dataset": self.dataset,
            "fingerprints": dict(self.fingerprints),
            "settings": dict(self.settings),
            "documents": self.documents,
            "chunks": self.chunks,
            "questions": len(self.rankings),
            "measures": {name: asdict(interval) for name, interval in self.scores.intervals().items()},
            "seconds": {"p50": round(median_s, 6), "p95": round(slow_s, 6)},
            "warnings": [*self.warnings, *self.incomplete],
            "worst": [{"id": ranking.question.id, MAIN: value} for ranking, value in self.worst(len(self.rankings))],
            "by_question": [
                {**ranking.shape(), "measures": {**self.scores.at(number)}} for number, ranking in enumerate(self.rankings)
            ],
        }


def evaluate_retrieval(
    app: App, dataset: Dataset, *, depth: int = DEPTH, ingesting: Progress | None = None, asking: Progress | None = None
) -> RetrievalReport:
    """Ask every judged question of the search that the settings of `app` make.

    Args:
        app: The application.
        dataset: Questions, and perhaps a corpus, which is taken in first.
        depth: Most documents, or chunks where quotes are expected, of a ranking; it is never deeper than `deepest`.
        ingesting: Told of every document of a corpus that is taken in.
        asking: Told of every question.

    Raises:
        DatasetError: No question is judged, one expects a document whose name several documents have, or one cannot be asked:
            its filter names a field that there is not, or it is too long.
        MissingDependencyError: ir-measures is not installed.
        RetrievalError, CostError, CatalogError: As `App.search`.
    """
    with asked(app, dataset, ingesting) as corpus_app:
        most = deepest(corpus_app)

        def search(question: Question, top_k: int) -> Found:
            wanted = min(top_k, most)
            found = corpus_app.find(question.text, principal=question.principal, where=question.where, top_k=wanted)
            return replace(found, notes=(*found.notes, *without_index(corpus_app)))

        return rank_questions(
            corpus_app, dataset, search, depth=depth, progress=asking, corpus=corpus_fingerprint(app, dataset)
        )


def rank_questions(
    app: App, dataset: Dataset, search: Search, *, corpus: str, depth: int = DEPTH, progress: Progress | None = None
) -> RetrievalReport:
    """Ask every judged question of one search over the documents of `app`; see `evaluate_retrieval`, which takes its own.

    Args:
        app: What is searched.
        dataset: The questions.
        search: Takes a question and how many chunks are wanted, and brings hits, best first. The first question is asked once
            more beforehand and not measured: it loads what the others find loaded.
        corpus: Fingerprint of the documents.
        depth: Items of a ranking.
        progress: Told of every question.
    """
    judged = dataset.judged
    if not judged:
        raise DatasetError(f"no question of {dataset.name} names a document or a quote", hint="there is nothing to measure")
    names = Names(app, dataset)
    documents = {question.id: names.documents(question) for question in judged}
    expected = {question.id: _expected(question, documents[question.id]) for question in judged}
    if progress:
        progress.start(len(judged))
    _rank(judged[0], documents[judged[0].id], names, search, depth)
    rankings = []
    for question in judged:
        rankings.append(_rank(question, documents[question.id], names, search, depth))
        if progress:
            progress.advance(question.text)
    missed = [(each.question, documents[each.question.id]) for each in rankings if not each.has_all]
    counts = app.catalog.counts()
    return RetrievalReport(
        dataset=dataset.name,
        fingerprints={"corpus": corpus, "questions": dataset.fingerprint},
        settings={**described(app), "depth": depth},
        documents=counts.documents,
        chunks=counts.chunks,
        scores=score_rankings(expected, {ranking.question.id: ranking.items for ranking in rankings}),
        rankings=tuple(rankings),
        warnings=(*dataset.warnings, *names.warnings, *quotes_nowhere(app.catalog, missed)),
    )


def deepest(app: App) -> int:
    """Most chunks that a search can be asked for before it takes more candidates than the settings say."""
    given = app.settings.retrieval
    return max(given.candidates, given.top_k)


def described(app: App) -> dict[str, JsonValue]:
    """What decides a ranking besides documents and questions."""
    return {
        "embedder": app.embedder.identity,
        "chunker": app.ingestor.preparer.chunker_version,
        **{f"retrieval.{name}": value for name, value in app.settings.retrieval.model_dump(mode="json").items()},
    }


def _expected(question: Question, documents: Mapping[str, int]) -> Mapping[str, int]:
    """Grades of what a ranking should hold: each quote, else each document."""
    if question.quotes:
        return {f"quote {number}": 1 for number in range(1, len(question.quotes) + 1)}
    return documents


def _rank(question: Question, documents: Mapping[str, int], names: Names, search: Search, depth: int) -> Ranking:
    wanted = depth if question.quotes else depth * _CHUNKS_A_DOCUMENT
    started = time.perf_counter()
    with named(question):
        found = search(question, wanted)
    seconds = time.perf_counter() - started
    hits = found.hits
    places = [names.meant(hit.chunk, documents, question) for hit in hits]
    labels = _quoted(question, documents, hits, places) if question.quotes else places
    items = tuple(dict.fromkeys(item for label in labels for item in label))[:depth]
    expected = _expected(question, documents)
    return Ranking(question, expected, items, _shown(hits, labels, expected), seconds, found.notes)


def _quoted(
    question: Question, documents: Mapping[str, int], hits: Sequence[Hit], places: Sequence[Sequence[str]]
) -> list[list[str]]:
    """What each hit stands for: the quotes that it holds, or itself where it holds none."""
    wanted = {f"quote {number}": plain(quote) for number, quote in enumerate(question.quotes, start=1)}
    labels = []
    for hit, names in zip(hits, places, strict=True):
        may_hold = not documents or not documents.keys().isdisjoint(names)
        text = plain(hit.chunk.text)
        held = [name for name, quote in wanted.items() if quote in text] if may_hold else []
        labels.append(held or [hit.chunk.id])
    return labels


def _shown(hits: Sequence[Hit], labels: Sequence[Sequence[str]], expected: Mapping[str, int]) -> tuple[Shown, ...]:
    shown: dict[str, Shown] = {}
    for hit, label in zip(hits, labels, strict=True):
        if len(shown) == _SHOWN:
            break
        text = re.sub(r"\s+", " ", hit.chunk.text)[:_SHOWN_CHARS]
        shown.setdefault(label[0], Shown(hit.chunk.key, hit.chunk.title, text, any(item in expected for item in label)))
    return tuple(shown.values())


def _percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    median, slow = np.percentile(seconds, [50, 95])
    return float(median), float(slow)
