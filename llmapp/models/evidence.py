"""How well each passage of the prompt's sources supports an answer to the question.

Five signals between 0 and 1, weighed by a logistic regression. Words count by their rarity among the passages of the prompt
(idf), so a word that stands in all of them decides nothing. It judges likeness of words and meaning, not truth: it cannot
see that a question swaps one name for another that the source mentions as well.

Where the figures are from: a regression (scikit-learn, C = 1) on questions of SQuAD 2.0 dev over one half of its articles, five
paragraphs a prompt (the right one and its nearest neighbours by MiniLM, or five neighbours only), a passage counting as
right when it stands in the right paragraph and holds a listed answer; 31,470 passages, 1.8 % right; weights rounded to one decimal.
On 300 questions of the other half (`benchmarks/extractive_answers.py` prints a sample) it answers 77 % of the answerable ones,
93 % of these with a listed answer in the quotes; it refuses 88 % of those whose answer is in none of five near paragraphs,
but only 41 % of SQuAD's adversarial ones. Bias and thresholds were chosen with such figures in view, so they are a little
optimistic. SQuAD has no headings, archived documents or telephone numbers, so `_CONTEXT_SHARE` and what is taken off (`_LESS_...`) are set by hand.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmapp.models.passages import Passage
from llmapp.models.questions import Question, terms

if TYPE_CHECKING:
    from llmapp.protocols import Embedder, FloatArray

SIGNALS = ("words", "words_in_source", "meaning", "numbers", "kind")
"""Share of the question's words in the passage, in its source; cosine; its numbers; whether the kind asked for is there."""

_WEIGHTS = (3.6, 1.8, 4.6, 2.1, 0.9)
_BIAS = -10.55

_CONTEXT_SHARE = 0.5
"""What a word in the heading or title counts, against one in the passage itself."""

_EMBEDDED_PASSAGES = 24
"""Passages that are embedded, best by words first: all of them would take half a second on two cores."""

_EVEN_BELOW = 2
"""Passages whose weight the rarity of words has against an equal one: none where there is but one passage."""

_LESS_IF_PAST = 3.5
"""What a document that is archived or replaced loses, in units of the regression, where a question does not ask for the past."""

_LESS_WITHOUT_NAME = 1.0
"""What all passages lose where the question has a name that none of the sources has."""

_LESS_WITHOUT_FORM = 2.5
"""What a passage loses that holds no telephone number, mail address or time of day where one is asked for."""


@dataclass(frozen=True, slots=True)
class Support:
    """A passage and how well it supports an answer."""

    passage: Passage
    probability: float
    """That the passage answers the question, by the regression. 0 to 1."""
    words: frozenset[str]
    """Those of the question that the passage itself holds."""


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
    asked = Question(question)
    table = signals(asked, passages, embedder=embedder)
    less = np.array([_less(asked, passage) for passage in passages])
    known = set().union(*(terms(f"{passage.context} {passage.text}") for passage in passages))
    unknown = 0.0 if asked.names <= known else _LESS_WITHOUT_NAME
    logits = table @ np.asarray(_WEIGHTS) + _BIAS - less - unknown
    supports = [
        Support(passage, 1 / (1 + math.exp(-logit)), frozenset(asked.words & terms(passage.text)))
        for passage, logit in zip(passages, logits.tolist(), strict=True)
    ]
    return sorted(supports, key=lambda support: -support.probability)


def _less(asked: Question, passage: Passage) -> float:
    past = _LESS_IF_PAST if passage.is_past and not (asked.is_past or asked.numbers) else 0.0
    return past + (_LESS_WITHOUT_FORM if asked.form and not asked.found_in(passage.text) else 0.0)


def signals(asked: Question, passages: Sequence[Passage], *, embedder: Embedder | None) -> FloatArray:
    """The signals of each passage. Shape (len(passages), 5), columns as in `SIGNALS`."""
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
    kind = [float(asked.found_in(passage.text)) for passage in passages]
    return np.array([words, in_source, meaning, numbers, kind], dtype=np.float32).T


def _rarity(words: set[str], passages: Sequence[set[str]]) -> dict[str, float]:
    """Weight of each word of the question, above 0 to 1: the idf of BM25 (Robertson and Zaragoza, 2009), or equal ones.

    Of few passages rarity says little, and a word that stands in all of them still is one of the question.
    """
    found = Counter(word for passage in passages for word in passage & words)
    total = len(passages)
    most, trust = math.log(2 * total + 2), (total - 1) / (total - 1 + _EVEN_BELOW)
    idf = {word: math.log(1 + (total - found[word] + 0.5) / (found[word] + 0.5)) / most for word in words}
    return {word: trust * idf[word] + 1 - trust for word in words}


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
