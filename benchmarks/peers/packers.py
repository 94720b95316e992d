"""The packers that are compared, each used as its own documentation has it, with the exact counter of the tokenizer.

A packer takes a pack and a counter, and gives back what is sent: a text, or messages. What has no way to say how a model
frames messages, or that a question comes on top, is given a budget less these; whoever leaves that out is over by as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import contextcram
import ctxbudgeter
import priomptipy
import promptbudget
from astromesh_context import CallableSource, ContextEngine, HistorySource, StaticSource
from astromesh_context.types import ContextItem
from langchain_core.messages import BaseMessage, convert_to_messages, trim_messages
from llama_index.core import ChatPromptTemplate, PromptHelper, PromptTemplate, set_global_tokenizer
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from packer_llmapp import allocator_text, assembler_request
from packing_inputs import JOINT, SYSTEM, Pack

from llmapp.protocols import TokenCounter
from llmapp.types import Message, Role

Sent = str | Sequence[Message]


@dataclass(frozen=True)
class Packer:
    """A way to pack."""

    name: str
    task: str
    pack: Callable[[Pack, TokenCounter], Sent]
    how: str
    """Its configuration."""
    package: str = ""
    """The distribution that it is from; empty for ours."""
    tokenizers: tuple[str, ...] = ()
    """Those that it can count with; empty where any can be given."""


# ---------------------------------------------------------------- a text of sources


def promptbudget_text(pack: Pack, counter: TokenCounter) -> str:
    sources = [promptbudget.Item(text, score=-number) for number, text in enumerate(pack.sources)]
    sections = [
        promptbudget.Section("system", SYSTEM, priority=100, strategy="all_or_nothing"),
        promptbudget.Section("sources", sources, priority=40, strategy="lowest_score_first", separator=JOINT),
        promptbudget.Section("question", pack.question, priority=90, strategy="all_or_nothing"),
    ]
    return promptbudget.pack(sections, budget=pack.budget_tokens, tokenizer=counter.count).text


def contextcram_text(pack: Pack, counter: TokenCounter) -> str:
    packer = contextcram.Packer(budget=pack.budget_tokens, tokenizer=contextcram.CallableTokenizer(counter.count))
    packer.add(SYSTEM, priority="required")
    for number, text in enumerate(pack.sources):
        packer.add(text, priority=len(pack.sources) - number, strategy="drop")
    return packer.add(pack.question, priority="required").fit().text


def astromesh_text(pack: Pack, counter: TokenCounter) -> str:
    return astromesh_window(pack, counter, pack.budget_tokens - counter.count(JOINT + pack.question)).to_text() + (
        JOINT + pack.question
    )


def ctxbudgeter_text(pack: Pack, counter: TokenCounter) -> str:
    return ctxbudgeter_compiled(pack, counter, reserved_tokens=0, with_question=True).as_text()


def prompt_helper_text(pack: Pack, counter: TokenCounter) -> str:
    template = PromptTemplate(SYSTEM + JOINT + "{context_str}" + JOINT + "{query_str}")
    return _truncated(template, pack, counter).format(query_str=pack.question)


# ---------------------------------------------------------------- a request with sources


def promptbudget_request(pack: Pack, counter: TokenCounter) -> Sequence[Message]:
    context = [promptbudget.Message("user", text, score=-number) for number, text in enumerate(pack.sources)]
    return _pack_chat(pack, counter, context, [])


def contextcram_request(pack: Pack, counter: TokenCounter) -> Sequence[Message]:
    packer = contextcram.Packer(
        budget=pack.budget_tokens,
        reserve=_around_tokens(pack, counter),
        tokenizer=contextcram.CallableTokenizer(counter.count),
    )
    packer.add(SYSTEM, priority="required")
    for number, text in enumerate(pack.sources):
        packer.add(text, priority=len(pack.sources) - number, strategy="drop")
    return [Message("system", packer.fit().text), Message("user", pack.question)]


def astromesh_request(pack: Pack, counter: TokenCounter) -> Sequence[Message]:
    window = astromesh_window(pack, counter, pack.budget_tokens - _around_tokens(pack, counter))
    return _messages(window.to_messages())


def ctxbudgeter_request(pack: Pack, counter: TokenCounter) -> Sequence[Message]:
    compiled = ctxbudgeter_compiled(pack, counter, reserved_tokens=_around_tokens(pack, counter), with_question=False)
    return _messages(compiled.to_openai_messages(user_message=pack.question))


def prompt_helper_request(pack: Pack, counter: TokenCounter) -> Sequence[Message]:
    user = ChatMessage(role="user", content="{context_str}" + JOINT + "{query_str}")
    template = ChatPromptTemplate([ChatMessage(role="system", content=SYSTEM), user])
    sent = _truncated(template, pack, counter).format_messages(query_str=pack.question)
    return [Message(_role(message.role.value), message.content or "") for message in sent]


# ---------------------------------------------------------------- a conversation


def trimmed(pack: Pack, counter: TokenCounter) -> Sequence[Message]:
    return _trim(pack, lambda messages: counter.count_request(_of_langchain(messages)))


def trimmed_approximately(pack: Pack, counter: TokenCounter) -> Sequence[Message]:  # noqa: ARG001 - it counts characters
    return _trim(pack, "approximate")


def _trim(pack: Pack, counted: Any) -> Sequence[Message]:
    kept = trim_messages(
        convert_to_messages(_as_json(_conversation(pack))),
        max_tokens=pack.budget_tokens,
        token_counter=counted,
        strategy="last",
        include_system=True,
        start_on="human",
    )
    return _of_langchain(kept)


def buffered(pack: Pack, counter: TokenCounter) -> Sequence[Message]:
    said = [ChatMessage(role=each.role, content=each.content) for each in (*pack.history, Message("user", pack.question))]
    memory = ChatMemoryBuffer.from_defaults(
        chat_history=said, token_limit=pack.budget_tokens, tokenizer_fn=partial(_numbered, counter)
    )
    system = Message("system", SYSTEM)
    kept = memory.get(initial_token_count=counter.count_request([system]))
    return [system, *(Message(_role(message.role.value), message.content or "") for message in kept)]


def promptbudget_conversation(pack: Pack, counter: TokenCounter) -> Sequence[Message]:
    return _pack_chat(pack, counter, None, _as_json(pack.history))


def astromesh_conversation(pack: Pack, counter: TokenCounter) -> Sequence[Message]:
    said = _as_json([*pack.history, Message("user", pack.question)])
    engine = ContextEngine(
        [StaticSource(SYSTEM, pinned=True), HistorySource(said)],
        budget=pack.budget_tokens - counter.count_request([Message("system", "")]),
        tokenizer=counter,
    )
    return _messages(asyncio.run(engine.build(pack.question)).to_messages(include_query=False))


def prioritised(pack: Pack, counter: TokenCounter) -> Sequence[Message]:
    make = {"user": priomptipy.UserMessage, "assistant": priomptipy.AssistantMessage}
    turns = [
        priomptipy.Scope([make[message.role](message.content)], absolute_priority=number // 2 + 1)
        for number, message in enumerate(pack.history)
    ]
    elements = [priomptipy.SystemMessage(SYSTEM), *turns, priomptipy.UserMessage(pack.question)]
    options = {"token_limit": pack.budget_tokens, "tokenizer": counter.name.rpartition(":")[2]}
    rendered = asyncio.run(priomptipy.render(elements, options))["prompt"]
    return [Message(each["role"], _text(each["content"])) for each in rendered["messages"]]


# ---------------------------------------------------------------- what several of them need


def astromesh_window(pack: Pack, counter: TokenCounter, budget_tokens: int) -> Any:
    items = [
        ContextItem(id=f"s{number}", content=text, source="rag", kind="knowledge", stability="volatile", score=-number)
        for number, text in enumerate(pack.sources)
    ]
    sources = [StaticSource(SYSTEM, pinned=True), CallableSource(lambda _query, _context: items, name="rag")]
    return asyncio.run(ContextEngine(sources, budget=budget_tokens, tokenizer=counter).build(pack.question))


def ctxbudgeter_compiled(pack: Pack, counter: TokenCounter, *, reserved_tokens: int, with_question: bool) -> Any:
    made = ctxbudgeter.ContextPack()
    made.add(name="system", content=SYSTEM, kind="system", required=True, cache_policy="stable")
    for number, text in enumerate(pack.sources):
        made.add(name=f"source {number}", content=text, kind="retrieval", relevance=1 / (number + 1))
    if with_question:
        made.add(name="question", content=pack.question, kind="user_message", required=True)
    return ctxbudgeter.compile_items(
        made.items,
        model="any",
        token_budget=pack.budget_tokens,
        reserved_output_tokens=reserved_tokens,
        counter=Counted(counter),  # `ContextPack.compile` takes none
    )


class Counted(ctxbudgeter.TokenCounter):
    """Ours in the place of ctxbudgeter's own."""

    def __init__(self, counter: TokenCounter) -> None:
        """Wrap a counter."""
        super().__init__()
        self._counter = counter

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return self._counter.count(text)


def _truncated(template: Any, pack: Pack, counter: TokenCounter) -> Any:
    """As `SimpleSummarize` does, which makes one text of the sources before it truncates; the question is filled in before."""
    set_global_tokenizer(partial(_numbered, counter))  # messages are counted by this one
    frames_tokens = counter.count_request([Message("system", ""), Message("user", "")]) if pack.task == "request" else 0
    helper = PromptHelper(pack.budget_tokens, num_output=frames_tokens, tokenizer=partial(_numbered, counter))
    with_question = template.partial_format(query_str=pack.question)
    (context,) = helper.truncate(with_question, ["\n".join(pack.sources)])
    return template.partial_format(context_str=context)


def _pack_chat(pack: Pack, counter: TokenCounter, context: Any, history: list[Any]) -> Sequence[Message]:
    one = Message("user", "a")
    once_and_one = counter.count_request([one]) - counter.count("a")
    roles = (_role(name) for name in ("system", "user", "assistant"))
    each = max(counter.count_request([one, Message(role, "a")]) for role in roles) - counter.count_request([one]) - 1
    packed = promptbudget.pack_chat(
        [*history, {"role": "user", "content": pack.question}],
        budget=pack.budget_tokens,
        system=SYSTEM,
        context=context,
        tokenizer=counter.count,
        tokens_per_message=each,
        reserved_output=max(0, once_and_one - each),
    )
    return _messages(packed.to_openai())


def _around_tokens(pack: Pack, counter: TokenCounter) -> int:
    """What the request takes besides the words of its system message."""
    return counter.count_request([Message("system", ""), Message("user", pack.question)])


def _conversation(pack: Pack) -> list[Message]:
    return [Message("system", SYSTEM), *pack.history, Message("user", pack.question)]


def _as_json(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _messages(written: Sequence[dict[str, Any]]) -> list[Message]:
    return [Message(each["role"], each["content"]) for each in written]


def _of_langchain(messages: Sequence[BaseMessage]) -> list[Message]:
    roles: dict[str, Role] = {"human": "user", "ai": "assistant", "system": "system"}
    return [Message(roles[message.type], str(message.content)) for message in messages]


def _role(name: str) -> Any:
    return name


def _numbered(counter: TokenCounter, text: str) -> range:
    """LlamaIndex wants the tokens, and takes their number only."""
    return range(counter.count(text))


def _text(content: str | list[str]) -> str:
    return content if isinstance(content, str) else "".join(content)


PACKERS = (
    Packer("llmapp, allocator", "text", allocator_text, 'the best source that does not fit is cut (shrink = "sentences")'),
    Packer("promptbudget", "text", promptbudget_text, "pack, lowest_score_first, tokenizer=count", "promptbudget"),
    Packer("contextcram", "text", contextcram_text, "Packer, a source each, drop, CallableTokenizer", "contextcram"),
    Packer("astromesh-context", "text", astromesh_text, "ContextEngine, to_text; budget less the question", "astromesh-context"),
    Packer("ctxbudgeter", "text", ctxbudgeter_text, "ContextPack, compile_items with the counter, as_text", "ctxbudgeter"),
    Packer("LlamaIndex PromptHelper", "text", prompt_helper_text, "truncate of one text, as SimpleSummarize does, tokenizer=count", "llama-index-core"),
    Packer("llmapp, Assembler", "request", assembler_request, "each source in a frame that it cannot close"),
    Packer("promptbudget", "request", promptbudget_request, "pack_chat, tokens_per_message as measured", "promptbudget"),
    Packer("contextcram", "request", contextcram_request, "the same as the system message, reserve = question and frames", "contextcram"),
    Packer("astromesh-context", "request", astromesh_request, "to_messages; budget less question and frames", "astromesh-context"),
    Packer("ctxbudgeter", "request", ctxbudgeter_request, "to_openai_messages; reserved: question, frames", "ctxbudgeter"),
    Packer("LlamaIndex PromptHelper", "request", prompt_helper_request, "truncate with a ChatPromptTemplate, set_global_tokenizer, num_output = frames", "llama-index-core"),
    Packer("llmapp, Assembler", "conversation", assembler_request, "history_share = 1; turns go in blocks, so that the beginning stays cached"),
    Packer("LangChain trim_messages", "conversation", trimmed, "strategy=last, include_system, start_on=human, token_counter=the request's count", "langchain-core"),
    Packer(
        "LangChain trim_messages, approximate", "conversation", trimmed_approximately, 'the same, token_counter="approximate"', "langchain-core"
    ),
    Packer("LlamaIndex ChatMemoryBuffer", "conversation", buffered, "tokenizer_fn=count, initial_token_count = system message", "llama-index-core"),
    Packer("promptbudget", "conversation", promptbudget_conversation, "pack_chat, tokens_per_message as measured", "promptbudget"),
    Packer("astromesh-context", "conversation", astromesh_conversation, "HistorySource; budget less the frame of the system message", "astromesh-context"),
    Packer("priomptipy", "conversation", prioritised, "a scope a message, two of a turn alike", "priomptipy", ("o200k", "cl100k")),
)  # fmt: skip
