"""How untrusted text stands in a prompt: numbered sources, the question, and the end mark that they cannot forge.

Written by `llmapp.prompting`, read back by the extractive model and by the citation check. A frame looks so:

    <source-4f0c91 number="1" title="Claims handbook" place="page 3">
    Water damage is reported within 72 hours.
    </source-4f0c91>

The mark is a digest of everything framed in the request, so no document can hold it by accident or on purpose.
It does not judge what stands inside; a model can still be misled by it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

_OPEN = re.compile(
    r'^<source-(?P<mark>[0-9a-f]{6,}) number="(?P<number>\d+)" title="(?P<title>[^"\n]*)" place="(?P<place>[^"\n]*)">\n',
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class FramedSource:
    """A source as it was read back from a prompt."""

    number: int
    title: str
    place: str
    text: str


def mark_for(texts: Iterable[str]) -> str:
    """The mark of a request: 12 hexadecimal digits that occur in none of `texts`."""
    parts = list(texts)
    digest = hashlib.blake2b(digest_size=6)
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    mark = digest.hexdigest()
    while any(mark in part for part in parts):
        digest.update(mark.encode())
        mark = digest.hexdigest()
    return mark


def frame_source(text: str, *, mark: str, number: int, title: str, place: str) -> str:
    """Put a source into its frame.

    Args:
        text: The words of the document, unchanged.
        mark: From `mark_for`.
        number: From 1; the answer cites it as ``[number]``.
        title: Title of the document.
        place: Page or heading; empty when neither is known.
    """
    return f'<source-{mark} number="{number}" title="{_attribute(title)}" place="{_attribute(place)}">\n{text}\n</source-{mark}>'


def frame_question(question: str, *, mark: str) -> str:
    """Put the question into its frame."""
    return f"<question-{mark}>\n{question}\n</question-{mark}>"


def read_sources(prompt: str) -> list[FramedSource]:
    """Read the sources of a rendered prompt, in order; none when there is no frame."""
    found: list[FramedSource] = []
    position = 0
    while opening := _OPEN.search(prompt, position):
        end = prompt.find(f"\n</source-{opening['mark']}>", opening.end() - 1)
        if end < 0:
            break
        text = prompt[opening.end() : max(end, opening.end())]
        found.append(FramedSource(int(opening["number"]), opening["title"], opening["place"], text))
        position = end + 1
    return found


def read_question(prompt: str) -> str | None:
    """Read the question of a rendered prompt: the last frame; None when there is none."""
    openings = list(re.finditer(r"^<question-([0-9a-f]{6,})>\n", prompt, re.MULTILINE))
    for opening in reversed(openings):
        end = prompt.find(f"\n</question-{opening[1]}>", opening.end() - 1)
        if end >= 0:
            return prompt[opening.end() : max(end, opening.end())]
    return None


def _attribute(text: str) -> str:
    return re.sub(r'[\s"<>]+', " ", text).strip()
