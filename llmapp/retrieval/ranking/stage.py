"""The stages that put what was found in order: hits go in, hits come out, none of them from elsewhere.

A stage that cannot work is left out: the hits go on in the order they had, and the search says so. What an operator must
know of is never left out in silence: a setting that is wrong, a price that is not known, a budget that is used up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from llmapp.errors import LLMAppError, ModelError, RerankerError
from llmapp.filters.tree import Filter
from llmapp.types import Found, Hit, Principal

_log = logging.getLogger(__name__)

_DISPENSABLE = (RerankerError, ModelError)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, by whom, for how many hits, and of which documents."""

    query: str
    principal: Principal
    top_k: int
    where: Filter | None = None
    """What a document must satisfy; None is every document."""


class Stage(Protocol):
    """Puts hits in another order, leaves some out, or gives them more of their document's text."""

    @property
    def name(self) -> str:
        """One word, as timings and notes name it."""

    def __call__(self, asked: Asked, hits: Sequence[Hit]) -> list[Hit]:
        """The hits, best first.

        Raises:
            RerankerError, ModelError: The stage cannot work now; the search goes on without it.
            LLMAppError: Any other error ends the search.
        """


def run_stages(stages: Sequence[Stage], asked: Asked, hits: Sequence[Hit]) -> Found:
    """Send hits through the stages, one after the other."""
    notes: list[str] = []
    timings_s: dict[str, float] = {}
    for stage in stages:
        start = time.perf_counter()
        try:
            hits = stage(asked, hits)
        except _DISPENSABLE as error:
            notes.append(_note(stage, error))
        timings_s[stage.name] = time.perf_counter() - start
    return Found(tuple(hits), tuple(notes), timings_s)


def _note(stage: Stage, error: LLMAppError) -> str:
    _log.warning("a search went without its stage %s: %s: %s", stage.name, error.code, error.message)
    return f"{stage.name} was left out: {error.message}"
