"""From a question and what was found for it to the messages that are sent, with a report of what was left out.

    system      the rules                                       pinned, the same for every question
    examples    how such questions are answered                 the most similar and diverse, in the order of their file
    summary     what turns said that were left out              written once for each beginning of the conversation
    earlier     turns before those, in blocks                   what the sources leave; not beside a summary
    history     turns, whole                                    between two watermarks
    user        numbered sources                                the rest; the best that does not fit is cut
                the question                                    pinned, always whole

What a section may have stands in the head of the template. Knows nothing of catalogs, searches, models and prices; a
`TokenCounter` and some hits are all it takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cache, partial
from typing import get_args

from llmapp.errors import PromptError, QuestionTooLongError, RetrievalError
from llmapp.frames import REFUSAL, frame_question, mark_for
from llmapp.prompting.allocation import Allocation, Item, allocate
from llmapp.prompting.counting import well_formed
from llmapp.prompting.evidence import Order, Part, parts_of
from llmapp.prompting.examples import ExampleItem, Examples, likeness
from llmapp.prompting.history import Summaries
from llmapp.prompting.layout import Layout, Request, SourceItem, TalkItem
from llmapp.prompting.reporting import Count, decisions_on, head_tokens, placement_of, shares_of
from llmapp.prompting.sections import EXAMPLES, sections_of
from llmapp.prompting.source_items import cut_to, source_items
from llmapp.prompting.talk import Talk, talk_of
from llmapp.prompting.templates import PromptTemplate, load_template
from llmapp.protocols import TokenCounter
from llmapp.types import Hit, Message, Prompt, PromptReport, Tool


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
        order: Order = "score",
        history_share: float | None = None,
        summaries: Summaries | None = None,
        examples: Examples | None = None,
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
            order: In which order sources stand.
            history_share: Part of the budget that earlier turns may have: the high watermark. From 0 to 1; None is the template's.
            summaries: Writes a summary of the turns that are left out; None leaves them out.
            examples: Worked examples to choose from for every question; None are none.

        Raises:
            PromptError: The budget or the reserve is below 0, or there is no such order.
            TemplateError: The head of the template has a section that is none.
        """
        if budget_tokens < 0 or reserve_output_tokens < 0:
            raise PromptError(
                f"a budget of {budget_tokens:,} tokens and a reserve of {reserve_output_tokens:,}", hint="both are 0 or more"
            )
        if order not in get_args(Order):
            raise PromptError(f"there is no order {order!r}", hint=f"one of {', '.join(get_args(Order))}")
        self.counter = counter
        self.budget_tokens = budget_tokens
        if context_window_tokens is not None:
            self.budget_tokens = max(0, min(budget_tokens, context_window_tokens - reserve_output_tokens))
        self.reserve_output_tokens = reserve_output_tokens
        self.max_question_chars = max_question_chars
        self.template = template or load_template()
        self._given_budget_tokens = budget_tokens
        self._values = {"refusal": REFUSAL, **(values or {})}
        self._order: Order = order
        self._history_share = history_share
        self._summaries = summaries
        self._examples = examples or Examples(())
        self._sections = sections_of(self.template, budget_tokens=self.budget_tokens, history_share=history_share)

    def for_model(
        self,
        counter: TokenCounter,
        *,
        reserve_output_tokens: int,
        context_window_tokens: int | None = None,
        budget_tokens: int | None = None,
    ) -> Assembler:
        """The same for another model, so that a prompt can be made anew of the same question, hits and history.

        Args:
            counter: Counts as that model counts.
            reserve_output_tokens: Tokens of its context window kept free for the answer.
            context_window_tokens: Tokens that it takes; None when it is larger than any budget here.
            budget_tokens: Most tokens of a request; None is as here.
        """
        return Assembler(
            counter,
            budget_tokens=self._given_budget_tokens if budget_tokens is None else budget_tokens,
            reserve_output_tokens=reserve_output_tokens,
            context_window_tokens=context_window_tokens,
            max_question_chars=self.max_question_chars,
            template=self.template,
            values=self._values,
            order=self._order,
            history_share=self._history_share,
            summaries=self._summaries,
            examples=self._examples,
        )

    def with_examples(self, examples: Examples) -> Assembler:
        """The same with other worked examples."""
        other = copy(self)
        other._examples = examples  # noqa: SLF001 - a copy of its own
        return other

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

    def assemble(
        self,
        question: str,
        hits: Sequence[Hit],
        *,
        history: Sequence[Message] = (),
        tools: Sequence[Tool] = (),
        measure: bool = False,
    ) -> Prompt:
        """Build the prompt for a question. The same input gives the same prompt, to the byte.

        Lone surrogates, which no provider takes, become U+FFFD; all other text stands as it is.

        Args:
            question: The question; stands whole in the prompt.
            hits: What was found, in any order; a smaller rank is better.
            history: Earlier turns of user, assistant and tools, oldest first; see `llmapp.prompting.history.turns_of`.
            tools: What the model may call; send the same with the prompt, they are part of what was counted.
            measure: Whether the report also says what each part adds to the request; takes a count of it for each part.

        Raises:
            PromptError: The question is blank, or the history holds a system message.
            QuestionTooLongError: The question is over `max_question_chars`.
            TokenBudgetExceededError: The rules, the question and the minimums of the sections are over the budget.
            TemplateError: A slot of the template has no value, or it has none for the question, or for sources that there are.
            CostError: A summary, or the vector by which examples are chosen, could not be paid.
        """
        self.check_question(question)
        hits, history, count = list(hits), list(history), partial(self.counter.count_request, tools=tools)
        self.template.require("user", *(["sources"] if hits else []), "question")
        talk = talk_of(
            history, self._sections, counter=self.counter, budget_tokens=self.budget_tokens, summaries=self._summaries
        )
        examples, problem = self._examples_for(question, history)
        shown = [message for item in examples for message in item.messages]
        parts = parts_of(hits)
        layout = self._layout(well_formed(question), parts, [*shown, *history, *talk.summary])
        sources = source_items(parts, mark=layout.mark, counter=self.counter)
        items: list[TalkItem | SourceItem] = [*examples, *talk.items, *sources]
        request = cache(layout.request)  # the choice that is sent was counted, and is not rendered again
        framed_question = frame_question(layout.question, mark=layout.mark)
        fixed = {"tools": max(0, count(()) - self.counter.count_request(()))} if tools else {}
        fixed |= {"system": self.counter.count(layout.system.content), "question": self.counter.count(framed_question)}
        allocation = allocate(
            items,
            sections=self._sections,
            budget_tokens=self.budget_tokens,
            fixed=fixed,
            count_request=lambda kept: count(request(tuple(kept)).messages),
            similarity=likeness if examples else None,
            shorten=self._shorten,
        )
        chosen = request(allocation.kept)
        return Prompt(
            messages=chosen.messages,
            sources=chosen.sources,
            report=self._report(items, allocation, chosen, layout, fixed=fixed, talk=talk, count=count, measure=measure),
            notes=(*talk.notes(allocation.kept), *problem),
        )

    def _report(
        self,
        items: Sequence[TalkItem | SourceItem],
        allocation: Allocation,
        request: Request,
        layout: Layout,
        *,
        fixed: dict[str, int],
        talk: Talk,
        count: Count,
        measure: bool,
    ) -> PromptReport:
        tools_tokens = fixed.get("tools", 0)
        placement = placement_of(allocation, request, layout, count, tools_tokens=tools_tokens) if measure else None
        static = [item for item in request.talk if self._is_static(item)]
        static_tokens, before_tokens = head_tokens(
            layout.head(static), layout.head(request.talk), count=count, tools_tokens=tools_tokens
        )
        return PromptReport(
            budget_tokens=self.budget_tokens,
            used_tokens=allocation.used_tokens,
            reserved_output_tokens=self.reserve_output_tokens,
            is_exact=self._is_exact(talk.items, has_tools="tools" in fixed),
            counter=self.counter.name,
            decisions=decisions_on(
                items,
                allocation,
                request,
                template=self.template.identity,
                fixed=fixed,
                older=talk.older,
                placement=placement,
            ),
            sections=shares_of(allocation, fixed=fixed, older=talk.older),
            template=self.template.identity,
            static_prefix_tokens=static_tokens,
            reusable_prefix_tokens=before_tokens,
        )

    def _examples_for(self, question: str, history: Sequence[Message]) -> tuple[list[ExampleItem], Sequence[str]]:
        """The candidates, or why there are none. A conversation keeps those of its first question: they stand before it."""
        first = next(
            (message.content for message in history if message.role == "user" and message.content.strip()), question
        )
        section = next(section for section in self._sections if section.name == EXAMPLES)
        try:
            return self._examples.items(first, section, self.counter), ()
        except RetrievalError as error:
            return [], (f"answered without examples: {error.message}",)

    def _layout(self, question: str, parts: Sequence[Part], talk: Sequence[Message]) -> Layout:
        # The mark covers all candidates, chosen or not, so that it does not change while they are chosen.
        untrusted = [question, *(message.content for message in talk)]
        for part in parts:
            untrusted += (part.chunk.title, part.chunk.heading, part.chunk.text)
        system = Message("system", self.template.render("system", **self._values))
        return Layout(self.template, system, self._values, question, mark_for(untrusted), self._order)

    def _shorten(self, item: Item, tokens: int) -> Item | None:
        return cut_to(item, tokens, self.counter) if isinstance(item, SourceItem) else None

    def _is_static(self, item: Item) -> bool:
        return any(section.name == item.section and section.stability == "static" for section in self._sections)

    def _is_exact(self, talk: Sequence[TalkItem], *, has_tools: bool) -> bool:
        calls = any(message.tool_calls for item in talk for message in item.messages)
        return self.counter.is_exact_with_tools if calls or has_tools else self.counter.is_exact
