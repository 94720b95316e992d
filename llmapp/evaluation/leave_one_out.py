"""What worked examples gain: every example's question is asked without any, and with all others, and both answers are scored.

The example itself never stands in a prompt for its own question, so nothing is measured that was told (leave-one-out: Stone,
"Cross-validatory choice and assessment of statistical predictions", 1974). Expected is the answer of the example, and scored
is as in `llmapp.evaluation.answer_text`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from llmapp.errors import ExampleError, LLMAppError
from llmapp.evaluation.answer_text import contains, f1, spoken
from llmapp.evaluation.asking import ask_all
from llmapp.evaluation.expense import worst_cost_usd
from llmapp.evaluation.incompleteness import failed, left_out
from llmapp.evaluation.questions import Dataset, Question
from llmapp.evaluation.statistics import Comparison, compare
from llmapp.models.backends import EXTRACTIVE
from llmapp.prompting.examples import Example, Examples
from llmapp.prompting.sections import EXAMPLES

if TYPE_CHECKING:
    from pydantic import JsonValue

    from llmapp.application import App
    from llmapp.protocols import Progress
    from llmapp.types import Answer

_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Pair:
    """An example's question, answered twice."""

    example: Example
    without: Answer | None
    """With no example; None when the call failed."""
    others: Answer | None
    """With the others to choose from; None when a call failed, this one or that before."""
    error: str = ""

    @property
    def shown(self) -> int:
        """How many of the others stood in the prompt."""
        decisions = self.others.report.decisions if self.others else ()
        return sum(d.section == EXAMPLES and d.outcome != "dropped" for d in decisions)

    @property
    def cost_usd(self) -> float:
        """What both answers have cost."""
        return sum(answer.cost_usd for answer in (self.without, self.others) if answer)


@dataclass(frozen=True, slots=True)
class Gain:
    """What examples gain."""

    model: str
    pairs: tuple[Pair, ...]
    """One for each example, in their order."""
    measures: Mapping[str, Comparison]
    """``contains`` and ``F1``; before is without examples, after is with them."""

    @property
    def cost_usd(self) -> float:
        """What all answers have cost; those of a pair of which the other failed are among them."""
        return sum(pair.cost_usd for pair in self.pairs)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be known of the figures."""
        found = []
        if self.model == EXTRACTIVE:
            found.append(f"{EXTRACTIVE} quotes sources and reads no examples: they can gain nothing with it")
        if not any(pair.shown for pair in self.pairs):
            found.append("no example stood in any prompt: none is like another question, or the section has no room")
        notes = [answer.notes for pair in self.pairs for answer in (pair.without, pair.others) if answer]
        errors = [pair.error for pair in self.pairs if pair.error]
        return (*found, *failed(errors, len(self.pairs)), *left_out(notes))

    def shape(self) -> dict[str, JsonValue]:
        """As JSON."""
        measures = {name: {**asdict(each), "difference": each.difference} for name, each in self.measures.items()}
        return {
            "model": self.model,
            "examples": len(self.pairs),
            "measures": {**measures},
            "cost_usd": self.cost_usd,
            "warnings": list(self.warnings),
            "by_example": [_shape(pair) for pair in self.pairs],
        }


def worst_test_usd(app: App) -> float:
    """What `gain_of_examples` can cost at worst; what `llmapp.evaluation.expense.paid_calls` names comes on top.

    Raises:
        ExampleError: There are fewer than two examples.
        UnknownPriceError: The model has no known price.
    """
    return 2 * worst_cost_usd(app, as_dataset(_testable(app)))


def as_dataset(examples: Examples) -> Dataset:
    """The examples as questions with expected answers."""
    questions = [
        Question(str(place), example.question, answers=(spoken(example.answer),))
        for place, example in enumerate(examples, start=1)
    ]
    return Dataset("examples", tuple(questions))


def gain_of_examples(app: App, *, at_once: int = 1, progress: Progress | None = None) -> Gain:
    """Ask the question of every example without examples and with the others.

    Args:
        app: The application; its own examples are tested.
        at_once: Examples that are tested at the same time. From 1.
        progress: Told of every example.

    Raises:
        ExampleError: There are fewer than two examples.
        LLMAppError: No pair of calls went well; the last of their errors. When money or five failures in a row stand in the
            way, the rest is not asked, and what was answered is reported.
    """
    examples = _testable(app)
    ask = partial(_ask, app, examples)
    pairs = ask_all(list(examples), ask, _not_asked, at_once=at_once, progress=progress, name=lambda each: each.question)
    return Gain(app.model_name, tuple(pairs), _compared(pairs))


def _testable(app: App) -> Examples:
    if len(app.examples) < _FEWEST:
        raise ExampleError(
            f"examples.jsonl has {len(app.examples)} examples: with one left out none is left",
            hint="add some: llmapp examples add",
        )
    return app.examples


def scores_of(answer: str, example: Example) -> dict[str, float]:
    """How near an answer comes to that of an example, by measure."""
    expected = [spoken(example.answer)]
    return {"contains": float(contains(answer, expected)), "F1": f1(answer, expected)}


def _compared(pairs: Sequence[Pair]) -> dict[str, Comparison]:
    rows = [
        (scores_of(pair.without.text, pair.example), scores_of(pair.others.text, pair.example))
        for pair in pairs
        if pair.without and pair.others
    ]
    return {name: compare([row[0][name] for row in rows], [row[1][name] for row in rows]) for name in rows[0][0]}


def _ask(app: App, examples: Examples, example: Example) -> tuple[Pair, LLMAppError | None]:
    without = None
    try:
        without = app.ask(example.question, examples=Examples(()))
        others = app.ask(example.question, examples=examples.without(example))
    except LLMAppError as error:
        return Pair(example, without, None, f"{error.message} ({error.code})"), error
    return Pair(example, without, others), None


def _not_asked(example: Example, error: LLMAppError) -> Pair:
    return Pair(example, None, None, f"not asked: {error.message}")


def _shape(pair: Pair) -> dict[str, JsonValue]:
    answers = {"without": pair.without, "with_others": pair.others}
    return {
        "question": pair.example.question,
        "tags": list(pair.example.tags),
        "expected": pair.example.answer,
        **{
            name: {"answer": answer.text, "measures": {**scores_of(answer.text, pair.example)}} if answer else None
            for name, answer in answers.items()
        },
        "examples_shown": pair.shown,
        "cost_usd": pair.cost_usd,
        "error": pair.error,
    }
