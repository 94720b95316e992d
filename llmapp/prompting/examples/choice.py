"""Which examples may stand in a prompt: the most similar to its question, with what each is worth and how far two are alike.

The allocator does the rest: an item is worth its similarity to the question times its distance from the nearest example that
stands, see `llmapp.prompting.allocation.filling.by_novelty`. Knows no embedder: vectors come from whoever calls.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from llmapp.frames import frame_example
from llmapp.prompting.allocation import Item, Section
from llmapp.prompting.counting import well_formed
from llmapp.prompting.examples.store import Example
from llmapp.prompting.layout import TalkItem
from llmapp.protocols import TokenCounter
from llmapp.types import Message

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray

VectorOf: TypeAlias = "Callable[[str], FloatArray]"
"""The unit vector of a question."""

VectorsOf: TypeAlias = "Callable[[Sequence[str]], Sequence[FloatArray]]"
"""The unit vectors of the questions of examples, in their order."""

MOST_CANDIDATES = 50
"""So many are counted and compared for a prompt; their frames alone, 45 tokens each, are most of a budget of 3,000."""

_LEAST_OF_BEST = 0.5
"""One that is not half as similar to the question as the nearest is no candidate: such are of the question's topic no more often than
chance has it (benchmarks/example_gain.py)."""

_LIKENESS_POWER = 3
"""Cosines of unlike questions of one topic are about one half. Taken as they are, they choose other topics: worse than no diversity."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class ExampleItem(TalkItem):
    """An example."""

    vector: FloatArray | None
    """Of its question; None where examples stand in the order of their file."""


class Examples:
    """Worked examples to choose from; safe among threads."""

    def __init__(
        self, examples: Sequence[Example], *, vector_of: VectorOf | None = None, vectors_of: VectorsOf | None = None
    ) -> None:
        """Take these.

        Args:
            examples: In the order in which they stand in a prompt.
            vector_of: Asked for the question of each prompt; None takes the examples in their order, as many as have room
                beside the question.
            vectors_of: Asked for those of the examples, for each prompt all at once; None asks `vector_of` for one after
                the other.
        """
        self._examples = tuple(examples)
        self._vector_of = vector_of
        self._vectors_of = vectors_of

    def __len__(self) -> int:
        return len(self._examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self._examples)

    def without(self, example: Example) -> Examples:
        """The others."""
        others = [each for each in self._examples if each != example]
        return Examples(others, vector_of=self._vector_of, vectors_of=self._vectors_of)

    def items(self, question: str, section: Section, counter: TokenCounter) -> list[ExampleItem]:
        """The candidates of a prompt, best first.

        Args:
            question: What they are to be similar to; one that is not half as similar as the nearest is no candidate.
            section: Where they stand. In a static one they are taken in their order.
            counter: Counts each as it is rendered.

        Raises:
            RetrievalError: There is no vector.
            CostError: A vector could not be paid.
        """
        if self._vector_of is None or section.stability == "static":
            return [
                _item(example, place, section.name, counter)
                for place, example in enumerate(self._examples[:MOST_CANDIDATES], start=1)
            ]
        return self._nearest(self._vector_of, question, section.name, counter)

    def _nearest(self, vector_of: VectorOf, question: str, section: str, counter: TokenCounter) -> list[ExampleItem]:
        if not self._examples:
            return []
        asked = vector_of(question)
        questions = [example.question for example in self._examples]
        vectors = self._vectors_of(questions) if self._vectors_of else [vector_of(each) for each in questions]
        worth = [float(vector @ asked) for vector in vectors]
        best = heapq.nsmallest(MOST_CANDIDATES, range(len(worth)), key=lambda index: (-worth[index], index))
        return [
            _item(self._examples[index], index + 1, section, counter, value=worth[index], vector=vectors[index])
            for index in best
            if worth[index] > 0 and worth[index] >= _LEAST_OF_BEST * worth[best[0]]
        ]


def likeness(first: Item, second: Item) -> float:
    """How far two examples are of the same, from 0 to 1: the cosine of their questions, cubed; 0 of anything else."""
    if not (isinstance(first, ExampleItem) and isinstance(second, ExampleItem)):
        return 0.0
    if first.vector is None or second.vector is None:
        return 0.0
    return min(1.0, max(0.0, float(first.vector @ second.vector))) ** _LIKENESS_POWER


def _item(
    example: Example,
    place: int,
    section: str,
    counter: TokenCounter,
    *,
    value: float | None = None,
    vector: FloatArray | None = None,
) -> ExampleItem:
    question, answer = well_formed(example.question), well_formed(example.answer)
    messages = (Message("user", frame_example(question)), Message("assistant", answer))
    return ExampleItem(
        id=f"{section} {place}",
        section=section,
        tokens=counter.count_request(messages) - counter.count_request(()),
        value=value,
        score=value,
        text=f"{question}\n\n{answer}",
        name=f"example {place}",
        messages=messages,
        place=place,
        vector=vector,
    )
