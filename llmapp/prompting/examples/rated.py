"""Rated answers that could become examples, and why some should not before somebody has read them.

An example stands in the prompts of everybody who asks. An answer was made for one person, from what that person may read: its
words may say more than others are to know, also where it cites nothing of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmapp.prompting.examples.store import Example, example_of, objects_of, wrong_at


@dataclass(frozen=True, slots=True)
class RatedAnswer:
    """An answer that somebody has rated."""

    example: Example
    line: int
    """In its file, from 1."""
    rating: float
    """On the file's own scale."""
    sources: tuple[str, ...] | None
    """Ids of the chunks that stood in its prompt, cited or not; None where the line does not say."""
    follows_up: bool
    """Whether its question followed on earlier turns."""


def rated_answers(file: Path, *, at_least: float) -> list[RatedAnswer]:
    """The well rated of a file: answers as ``llmapp ask --json`` and the API give them, each with a ``rating`` beside it.

    Args:
        file: One JSON object a line; ``question``, ``answer`` and ``rating`` it must have.
        at_least: Least rating, on the file's own scale.

    Returns:
        Best rated first, in the order of the file where ratings are equal.

    Raises:
        ExampleError: The file cannot be read, or a line has no question, no answer or no number for its rating.
    """
    found = []
    for line, value in objects_of(file):
        rating = value.get("rating")
        if isinstance(rating, bool) or not isinstance(rating, int | float) or math.isnan(rating):
            raise wrong_at(file, line, "rating is no number")
        if rating >= at_least:
            example = example_of(file, line, value)
            found.append(RatedAnswer(example, line, rating, _sources(value), value.get("follows_up") is True))
    return sorted(found, key=lambda each: -each.rating)


def doubt_about(rated: RatedAnswer, for_everybody: Callable[[Sequence[str]], Collection[str]]) -> str:
    """Why somebody should read an answer before all others see it as an example; empty where nothing speaks against it.

    Args:
        rated: The answer.
        for_everybody: Of some chunk ids, those of documents that everybody may read.
    """
    if rated.follows_up:
        return "its question followed on others, and may say too little by itself"
    if rated.sources is None:
        return "it does not say which sources stood in its prompt"
    if hidden := len(set(rated.sources) - set(for_everybody(rated.sources))):
        return f"{hidden} of the {len(rated.sources)} sources of its prompt are not for everybody, or are there no more"
    return ""


def _sources(value: dict[str, Any]) -> tuple[str, ...] | None:
    """What the report of the prompt says; nothing of it is believed to have any shape."""
    prompt = value.get("prompt")
    decisions = prompt.get("decisions") if isinstance(prompt, dict) else None
    if not isinstance(decisions, list) or not all(isinstance(each, dict) for each in decisions):
        return None
    stood = [each.get("item") for each in decisions if each.get("section") == "sources" and each.get("outcome") != "dropped"]
    return tuple(str(item) for item in stood)
