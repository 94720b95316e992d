"""What an evaluation asks: questions, and what is expected of each; one that cannot be asked is named."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from llmapp.errors import DatasetError, FilterError, QuestionTooLongError
from llmapp.types import LOCAL_USER, Principal

_DIGITS = 16
_SEED = 0
_SHOWN_CHARS = 240


@dataclass(frozen=True, slots=True)
class Question:
    """One question, and what is expected of a search and of an answer."""

    id: str
    """Unique in its data set."""
    text: str
    documents: Mapping[str, int] = field(default_factory=dict)
    """Grade of relevance, from 1, by the name of the document as the data set writes it."""
    quotes: tuple[str, ...] = ()
    """Words that a hit must hold, each of them in some hit; then `documents` only says where they may stand."""
    answers: tuple[str, ...] = ()
    """Answers of which any one is right; empty where none is known."""
    unanswerable: bool = False
    """Whether the right answer is that the documents do not answer."""
    principal: Principal = LOCAL_USER
    """Who asks."""
    where: str | None = None
    """A filter that documents must satisfy; None is nothing."""
    tags: tuple[str, ...] = ()
    """Words of the data set's own, for its readers."""

    @property
    def is_judged(self) -> bool:
        """Whether a search for it can be right or wrong."""
        return bool(self.quotes or self.documents)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Questions, and the corpus that they are asked of."""

    name: str
    questions: tuple[Question, ...]
    """In the order of the file, of those that can be evaluated."""
    corpus: Path | None = None
    """BEIR's ``corpus.jsonl``; None asks the application's own documents."""
    warnings: tuple[str, ...] = ()
    """What is odd about the data, a line each; none of it was dropped in silence."""

    @property
    def judged(self) -> tuple[Question, ...]:
        """Those for which a search can be right or wrong."""
        return tuple(question for question in self.questions if question.is_judged)

    @property
    def expecting(self) -> tuple[Question, ...]:
        """Those for which an answer can be right or wrong."""
        return tuple(each for each in self.questions if each.is_judged or each.answers or each.unanswerable)

    @property
    def fingerprint(self) -> str:
        """Hash of the questions and of what is expected of them."""
        written = [json.dumps(asdict(question), sort_keys=True, ensure_ascii=False) for question in self.questions]
        return fingerprint_of(written)

    def sample(self, count: int | None, *, judged: bool = False) -> Self:
        """At most `count` of the questions, or of the `judged` ones, the same ones each time, in their order; None takes all."""
        drawn_from = self.judged if judged else self.questions
        if count is None or count >= len(drawn_from):
            return self
        chosen = sorted(random.Random(_SEED).sample(range(len(drawn_from)), count))  # noqa: S311 - a sample, not a secret
        return replace(self, questions=tuple(drawn_from[number] for number in chosen))


@contextmanager
def named(question: Question) -> Iterator[None]:
    """Name the question where it cannot be asked by its own mistake.

    Raises:
        DatasetError: Its filter is none or names a field that there is not, or its text is too long.
    """
    try:
        yield
    except (FilterError, QuestionTooLongError) as error:
        shown = question.text[:_SHOWN_CHARS]
        raise DatasetError(f"question {question.id}, “{shown}”: {error.message}", hint=error.hint) from error


def fingerprint_of(parts: Sequence[str]) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over `parts`, their borders included."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:_DIGITS]
