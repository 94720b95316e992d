"""How well each passage of the prompt's sources supports an answer to the question.

Five signals between 0 and 1, weighed by a logistic regression. Words count by their rarity among the passages of the prompt
(idf), so a word that stands in all of them decides nothing. It judges likeness of words and meaning, not truth: it cannot
see that a question swaps one name for another that the source mentions as well.

Where the figures are from: a regression (scikit-learn, C = 1) on questions of SQuAD 2.0 dev over one half of its articles, five
paragraphs a prompt (the right one and its nearest neighbours by MiniLM, or five neighbours only), a passage counting as
right when it stands in the right paragraph and holds a listed answer; 31,470 passages, 1.8 % right; weights rounded to one decimal.
On the other half of the articles (1,238 prompts; `benchmarks/extractive_answers.py` prints a sample) it answers 77 % of the
answerable questions, 91 % of these with a listed answer in the quotes; it refuses 87 % of the questions whose answer is in
none of five near paragraphs, but only 40 % of SQuAD's adversarial ones. SQuAD has no headings, so `_CONTEXT_SHARE` is set by hand.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from llmapp.models.passages import Passage

if TYPE_CHECKING:
    from llmapp.protocols import Embedder, FloatArray

SIGNALS = ("words", "words_in_source", "meaning", "numbers", "kind")
"""Share of the question's words in the passage, in its source; cosine; its numbers; whether the kind asked for is there."""

_WEIGHTS = (3.6, 1.8, 4.6, 2.1, 0.9)
_BIAS = -10.5

_CONTEXT_SHARE = 0.5
"""What a word in the heading or title counts, against one in the passage itself."""

_EMBEDDED_PASSAGES = 24
"""Passages that are embedded, best by words first: all of them would take half a second on two cores."""

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][a-z]+)?", re.UNICODE)
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "es", "ed", "s", "e", "y")
_STOP_WORDS = (
    "a an and any are as at be been being but by can could did do does for from had has have he her his how i if in into is it its"
    " me may might must my of on or our s shall she should so some such than that the their them then there these they this those"
    " to too was we were what when where which who whom whose why will with would you your please tell about according also"
    " much many long often give list name"
)
_STOP = frozenset(_STOP_WORDS.split())
_DIGIT = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million|billion)\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\b(?:1[0-9]|20)\d\d\b|\b\d{1,2}[./:]\d{1,2}|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b|\b\d+(?:st|nd|rd|th)\b"
    r"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b\d+ (?:hour|day|week|month|year)s?\b|century|annually|monthly",
    re.IGNORECASE,
)
_CAPITAL = re.compile(r"(?<!^)(?<![.!?] )\b[A-Z][\w'’-]+")


@dataclass(frozen=True, slots=True)
class Support:
    """A passage and how well it supports an answer."""

    passage: Passage
    probability: float
    """That the passage answers the question, by the regression. 0 to 1."""


class Question:
    """A question, taken apart."""

    def __init__(self, text: str) -> None:
        """Find its words, its numbers and the kind of thing that it asks for."""
        self.text = text
        self.words = terms(text)
        self.numbers = {word for word in self.words if word[0].isdigit()}

    @cached_property
    def kind(self) -> re.Pattern[str] | None:
        """What an answer must hold: a number, a date, a name; None when anything may answer."""
        text = f" {self.text.lower()} "
        if re.search(
            r"\bhow (?:much|many|long|often|old|far|high|large|big|tall)\b|\b(?:percentage|amount|number of)\b", text
        ):
            return _DIGIT
        if re.search(r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century|time)\b", text):
            return _DATE
        return _CAPITAL if re.search(r"\bwho(?:m|se)?\b", text) else None


def rank(question: str, passages: Sequence[Passage], *, embedder: Embedder | None) -> list[Support]:
    """All passages, best support first; ties in the order of the prompt.

    Args:
        question: As the user asked it.
        passages: Of all sources, in the order of the prompt.
        embedder: Judges likeness of meaning; without one, words stand in for it.

    Raises:
        EmbedderError: The embedder failed.
    """
    if not passages:
        return []
    table = signals(question, passages, embedder=embedder)
    logits = table @ np.asarray(_WEIGHTS) + _BIAS
    supports = [
        Support(passage, 1 / (1 + math.exp(-logit))) for passage, logit in zip(passages, logits.tolist(), strict=True)
    ]
    return sorted(supports, key=lambda support: -support.probability)


def signals(question: str, passages: Sequence[Passage], *, embedder: Embedder | None) -> FloatArray:
    """The signals of each passage. Shape (len(passages), 5), columns as in `SIGNALS`."""
    asked = Question(question)
    own = [terms(passage.text) for passage in passages]
    above = [terms(passage.context) for passage in passages]
    whole: dict[int, set[str]] = {}
    for passage, own_words, context in zip(passages, own, above, strict=True):
        whole.setdefault(passage.source, set()).update(own_words, context)
    weight = _rarity(asked.words, own)
    words = [
        _share(asked.words & own_words, weight) + _CONTEXT_SHARE * _share((asked.words & context) - own_words, weight)
        for own_words, context in zip(own, above, strict=True)
    ]
    in_source = [_share(asked.words & whole[passage.source], weight) for passage in passages]
    meaning = _meaning(asked.text, passages, words, embedder)
    numbers = [
        len(asked.numbers & (own_words | context)) / len(asked.numbers) if asked.numbers else 1.0
        for own_words, context in zip(own, above, strict=True)
    ]
    kind = [_has_kind(asked, passage.text) for passage in passages]
    return np.array([words, in_source, meaning, numbers, kind], dtype=np.float32).T


def terms(text: str) -> set[str]:
    """Words without case, accents, common endings and stop words; numbers as they are."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    words = (match[0].replace("’", "'").removesuffix("'s") for match in _WORD.finditer(plain))
    return {_stem(word) for word in words if word not in _STOP}


def _stem(word: str) -> str:
    if word[0].isdigit():
        return word.replace(",", "")
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:  # noqa: PLR2004  shorter stems join unlike words
            return word[: -len(ending)]
    return word


def _rarity(words: set[str], passages: Sequence[set[str]]) -> dict[str, float]:
    """Weight of each word of the question: the idf of BM25 over the passages (Robertson and Zaragoza, 2009)."""
    found = Counter(word for passage in passages for word in passage & words)
    total = len(passages)
    return {word: math.log(1 + (total - found[word] + 0.5) / (found[word] + 0.5)) for word in words}


def _share(words: set[str], weight: dict[str, float]) -> float:
    total = math.fsum(weight.values())  # exact, so that the order of a set, which changes from run to run, decides nothing
    return math.fsum(weight[word] for word in words) / total if total else 0.0


def _meaning(text: str, passages: Sequence[Passage], by_words: Sequence[float], embedder: Embedder | None) -> list[float]:
    """Cosine of question and passage for the best by words; for the rest, the least of those."""
    if embedder is None:
        return [min(1.0, score) for score in by_words]
    best = sorted(range(len(passages)), key=lambda at: -by_words[at])[:_EMBEDDED_PASSAGES]
    fitting = [_fit(f"{passages[at].context}\n{passages[at].text}", embedder) for at in best]
    cosines = embedder.embed_documents(fitting) @ embedder.embed_query(text)
    found = np.full(len(passages), cosines.min(), dtype=np.float32)
    found[best] = cosines
    return [max(0.0, value) for value in found.tolist()]


def _fit(text: str, embedder: Embedder) -> str:
    """Cut at what the embedder can take."""
    offsets = embedder.tokenizer.offsets(text)
    room = embedder.max_tokens - embedder.tokenizer.special_tokens
    return text if len(offsets) <= room else text[: offsets[room - 1][1]]


def _has_kind(question: Question, text: str) -> float:
    if question.kind is None:
        return 1.0
    if question.kind is not _CAPITAL:
        return float(bool(question.kind.search(text)))
    return float(any(not terms(match[0]) <= question.words for match in _CAPITAL.finditer(text)))
