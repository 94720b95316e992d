import asyncio
from contextlib import aclosing

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from llmapp.app.queries import QueryWriter
from llmapp.app.rag import RagPipeline, to_finish_reason
from llmapp.costs import spending
from llmapp.errors import ModelTimeoutError
from llmapp.prompting.assembly import Assembler
from llmapp.prompting.history import Summaries
from llmapp.testing.fakes import ByteCounter
from llmapp.types import LOCAL_USER, Answer, Chunk, Found, Hit, Message, Usage

TEXT = "The deductible is 300 euros."
QUESTION = "What is the deductible?"


class OneHit:
    """Finds the same chunk always, and pays for it."""

    def search(self, question, *, wordings=(), principal, top_k, where=None):
        spending.count(1_000)
        self.asked = (question, *wordings)
        hit = Hit(Chunk("c", "s", "d", "u", "Title", TEXT, 0, len(TEXT)), 1.0, 1, "fused")
        return Found((hit,), ("rerank was left out: x",), {"rerank": 0.5})


class EmbeddingModel(BaseChatModel):
    """Speaks in given pieces, and pays for an embedding in a thread before the first and between them."""

    pieces: list[str]
    endings: list[dict]

    @property
    def _llm_type(self):
        return "embedding"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessage("never asked"))])

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for piece in self.pieces:
            await asyncio.to_thread(spending.count, 10)
            yield ChatGenerationChunk(message=AIMessageChunk(piece))
        for ending in self.endings:
            yield ChatGenerationChunk(message=AIMessageChunk("", response_metadata=ending))


def pipeline(*pieces, endings=({},), searcher=None, writer=None, summaries=None):
    model = EmbeddingModel(pieces=list(pieces), endings=list(endings))
    assembler = Assembler(ByteCounter(), budget_tokens=10_000, reserve_output_tokens=100, summaries=summaries)
    return RagPipeline(searcher or OneHit(), assembler, model, model_name="m", top_k=1, writer=writer)


async def parts_of(rag):
    return [part async for part in rag.stream(QUESTION, principal=LOCAL_USER)]


async def test_the_pieces_of_a_stream_are_the_text_of_the_answer():
    *pieces, answer = await parts_of(pipeline("  It", " is 300 ", "[1", "][", "7]", ". [8", "]\n"))
    assert answer.text == "It is 300 [1]."
    assert "".join(pieces) == answer.text
    assert [citation.number for citation in answer.citations] == [1]


async def test_the_cost_is_that_of_the_search_of_the_call_and_of_what_the_model_embeds():
    bill = {"llmapp": {"cost_nano_usd": 500}}
    answer = await pipeline("It is ", "300 ", "[1].", endings=[bill]).answer(QUESTION, principal=LOCAL_USER)
    assert answer.cost_usd == pytest.approx((1_000 + 3 * 10 + 500) / 1e9)


async def test_what_others_spend_between_two_pieces_is_not_the_answers():
    with spending.counted() as others:
        async for part in pipeline("It ", "is ", "300").stream(QUESTION, principal=LOCAL_USER):
            spending.count(7)
            if isinstance(part, Answer):
                assert part.cost_usd == pytest.approx((1_000 + 3 * 10) / 1e9)
    assert others.nano_usd % 7 == 0
    assert others.nano_usd > 0


async def test_a_stream_may_be_closed_in_another_context_than_it_was_begun_in():
    stream = pipeline("It ", "is ", "300").stream(QUESTION, principal=LOCAL_USER)
    await asyncio.create_task(anext(stream))
    async with aclosing(stream):
        await asyncio.create_task(anext(stream))


def complete(messages):
    spending.count(5, Usage(input_tokens=30, output_tokens=4))
    return '{"question": "What is the deductible in 2023?", "wordings": ["own share"]}'


async def test_what_was_searched_for_and_what_it_cost_is_told_with_the_answer():
    searcher, writer = OneHit(), QueryWriter(complete, rewrite=True, queries=2)
    rag = pipeline("300 [1].", endings=[{"llmapp": {"cost_nano_usd": 500}}], searcher=searcher, writer=writer)
    answer = await rag.answer("And in 2023?", principal=LOCAL_USER, history=[Message("user", QUESTION)])
    assert answer.queries == searcher.asked == ("What is the deductible in 2023?", "own share")
    assert answer.cost_usd == pytest.approx((5 + 1_000 + 10 + 500) / 1e9)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (30, 4)
    assert {"rewrite", "rerank", "retrieve", "total"} <= set(answer.timings_s)


async def test_what_was_left_out_of_a_search_is_told_with_the_answer():
    answer = await pipeline("300 [1].").answer(QUESTION, principal=LOCAL_USER)
    assert answer.notes == ("rerank was left out: x",)
    assert answer.queries == ()


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"finish_reason": "stop"}, "stop"),
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "content_filter"}, "content_filter"),
        ({"stop_reason": "end_turn"}, "stop"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"stop_reason": None, "done_reason": "length"}, "length"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"finish_reason": "tool_calls"}, None),
        ({}, None),
    ],
)
def test_the_reason_for_the_end_is_read_in_every_providers_words(metadata, reason):
    assert to_finish_reason(metadata) == reason


async def test_the_answer_says_why_the_model_stopped():
    endings = [{"finish_reason": "length"}, {"finish_reason": "length"}, {}]  # some send it twice, and langchain joins them
    assert (await parts_of(pipeline("300", endings=endings)))[-1].finish_reason == "length"
    assert (await parts_of(pipeline("300")))[-1].finish_reason is None


async def test_a_summary_of_earlier_turns_is_paid_by_the_answer_and_one_that_fails_is_noted():
    def summary(messages):
        spending.count(7_000, Usage(90, 10))
        return "They spoke of glass."

    def failing(messages):
        raise ModelTimeoutError("no answer in time")

    history = [Message(role, "word " * 300) for _ in range(4) for role in ("user", "assistant")]
    rag = pipeline("It is 300 [1].", summaries=Summaries(summary))
    answer = await rag.answer(QUESTION, principal=LOCAL_USER, history=history)
    assert answer.cost_usd == pytest.approx((1_000 + 10 + 7_000) / 1e9)
    assert answer.usage == Usage(90, 10)
    assert len(answer.notes) == 1
    rag = pipeline("It is 300 [1].", summaries=Summaries(failing))
    answer = await rag.answer(QUESTION, principal=LOCAL_USER, history=history)
    assert "no answer in time" in answer.notes[-1]
