"""From a question and what was found for it to the messages that are sent, with a report of what was left out.

    system      the rules                                       pinned
    history     earlier turns, the newest that fit              at most a quarter of the room
    user        numbered sources, best first                    the rest
                the question                                    pinned, always whole

Nothing is cut: a source stands whole or not at all. Knows nothing of catalogs, searches, models and prices; a
`TokenCounter` and some hits are all it takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmapp.errors import PromptError, QuestionTooLongError
from llmapp.frames import REFUSAL, frame_question, frame_source, mark_for
from llmapp.prompting.allocation import Allocation, Item, Section, allocate
from llmapp.prompting.counting import well_formed
from llmapp.prompting.templates import PromptTemplate, load_template
from llmapp.protocols import TokenCounter
from llmapp.types import Chunk, Decision, Hit, Message, Prompt, PromptReport, Source

HISTORY = Section("history", tier=1, max_share=0.25, contiguous=True)
"""Earlier turns, newest first. A quarter is our choice: they say what the question means, the sources answer it."""
SOURCES = Section("sources", tier=2)
"""Hits, best first; they have all that the history leaves."""

_JOINT = "\n\n"


class Assembler:
    """Builds prompts that never exceed their token budget; safe among threads."""

    def __init__(
        self,
        counter: TokenCounter,
        *,
        budget_tokens: int,
        reserve_output_tokens: int,
        context_window_tokens: int | None = None,
        max_question_chars: int = 20_000,
        template: PromptTemplate | None = None,
        values: Mapping[str, object] | None = None,
    ) -> None:
        """Choose the counter of the model and the limits.

        Args:
            counter: Counts as the model counts, see `llmapp.prompting.counting.counter_for`.
            budget_tokens: Most tokens of a request.
            reserve_output_tokens: Tokens of the context window kept free for the answer.
            context_window_tokens: Tokens that the model takes, input and output together; None when it is larger than
                any budget here.
            max_question_chars: Longer questions are refused.
            template: The fixed words, with a slot ``question`` in its user part; None takes ``answer_with_sources``.
            values: Your own words for further slots of the template, such as ``schema`` or ``routes``. Nothing from outside:
                they stand in no frame.
        """
        self.counter = counter
        self.budget_tokens = budget_tokens
        if context_window_tokens is not None:
            self.budget_tokens = min(budget_tokens, context_window_tokens - reserve_output_tokens)
        self.reserve_output_tokens = reserve_output_tokens
        self.max_question_chars = max_question_chars
        self.template = template or load_template()
        self._values = {"refusal": REFUSAL, **(values or {})}

    def check_question(self, question: str) -> None:
        """Refuse what no prompt can be made of, before anything is searched for it.

        Raises:
            PromptError: The question is blank.
            QuestionTooLongError: The question is over `max_question_chars`.
        """
        if not question.strip():
            raise PromptError("the question is blank", hint="ask something")
        if len(question) > self.max_question_chars:
            raise QuestionTooLongError(got_chars=len(question), limit_chars=self.max_question_chars)

    def assemble(self, question: str, hits: Sequence[Hit], *, history: Sequence[Message] = ()) -> Prompt:
        """Build the prompt for a question.

        Lone surrogates, which no provider takes, become U+FFFD; all other text stands as it is.

        Args:
            question: The question; stands whole in the prompt.
            hits: What was found, in any order; a smaller rank goes first.
            history: Earlier turns of user and assistant, oldest first. A turn is kept whole or not at all; blank messages are left out.

        Raises:
            PromptError: The question is blank, or the history holds a system message.
            QuestionTooLongError: The question is over `max_question_chars`.
            TokenBudgetExceededError: The rules and the question alone are over the budget.
            TemplateError: A slot of the template has no value, or it has none for the question, or for sources that there are.
        """
        self.check_question(question)
        self.template.require("user", *(["sources"] if hits else []), "question")
        layout = self._layout(well_formed(question), hits, history)
        items = [*self._turns(history), *self._sources(hits, layout.mark)]
        pinned = {"system": self.counter.count(layout.system), "question": self.counter.count(layout.question)}
        allocation = allocate(
            items,
            sections=self._sections_of_template(),
            budget_tokens=self.budget_tokens,
            fixed=pinned,
            count_request=lambda kept: self.counter.count_request(layout.messages(kept)),
        )
        return Prompt(
            messages=layout.messages(allocation.kept),
            sources=tuple(Source(n, item.hit.chunk) for n, item in enumerate(_of_sources(allocation.kept), start=1)),
            report=self._report(pinned, allocation),
        )

    def _layout(self, question: str, hits: Sequence[Hit], history: Sequence[Message]) -> _Layout:
        # The mark covers all candidates, chosen or not, so that it does not change while they are chosen.
        chunks = [hit.chunk for hit in _by_rank(hits)]
        untrusted = [question, *(turn.content for turn in history)]
        untrusted += [text for chunk in chunks for text in (chunk.title, chunk.heading, chunk.text)]
        mark = mark_for(untrusted)
        system = self.template.render("system", **self._values)
        return _Layout(self.template, self._values, system, frame_question(question, mark=mark), mark)

    def _turns(self, history: Sequence[Message]) -> list[_TurnItem]:
        """The turns as items, newest first."""
        empty_tokens = self.counter.count_request(())
        turns = list(enumerate(_turns(history), start=1))
        return [
            _TurnItem(f"turn {n}", HISTORY.name, self.counter.count_request(turn) - empty_tokens, messages=turn)
            for n, turn in reversed(turns)
        ]

    def _sources(self, hits: Sequence[Hit], mark: str) -> list[_SourceItem]:
        """The hits as items, best first; counted with the largest number that they can get."""
        items = []
        for number, hit in enumerate(_by_rank(hits), start=1):
            tokens = self.counter.count(_framed(hit.chunk, mark=mark, number=number) + _JOINT)
            items.append(_SourceItem(hit.chunk.id, SOURCES.name, tokens, score=hit.score, text=hit.chunk.text, hit=hit))
        return items

    def _sections_of_template(self) -> tuple[Section, ...]:
        """The claims of the template; what it does not claim for has the common ones."""
        return tuple({section.name: section for section in (HISTORY, SOURCES, *self.template.sections)}.values())

    def _report(self, pinned: dict[str, int], allocation: Allocation) -> PromptReport:
        system, question = (
            Decision(item, section, "kept", pinned[section], "pinned")
            for item, section in ((self.template.identity, "system"), ("question", "question"))
        )
        kept = [decision for decision in allocation.decisions if decision.outcome != "dropped"]
        turns = [decision for decision in reversed(kept) if decision.section == HISTORY.name]
        sources = [decision for decision in kept if decision.section == SOURCES.name]
        return PromptReport(
            budget_tokens=self.budget_tokens,
            used_tokens=allocation.used_tokens,
            reserved_output_tokens=self.reserve_output_tokens,
            is_exact=self.counter.is_exact,
            counter=self.counter.name,
            decisions=(system, *turns, *sources, question, *allocation.dropped),
            sections=allocation.sections,
        )


@dataclass(frozen=True, eq=False)
class _TurnItem(Item):
    """A question of before with its answer."""

    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class _SourceItem(Item):
    """A hit."""

    hit: Hit


@dataclass(frozen=True, slots=True)
class _Layout:
    """All that is fixed before items are chosen; renders the request for any choice."""

    template: PromptTemplate
    values: Mapping[str, object]
    system: str
    question: str
    """Framed."""
    mark: str

    def messages(self, kept: Sequence[Item]) -> tuple[Message, ...]:
        framed = (
            _framed(item.hit.chunk, mark=self.mark, number=number) for number, item in enumerate(_of_sources(kept), start=1)
        )
        slots = {**self.values, "sources": _JOINT.join(framed), "question": self.question}
        user = self.template.render("user", **slots)
        turns = [message for item in _of_turns(kept) for message in item.messages]
        return (Message("system", self.system), *turns, Message("user", user))


def _of_turns(kept: Sequence[Item]) -> list[_TurnItem]:
    """The turns among the items, oldest first."""
    return [item for item in reversed(kept) if isinstance(item, _TurnItem)]


def _of_sources(kept: Sequence[Item]) -> list[_SourceItem]:
    """The sources among the items, best first."""
    return [item for item in kept if isinstance(item, _SourceItem)]


def _by_rank(hits: Sequence[Hit]) -> list[Hit]:
    return sorted(hits, key=lambda hit: (hit.rank, hit.chunk.id))


def _framed(chunk: Chunk, *, mark: str, number: int) -> str:
    place = chunk.heading if chunk.page is None else f"page {chunk.page}"
    return frame_source(
        well_formed(chunk.text), mark=mark, number=number, title=well_formed(chunk.title), place=well_formed(place)
    )


def _turns(history: Sequence[Message]) -> list[tuple[Message, ...]]:
    """Cut a conversation before each message of the user; what stands before the first is left out.

    Blank messages, which providers refuse, are left out too: of the user with the whole turn.
    """
    turns: list[list[Message]] = []
    for message in history:
        if message.role == "system":
            raise PromptError("the history holds a system message", hint="pass turns of user and assistant only")
        if message.role == "user":
            turns.append([])
        if turns and message.content.strip():
            turns[-1].append(Message(message.role, well_formed(message.content)))
    return [tuple(turn) for turn in turns if turn and turn[0].role == "user"]
