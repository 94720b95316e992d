"""Whether an answer says what it should: containment and F1 of tokens, and whether it refuses.

Tokens are those of SQuAD's own script (case folded, punctuation and English articles out, split at white space: Rajpurkar et
al., "SQuAD: 100,000+ questions for machine comprehension of text", 2016, ``evaluate-v1.1.py``), with two additions of MLQA's
(Lewis et al., 2020, ``mlqa_evaluation_v1.py``): punctuation is Unicode's, and a Chinese character is a token of its own. Here
so are Japanese and Thai ones, which stand without spaces between words as well.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

from llmapp.frames import REFUSAL

_MARK = re.compile(r"\s*\[\d{1,3}(?:, \d{1,3})*\]")
"""Marks of citations, as `llmapp.app.citations` writes them."""
_ARTICLES = frozenset({"a", "an", "the"})
_WITHOUT_SPACES = re.compile("([\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")
"""Thai, Hiragana and Katakana, and the blocks of Han characters."""


def tokens(text: str) -> list[str]:
    """The tokens of an answer, normalised, in order."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    bare = "".join(char for char in folded if not _is_punctuation(char))
    return [token for token in _WITHOUT_SPACES.sub(r" \1 ", bare).split() if token not in _ARTICLES]


def contains(answer: str, expected: Sequence[str]) -> bool:
    """Whether the tokens of one of the expected answers stand in the answer, one after the other."""
    said = f" {' '.join(tokens(spoken(answer)))} "
    return any(f" {' '.join(wanted)} " in said for text in expected if (wanted := tokens(text)))


def f1(answer: str, expected: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over tokens, for the expected answer that fits best; from 0 to 1."""
    return max((_f1(tokens(spoken(answer)), tokens(text)) for text in expected), default=0.0)


def refuses(answer: str) -> bool:
    """Whether the answer is that the documents do not answer: the sentence that prompts ask for, or nothing at all.

    A model that says it in words of its own counts as answering; its prompt asks for this sentence.
    """
    said = tokens(spoken(answer))
    return not said or said[: len(_REFUSAL)] == _REFUSAL


def spoken(answer: str) -> str:
    """The answer without the marks of its citations."""
    return _MARK.sub("", answer)


def _f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    common = (Counter(said) & Counter(wanted)).total()
    return 2 * common / (len(said) + len(wanted)) if common else 0.0


def _is_punctuation(char: str) -> bool:
    return char in string.punctuation or unicodedata.category(char).startswith("P")


_REFUSAL = tokens(REFUSAL)
