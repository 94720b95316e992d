"""How well an application answers: asks every question on the whole, guarded path, and scores what comes.

Per question, where it applies: whether the answer holds an expected one (`contains`) and how near it comes (`F1`); of the
citations, the share that is expected (`citation precision`) and the share of the expected that is cited (`citation recall`);
whether what can be answered was (`answered`) and what cannot was refused (`refused`). A question whose call failed is none of
these, and is counted.

Citations are compared with the expected quotes where there are any, else with the expected documents. A citation is of a quote
when it holds it, or is most of it, in a document where the quote may stand. Gao et al., "Enabling
large language models to generate text with citations" (EMNLP 2023) have a model judge whether a passage supports a sentence;
here a person has said what is expected, and nothing is paid.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from llmapp.errors import DatasetError, LLMAppError
from llmapp.evaluation.answer_text import contains, f1, refuses
from llmapp.evaluation.asking import ask_all
from llmapp.evaluation.corpora import asked, corpus_fingerprint
from llmapp.evaluation.documents import Names, plain
from llmapp.evaluation.incompleteness import failed, left_out, without_index
from llmapp.evaluation.questions import Dataset, Question, named
from llmapp.evaluation.quotes import quotes_nowhere
from llmapp.evaluation.scores import Scores, gather
from llmapp.types import Usage

if TYPE_CHECKING:
    from pydantic import JsonValue

    from llmapp.application import App
    from llmapp.protocols import Progress
    from llmapp.types import Answer, Citation


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, and what came of it."""

    question: Question
    answer: Answer | None
    """None when the call failed."""
    seconds: float
    error: str = ""
    """Why it failed, one line."""

    @property
    def is_refused(self) -> bool:
        """Whether the answer was that the documents do not answer."""
        return self.answer is not None and refuses(self.answer.text)

    def shape(self) -> dict[str, JsonValue]:
        """As JSON."""
        answer = self.answer
        return {
            "id": self.question.id,
            "question": self.question.text,
            "tags": list(self.question.tags),
            "expected": list(self.question.answers),
            "answer": answer.text if answer else None,
            "cited": [citation.uri for citation in answer.citations] if answer else [],
            "cost_usd": answer.cost_usd if answer else 0.0,
            "seconds": round(self.seconds, 6),
            "notes": list(answer.notes) if answer else [],
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Abstention:
    """How questions were answered and refused; counts of questions, without those that failed."""

    answered: int
    """Could be answered, and were."""
    refused: int
    """Could not be answered, and were refused."""
    wrongly_refused: int
    wrongly_answered: int

    @property
    def precision(self) -> float | None:
        """Share of the refused that could not be answered; None when nothing was refused."""
        return _share(self.refused, self.refused + self.wrongly_refused)

    @property
    def recall(self) -> float | None:
        """Share of what could not be answered that was refused; None when all could be answered."""
        return _share(self.refused, self.refused + self.wrongly_answered)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both; None when nothing was refused and nothing should have been."""
        return _share(2 * self.refused, 2 * self.refused + self.wrongly_refused + self.wrongly_answered)


@dataclass(frozen=True, slots=True)
class AnswerReport:
    """How an application has answered a data set."""

    dataset: str
    fingerprints: Mapping[str, str]
    settings: Mapping[str, JsonValue]
    scores: Scores
    asked: tuple[Asked, ...]
    """Aligned with the questions of `scores`."""
    abstention: Abstention
    warnings: tuple[str, ...]
    """What is odd about the questions."""

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Why these are not the figures of the settings; empty when they are."""
        errors = [each.error for each in self.failures]
        return (*failed(errors, len(self.asked)), *left_out([answer.notes for answer in self.answers]))

    @property
    def answers(self) -> list[Answer]:
        """Those that there are."""
        return [each.answer for each in self.asked if each.answer is not None]

    @property
    def failures(self) -> list[Asked]:
        """The questions whose call failed."""
        return [each for each in self.asked if each.answer is None]

    @property
    def cost_usd(self) -> float:
        """What all answers have cost."""
        return sum(answer.cost_usd for answer in self.answers)

    @property
    def usage(self) -> Usage:
        """The tokens of all answers."""
        return sum((answer.usage for answer in self.answers), Usage())

    @property
    def seconds(self) -> tuple[float, float]:
        """Median and 95th percentile of the time of one answer."""
        median, slow = np.percentile([each.seconds for each in self.asked if each.answer], [50, 95])
        return float(median), float(slow)

    def shape(self) -> dict[str, JsonValue]:
        """As JSON."""
        median_s, slow_s = self.seconds
        refusing = self.abstention
        figures = {"precision": refusing.precision, "recall": refusing.recall, "f1": refusing.f1}
        return {
            "dataset": self.dataset,
            "fingerprints": dict(self.fingerprints),
            "settings": dict(self.settings),
            "questions": len(self.asked),
            "failed": [{"question": each.question.id, "error": each.error} for each in self.failures],
            "measures": {name: asdict(interval) for name, interval in self.scores.intervals().items()},
            "abstention": {**asdict(refusing), **figures},
            "cost_usd": self.cost_usd,
            "usage": asdict(self.usage),
            "seconds": {"p50": round(median_s, 6), "p95": round(slow_s, 6)},
            "warnings": [*self.warnings, *self.incomplete],
            "by_question": [
                {**each.shape(), "measures": {**self.scores.at(number)}} for number, each in enumerate(self.asked)
            ],
        }


def evaluate_answers(
    app: App, dataset: Dataset, *, at_once: int = 1, ingesting: Progress | None = None, asking: Progress | None = None
) -> AnswerReport:
    """Ask every question and score the answers.

    Args:
        app: The application.
        dataset: Questions, and perhaps a corpus, which is taken in first.
        at_once: Questions asked at the same time; with more than one, latencies are those under that load.
        ingesting: Told of every document of a corpus that is taken in.
        asking: Told of every question.

    Raises:
        DatasetError: There is no question of which anything is expected.
        LLMAppError: No call went well; the last of their errors. When money or five failures in a row stand in the
            way, the rest is not asked, and what was answered is reported.
    """
    questions = dataset.expecting
    if not questions:
        raise DatasetError(f"nothing is expected of any question of {dataset.name}", hint="there is nothing to measure")
    with asked(app, dataset, ingesting) as corpus_app:
        names = Names(corpus_app, dataset)
        documents = [names.documents(question) for question in questions]
        ask = partial(_ask, corpus_app)
        outcomes = ask_all(questions, ask, _not_asked, at_once=at_once, progress=asking, name=lambda each: each.text)
        keys = [_cited_documents(corpus_app, names, each, own) for each, own in zip(outcomes, documents, strict=True)]
        answered = [(each.question, expected) for each, expected in zip(outcomes, documents, strict=True) if each.answer]
        rows = [_row(*each) for each in zip(outcomes, documents, keys, strict=True)]
        return AnswerReport(
            dataset=dataset.name,
            fingerprints={"corpus": corpus_fingerprint(app, dataset), "questions": dataset.fingerprint},
            settings=_described(corpus_app),
            scores=gather([question.id for question in questions], rows),
            asked=tuple(outcomes),
            abstention=_abstention(outcomes),
            warnings=(*dataset.warnings, *names.warnings, *quotes_nowhere(corpus_app.catalog, answered)),
        )


def _ask(app: App, question: Question) -> tuple[Asked, LLMAppError | None]:
    started = time.perf_counter()
    try:
        with named(question):
            answer = app.ask(question.text, principal=question.principal, where=question.where)
    except LLMAppError as error:
        return Asked(question, None, time.perf_counter() - started, f"{error.message} ({error.code})"), error
    answer = replace(answer, notes=(*answer.notes, *without_index(app)))
    return Asked(question, answer, time.perf_counter() - started), None


def _not_asked(question: Question, error: LLMAppError) -> Asked:
    return Asked(question, None, 0.0, f"not asked: {error.message}")


def _cited_documents(app: App, names: Names, each: Asked, documents: Collection[str]) -> dict[str, list[str]]:
    """``source:id`` of the documents that each cited chunk stands for, by its id."""
    cited = [citation.chunk_id for citation in each.answer.citations] if each.answer else []
    chunks = app.catalog.chunks(cited, principal=each.question.principal)
    return {name: names.meant(chunk, documents, each.question) for name, chunk in chunks.items()}


def _row(each: Asked, documents: Mapping[str, int], keys: Mapping[str, Collection[str]]) -> dict[str, float | None]:
    row: dict[str, float | None] = dict.fromkeys(
        ("contains", "F1", "citation precision", "citation recall", "answered", "refused")
    )
    question, answer = each.question, each.answer
    if answer is None:
        return row
    if question.unanswerable:
        return row | {"refused": float(each.is_refused)}
    row["answered"] = float(not each.is_refused)
    if question.answers:
        row |= {"contains": float(contains(answer.text, question.answers)), "F1": f1(answer.text, question.answers)}
    if question.is_judged:
        precision, recall = _citations(question, answer.citations, documents, keys)
        row |= {"citation precision": precision, "citation recall": recall}
    return row


def _citations(
    question: Question, citations: Sequence[Citation], documents: Mapping[str, int], keys: Mapping[str, Collection[str]]
) -> tuple[float | None, float]:
    """Precision, None where nothing is cited, and recall."""
    places = [documents.keys() & keys.get(citation.chunk_id, ()) for citation in citations]
    if question.quotes:
        wanted = [plain(quote) for quote in question.quotes]
        may_hold = [not documents or bool(place) for place in places]
        cited = [plain(citation.quote) if may else "" for citation, may in zip(citations, may_hold, strict=True)]
        supports = [any(_is_of(quote, text) for quote in wanted) for text in cited]
        recall = sum(any(_is_of(quote, text) for text in cited) for quote in wanted) / len(wanted)
    else:
        supports = [bool(place) for place in places]
        recall = len(set().union(*places)) / len(documents)
    return (sum(supports) / len(supports) if supports else None), recall


def _is_of(quote: str, cited: str) -> bool:
    """Whether cited words hold a quote, or are more than half of it."""
    return quote in cited or (cited in quote and len(cited) > len(quote) / 2)


def _abstention(outcomes: Sequence[Asked]) -> Abstention:
    ended = [(each.question.unanswerable, each.is_refused) for each in outcomes if each.answer is not None]
    return Abstention(
        answered=ended.count((False, False)),
        refused=ended.count((True, True)),
        wrongly_refused=ended.count((False, True)),
        wrongly_answered=ended.count((True, False)),
    )


def _described(app: App) -> dict[str, JsonValue]:
    """What decides an answer besides documents and questions."""
    from llmapp.evaluation.retrieval import described

    prompt = {f"prompt.{name}": value for name, value in app.settings.prompt.model_dump(mode="json").items()}
    return {"model": app.model_name, **described(app), **prompt}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
