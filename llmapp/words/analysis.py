"""A text as terms: words by their stem, identifiers also as they are written, scripts without spaces by pairs of letters.

A question and a text pass the same analysis, so a stemmer of the wrong language finds a little less well and loses nothing.
The identity of an analysis is stored beside what it has made; change `_VERSION` with anything that makes other terms.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from llmapp.words.folding import fold
from llmapp.words.stop_words import STOP_WORDS

if TYPE_CHECKING:
    import Stemmer

Language: TypeAlias = Literal["none", "da", "de", "en", "es", "fi", "fr", "hu", "it", "nl", "no", "pt", "ro", "sv", "tr"]

_VERSION = "words-4"
_MOST_CHARS = 64
"""Longer words are cut: nobody asks for them, and they would be stored."""
_MOST_WORDS = 64
"""More words of a question cost time and find no better; a question has a dozen."""
_MOST_PAIRS = 256
"""The same for pairs of letters: one sentence of Thai has a hundred."""
_SNOWBALL = {
    "da": "danish", "de": "german", "en": "english", "es": "spanish", "fi": "finnish", "fr": "french", "hu": "hungarian",
    "it": "italian", "nl": "dutch", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "sv": "swedish", "tr": "turkish",
}  # fmt: skip
_BY_SCRIPT = ((0x0370, 0x0400, "greek"), (0x0400, 0x0530, "russian"), (0x0530, 0x0590, "armenian"), (0x0600, 0x0700, "arabic"),
              (0x0900, 0x0980, "hindi"), (0x0B80, 0x0C00, "tamil"))  # fmt: skip
"""First and last code of scripts that tell the language, more or less, whatever the setting."""

_TIES = "-/.:_@#&+"
_THOUSANDS = r"(?<=\d)[,'](?=\d)"
"""What ties digits together, as in ``1,000.50``."""
_SUFFIX = r"(?:(?:\+\+|\#)(?![\w+#]))?+"
"""What tells C++ and C# from C."""
_IS_IDENTIFIER = re.compile(r"[\d_@.:#&]|\+\+")
"""What makes an identifier of words that are tied together; ``AT&T`` is one, for its words may be stop words. Not ``well-known``: as a
term beside its words it counts twice, and SciFact's training questions lose .008 nDCG@10."""
_BETWEEN = re.compile(r"[,'](?!\d{3}(?!\d))")
"""What parts identifiers in a row, ``2031/7,2031/8``; before three digits it is in a number."""
_GLUE = re.compile("[/:]")
"""What an identifier is glued to others by: ``mailto:ann@example.com``, ``example.com/browse/INV-2031``."""
_FILE = re.compile(r"(?=.*[\d_])(.+)\.[a-z][a-z\d]{1,4}")
"""An identifier with the extension of a file; ``www.example.com`` is none."""
_SPACELESS = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u1049\u1050-\u109f\u1780-\u17d3"  # Thai, Lao, Burmese, Khmer
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese, Japanese, Korean
)
_MARKS = "\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963" + "".join(
    f"{chr(block + 1)}-{chr(block + 3)}{chr(block + 0x3C)}{chr(block + 0x3E)}-{chr(block + 0x4D)}{chr(block + 0x57)}"
    for block in range(0x0980, 0x0E00, 0x80)
)
"""Vowels and marks of the scripts of India, which are parts of a word and no letters to `re`."""
# Possessive: a word gives nothing back, else 100,000 letters would take minutes.
_WORD = rf"(?:[^\W_{_SPACELESS}]++[{_MARKS}]*+)++"
_TOKEN = re.compile(rf"{_WORD}(?:(?:[{re.escape(_TIES)}]|{_THOUSANDS}){_WORD})*+{_SUFFIX}|[{_SPACELESS}]++")
_PART = re.compile(_WORD)
_IS_SPACELESS = re.compile(f"[{_SPACELESS}]")


@dataclass(frozen=True, slots=True)
class Words:
    """The analysis for texts that are mostly of one language."""

    language: Language = "en"
    """Whose stems and stop words words in Latin letters have, ISO 639-1; ``none`` takes them as they are."""

    @property
    def identity(self) -> str:
        """Name of the analysis: two that make other terms have other names."""
        return f"{_VERSION}-{self.language}"

    @classmethod
    def named(cls, identity: str) -> Words | None:
        """The analysis of this identity; None when it is of another version of the code."""
        return _NAMED.get(identity)

    def terms(self, text: str) -> list[str]:
        """The terms of a text as they are counted, in its order; an identifier stands before its parts."""
        return list(self._terms(text, is_question=False))

    def question(self, text: str) -> list[str]:
        """The terms to look for, each once; none when there is no word.

        Stop words are left out where other words remain. Of a very long question the longest words count, being the
        rarest, and the first pairs of letters; the order of the question breaks ties.
        """
        stops = STOP_WORDS.get(self.language, frozenset())
        every = dict.fromkeys(self._terms(text, is_question=True))
        telling = dict.fromkeys(self._terms(text, is_question=True, stops=stops))
        terms = list(telling or every)
        words = [term for term in terms if not _IS_SPACELESS.match(term)]
        pairs = [term for term in terms if _IS_SPACELESS.match(term)]
        return [*sorted(words, key=len, reverse=True)[:_MOST_WORDS], *pairs[:_MOST_PAIRS]]

    def _terms(self, text: str, *, is_question: bool, stops: frozenset[str] = frozenset()) -> Iterator[str]:
        for token in _TOKEN.findall(fold(text)):
            if token.isalnum() and token.isascii():
                if token not in stops:
                    yield _stem(token[:_MOST_CHARS], self.language)
            elif _IS_SPACELESS.match(token):
                yield from _pairs(token, with_letters=not is_question)
            else:
                yield from self._of_compound(token, stops)

    def _of_compound(self, token: str, stops: frozenset[str]) -> Iterator[str]:
        """Terms of words that punctuation ties together, such as ``INV-2031/7``, or of one with other than ASCII letters."""
        yield from (written[:_MOST_CHARS] for written in _as_written(token))
        for part in _PART.findall(token):
            if part not in stops:
                yield _stem(part[:_MOST_CHARS], self.language)


_NAMED = {words.identity: words for words in map(Words, get_args(Language))}


def _as_written(token: str) -> Iterator[str]:
    """The identifiers in words that are tied together: all of it, and each without what it is glued to, or is a file of."""
    listed = _BETWEEN.split(token)
    runs = dict.fromkeys((token, *listed, *(run for one in listed for run in _GLUE.split(one))))
    bare = (found[1] for found in map(_FILE.fullmatch, runs) if found)
    return (run for run in dict.fromkeys((*runs, *bare)) if _IS_IDENTIFIER.search(run) and not _PART.fullmatch(run))


def _pairs(run: str, *, with_letters: bool) -> Iterator[str]:
    """Overlapping pairs of letters; single ones where there is no pair, and in a text, so that one letter can be looked for."""
    if with_letters or len(run) == 1:
        yield from run
    for start in range(len(run) - 1):
        yield run[start : start + 2]


@functools.lru_cache(maxsize=1 << 17)
def _stem(word: str, language: Language) -> str:
    if any(map(str.isdigit, word)):
        return word
    code = ord(word[0])
    by_script = next((name for first, end, name in _BY_SCRIPT if first <= code < end), None)
    algorithm = by_script or _SNOWBALL.get(language)
    if algorithm is None:
        return word
    with _stemming:  # a stemmer is not for two threads at a time
        stem: str = _stemmer(algorithm).stemWord(word)
    return stem


_stemming = threading.Lock()


@functools.cache
def _stemmer(algorithm: str) -> Stemmer.Stemmer:
    import Stemmer

    return Stemmer.Stemmer(algorithm, 0)  # no cache of its own, this module has one
