"""The offline chat model: it answers with the best-supported sentences of the prompt's sources, or says that there are none.

It reads the frames of the last user message (`llmapp.frames`), ranks every passage (`llmapp.models.evidence`) and quotes at
most `_MOST_QUOTES` of them word for word, each followed by the number of its source; for summaries the best of each source. It invents nothing and computes
nothing, has no randomness, needs no key, and follows no instruction, neither the user's nor a document's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Annotated, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, SkipValidation

from llmapp.frames import REFUSAL, read_question, read_sources
from llmapp.models.evidence import Support, rank
from llmapp.models.passages import passages_of
from llmapp.protocols import Embedder
from llmapp.types import Message, Role

_MOST_QUOTES = 3
_MOST_SOURCES = 12
"""Quoted where each source is to be heard: as much as somebody reads who asked for a page."""
_ANSWER_FROM = 0.08
"""Support from which a passage is an answer. Passages are rare events to the regression, so this is far below a half; see the
table of `benchmarks/extractive_answers.py` for what it trades."""
_SECOND_FROM = 0.7
"""Share of the best support from which another passage is quoted beside it: an older version of a fact stays below."""
_EQUAL_FROM = 0.9
"""Share of the best support from which a passage is as good as the best: another row of the table, another version."""
_RECORD = re.compile(r"[^\n]{0,80}:\n(?=[ \t])")
_STRONG = re.compile(r"(\*\*|__)(?=\S)([^\n]+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])([*_])(?=[^\s*_])([^*_\n]+)(?<=\S)\1(?![\w*])")
_ROLES: dict[str, Role] = {"system": "system", "human": "user", "ai": "assistant"}
_FINISHED = {"finish_reason": "stop"}


def count_words(text: str) -> int:
    """Words of a text: a stand-in for tokens where nobody brings a counter."""
    return len(text.split())


class ExtractiveChatModel(BaseChatModel):
    """Quotes the sources of the prompt. Free, offline, deterministic."""

    embedder: Annotated[Embedder | None, SkipValidation] = Field(default=None, exclude=True, repr=False)
    """Judges likeness of meaning; without one, words decide alone."""
    count_tokens: Annotated[Callable[[str], int], SkipValidation] = Field(default=count_words, exclude=True, repr=False)
    """Counts the reported usage."""
    count_request: Annotated[Callable[[Sequence[Message]], int] | None, SkipValidation] = Field(
        default=None, exclude=True, repr=False
    )
    """Counts a whole request with what frames its messages; without one, the texts alone are counted."""

    of_each_source: bool = False
    """Whether the best passage of each source is quoted, as for a summary of many, and not the best of all."""

    @property
    def _llm_type(self) -> str:
        return "extractive"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002  quotes are not cut
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002  limits and temperatures of generative models mean nothing here
    ) -> ChatResult:
        text = self._answer(messages)
        message = AIMessage(content=text, usage_metadata=self._usage(messages, text), response_metadata=dict(_FINISHED))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> Iterator[ChatGenerationChunk]:
        text = self._answer(messages)
        yield from _chunks(text, self._usage(messages, text))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> AsyncIterator[ChatGenerationChunk]:
        text = await asyncio.to_thread(self._answer, messages)
        for chunk in _chunks(text, self._usage(messages, text)):
            yield chunk

    def _answer(self, messages: list[BaseMessage]) -> str:
        prompt = next((message.text for message in reversed(messages) if isinstance(message, HumanMessage)), "")
        question, sources = read_question(prompt), read_sources(prompt)
        if not question or not sources:
            return REFUSAL
        ranked = rank(question, passages_of(sources), embedder=self.embedder)
        return _quote(choose_of_each(ranked) if self.of_each_source else choose(ranked), is_list=self.of_each_source)

    def _usage(self, messages: list[BaseMessage], text: str) -> UsageMetadata:
        read = self._read_tokens(messages)
        written = self.count_tokens(text)
        return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)

    def _read_tokens(self, messages: list[BaseMessage]) -> int:
        if self.count_request is None:
            return sum(self.count_tokens(message.text) for message in messages)
        return self.count_request([Message(_ROLES.get(message.type, "user"), message.text) for message in messages])


def choose(ranked: list[Support]) -> list[Support]:
    """The passages to quote, best first: none when even the best has too little support.

    A further one is from the source of the best, has a word of the question that the others lack, or is as good as the
    best. The same words from two overlapping chunks are quoted once.
    """
    if not ranked or ranked[0].probability < _ANSWER_FROM:
        return []
    best = ranked[0].probability
    chosen: dict[str, Support] = {}
    covered: frozenset[str] = frozenset()
    for support in ranked:
        if len(chosen) == _MOST_QUOTES or support.probability < max(_ANSWER_FROM, _SECOND_FROM * best):
            break
        goes_on = support.passage.source == ranked[0].passage.source
        if goes_on or support.words - covered or support.probability >= _EQUAL_FROM * best:
            chosen.setdefault(support.passage.text, support)
            covered |= support.words
    return list(chosen.values())


def choose_of_each(ranked: list[Support]) -> list[Support]:
    """The best passage of each source that has enough support, best first; the same words once."""
    best: dict[int, Support] = {}
    for support in ranked:
        if support.probability >= _ANSWER_FROM:
            best.setdefault(support.passage.number, support)
    once = {support.passage.text: support for support in reversed(best.values())}
    return list(reversed(once.values()))[:_MOST_SOURCES]


def _quote(chosen: list[Support], *, is_list: bool) -> str:
    if not chosen:
        return REFUSAL
    quotes = [f"{_readable(support.passage.text)} [{support.passage.number}]" for support in chosen]
    return ("\n" if is_list or any(quote.startswith("|") for quote in quotes) else " ").join(quotes)


def _readable(text: str) -> str:
    """Without marks of emphasis; a wrapped sentence and a record on one line, the record without its number."""
    if record := _RECORD.match(text):
        return ", ".join(line.strip() for line in text[record.end() :].split("\n"))
    return _EMPHASIS.sub(r"\2", _STRONG.sub(r"\2", text)).replace("\n", " ")


def _chunks(text: str, usage: UsageMetadata) -> Iterator[ChatGenerationChunk]:
    """Word by word; the last chunk is empty and carries the usage."""
    for word in re.findall(r"\S+\s*|\s+", text):
        yield ChatGenerationChunk(message=AIMessageChunk(content=word))
    yield ChatGenerationChunk(
        message=AIMessageChunk(content="", usage_metadata=usage, response_metadata=dict(_FINISHED), chunk_position="last")
    )
