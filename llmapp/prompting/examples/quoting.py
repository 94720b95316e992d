"""Which examples hold words of a document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from llmapp.prompting.examples.store import Example

_LETTERS = 24
"""Letters and digits in a row that two texts share by chance hardly ever: about five words."""


def quoting(examples: Sequence[Example], text: str) -> list[int]:
    """Places, from 1, of the examples that have 24 letters and digits in a row with a text, whatever stands between them.

    Where white space, signs and case differ a quote is found all the same; a shorter one, such as an amount, is not, and neither
    is one in other words.
    """
    holders: defaultdict[str, set[int]] = defaultdict(set)
    for place, example in enumerate(examples, start=1):
        for said in (example.question, example.answer):
            for stretch in _stretches(_letters(said)):
                holders[stretch].add(place)
    found: set[int] = set()
    for stretch in _stretches(_letters(text)) if holders else ():
        found |= holders.get(stretch, set())
    return sorted(found)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _stretches(letters: str) -> Iterator[str]:
    return (letters[start : start + _LETTERS] for start in range(len(letters) - _LETTERS + 1))
