import asyncio
import gc
import json
import sqlite3
import threading
from contextlib import closing
from decimal import Decimal
from functools import partial

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool
from pydantic import BaseModel, SecretStr

from llmapp.costs.guard import GuardedChatModel
from llmapp.costs.ledger import Ledger
from llmapp.costs.limits import Limit
from llmapp.costs.paying import Payer, paid_by
from llmapp.costs.price_book import PriceBook
from llmapp.costs.prices import declared_price
from llmapp.costs.windows import Span
from llmapp.errors import (
    BudgetExceededError,
    CostError,
    ModelAuthError,
    ModelError,
    ModelRateLimitedError,
    ModelTimeoutError,
    ModelUnavailableError,
    UnknownPriceError,
)
from llmapp.models.backends import build_chat_model, limit_output
from llmapp.models.errors import translate_model_error
from llmapp.prompting.counting import counter_for
from llmapp.testing.fakes import ByteCounter, ScriptedChatModel

SPEC = "openai-compatible:m"
QUESTION = [HumanMessage("Is water damage covered?")]
PRICE = declared_price(SPEC, input_usd_per_million=Decimal(1), output_usd_per_million=Decimal(2))
COST = 40 * 1_000 + 4 * 2_000  # nano-USD of the usage that the provider reports
MAX_OUTPUT = 50


@pytest.fixture
def ledger(tmp_path):
    with closing(Ledger(tmp_path / "ledger.db", [Limit("application", "*", Span("day"), 10**9)])) as opened:
        yield opened


@pytest.fixture
def guard_of(ledger):
    def build(inner, spec=SPEC, prices=None, book=ledger, least=None):
        return GuardedChatModel(
            inner=inner,
            model=spec,
            ledger=book,
            prices=prices or PriceBook({SPEC: PRICE}),
            counter=counter_for("unknown:m"),
            max_output_tokens=MAX_OUTPUT,
            least_output_tokens=least,
            translate=partial(translate_model_error, model=spec),
            limit_output=limit_output,
        )

    return build


@pytest.fixture
def guard(provider, guard_of):
    return guard_of(build_chat_model(SPEC, base_url=provider.base_url, timeout_s=2, max_output_tokens=MAX_OUTPUT))


def states(ledger):
    with closing(sqlite3.connect(ledger._database.path)) as raw:
        return raw.execute(
            "SELECT state, held_nano_usd, posted_nano_usd, overage_nano_usd FROM hold ORDER BY created_at"
        ).fetchall()


def balance(ledger):
    return next((b.held_nano_usd, b.posted_nano_usd) for b in ledger.balances() if b.limit.span.per == "total")


async def until(condition):
    """Let the loop run until something has happened elsewhere."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def run(guard, mode):
    """The text and the bill, in each of the four ways to call a model."""
    if mode == "invoke":
        message = guard.invoke(QUESTION)
    elif mode == "ainvoke":
        message = await guard.ainvoke(QUESTION)
    elif mode == "stream":
        chunks = list(guard.stream(QUESTION))
        message = sum(chunks[1:], chunks[0])
    else:
        chunks = [chunk async for chunk in guard.astream(QUESTION)]
        message = sum(chunks[1:], chunks[0])
    return message.text, message.response_metadata["llmapp"]


MODES = ["invoke", "ainvoke", "stream", "astream"]
each_mode = pytest.mark.parametrize("mode", MODES)
each_stream = pytest.mark.parametrize("mode", ["stream", "astream"])


@each_mode
async def test_an_answer_costs_what_the_provider_reports(guard, provider, ledger, mode):
    text, bill = await run(guard, mode)
    assert text == "Water damage is covered."
    assert (bill["cost_nano_usd"], bill["state"]) == (COST, "posted")
    ((state, held, posted, overage),) = states(ledger)
    assert (state, posted, overage) == ("posted", COST, 0)
    assert held > posted
    assert balance(ledger) == (0, COST)
    assert provider.requests[0]["max_tokens"] == MAX_OUTPUT


@each_mode
async def test_an_answer_without_usage_is_charged_at_its_hold(guard, provider, ledger, mode):
    provider.behaviour = "no usage"
    text, bill = await run(guard, mode)
    assert text == "Water damage is covered."
    ((state, held, posted, _),) = states(ledger)
    assert state == bill["state"] == "presumed"
    assert held == posted == bill["cost_nano_usd"]


@each_mode
async def test_usage_beyond_the_hold_is_posted_as_overage(guard, provider, ledger, mode):
    provider.usage = {"prompt_tokens": 40, "completion_tokens": 5_000, "total_tokens": 5_040}
    _, bill = await run(guard, mode)
    ((_, held, posted, overage),) = states(ledger)
    assert posted == bill["cost_nano_usd"] == 40 * 1_000 + 5_000 * 2_000
    assert overage == posted - held


@each_mode
@pytest.mark.parametrize("behaviour", ["401", "429", "400", "404", "503"])
async def test_a_refused_request_costs_nothing(guard, provider, ledger, mode, behaviour):
    provider.behaviour = behaviour
    expected = {"401": ModelAuthError, "429": ModelRateLimitedError, "503": ModelUnavailableError}.get(behaviour, ModelError)
    with pytest.raises(expected) as failed:
        await run(guard, mode)
    assert "verysecret" not in str(failed.value)
    assert [state for state, *_ in states(ledger)] == ["voided"]
    assert balance(ledger) == (0, 0)
    assert len(provider.requests) == 1, "a retry would be a call without a hold"


@each_mode
@pytest.mark.parametrize("behaviour", ["500", "hang"])
async def test_a_request_that_may_have_been_served_is_charged_at_its_hold(guard, provider, ledger, mode, behaviour):
    provider.behaviour = behaviour
    with pytest.raises(ModelTimeoutError if behaviour == "hang" else ModelUnavailableError):
        await run(guard, mode)
    ((state, held, posted, _),) = states(ledger)
    assert (state, posted) == ("presumed", held)


@each_stream
@pytest.mark.parametrize("behaviour", ["cut", "closed"])
async def test_a_stream_that_breaks_off_is_an_error_and_charged_at_its_hold(guard, provider, ledger, mode, behaviour):
    provider.behaviour = behaviour
    with pytest.raises(ModelUnavailableError):
        await run(guard, mode)
    assert [state for state, *_ in states(ledger)] == ["presumed"]


class OverloadedMidwayError(Exception):
    status_code = 429


class BreaksOff(ScriptedChatModel):
    """Says a word, then fails with a status that would be a refusal if it had come first."""

    def _stream(self, *args, **kwargs):
        yield ChatGenerationChunk(message=AIMessageChunk(content="Water "))
        raise OverloadedMidwayError


@each_stream
async def test_a_refusal_in_the_middle_of_an_answer_is_charged_at_the_hold(guard_of, ledger, mode):
    with pytest.raises(ModelRateLimitedError):
        await run(guard_of(BreaksOff()), mode)
    ((state, held, posted, _),) = states(ledger)
    assert (state, posted) == ("presumed", held)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
@pytest.mark.parametrize("reported", [{"input_tokens": 5}, {"input_tokens": 5, "output_tokens": None, "total_tokens": 5}])
async def test_an_answer_with_half_a_usage_report_is_charged_at_its_hold(guard_of, ledger, mode, reported):
    class Careless(ScriptedChatModel):
        def _generate(self, *args, **kwargs):
            result = super()._generate(*args, **kwargs)
            result.generations[0].message.usage_metadata = reported
            return result

    _, bill = await run(guard_of(Careless()), mode)
    assert bill["state"] == "presumed"
    assert [state for state, *_ in states(ledger)] == ["presumed"]


@each_mode
async def test_a_fallback_that_fails_is_charged_whatever_the_first_provider_died_of(guard_of, provider, ledger, mode):
    class Garbled(ScriptedChatModel):
        def _next(self, messages, options):
            error = ValueError("no JSON")
            error.__context__ = ConnectionRefusedError()  # was being handled when this model was called instead
            raise error

    with pytest.raises(ModelError, match="no JSON"):
        await run(guard_of(Garbled()), mode)
    assert [state for state, *_ in states(ledger)] == ["presumed"]


@each_mode
async def test_a_server_that_is_not_there_costs_nothing(guard_of, ledger, mode):
    gone = build_chat_model(SPEC, base_url="http://127.0.0.1:9/v1", timeout_s=0.5, max_output_tokens=MAX_OUTPUT)
    with pytest.raises(ModelUnavailableError):
        await run(guard_of(gone), mode)
    assert [state for state, *_ in states(ledger)] == ["voided"]


async def test_a_reader_who_stops_early_is_charged_at_the_hold(guard, provider, ledger):
    provider.behaviour = "slow"
    for _chunk in guard.stream(QUESTION):
        break
    gc.collect()
    assert [state for state, *_ in states(ledger)] == ["presumed"]


async def test_an_async_reader_who_stops_early_is_charged_at_the_hold(guard, provider, ledger):
    provider.behaviour = "slow"
    stream = guard.astream(QUESTION)
    async for _chunk in stream:
        break
    await stream.aclose()
    await until(lambda: balance(ledger)[0] == 0)
    assert [state for state, *_ in states(ledger)] == ["presumed"]


@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
async def test_a_cancelled_call_is_charged_at_its_hold(guard, provider, ledger, mode):
    provider.behaviour = "hang"
    call = asyncio.create_task(run(guard, mode))
    await until(lambda: provider.requests)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert [state for state, *_ in states(ledger)] == ["presumed"]


class HesitantCounter(ByteCounter):
    """Counts when it is told to."""

    def __init__(self):
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def count_request(self, messages, *, tools=()):
        self.asked.set()
        self.may_answer.wait(5)
        return super().count_request(messages, tools=tools)


async def test_a_call_that_is_cancelled_while_it_is_reserved_costs_nothing(guard, provider, ledger):
    counter = HesitantCounter()
    call = asyncio.create_task(guard.model_copy(update={"counter": counter}).ainvoke(QUESTION))
    await asyncio.to_thread(counter.asked.wait, 5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    counter.may_answer.set()
    await until(lambda: [state for state, *_ in states(ledger)] == ["voided"])
    assert provider.requests == []


@each_mode
async def test_nothing_is_sent_when_the_budget_does_not_allow_the_worst_case(provider, guard_of, tmp_path, mode):
    with closing(Ledger(tmp_path / "small.db", [Limit("application", "*", Span("day"), 50_000)])) as small:
        inner = build_chat_model(SPEC, base_url=provider.base_url, max_output_tokens=MAX_OUTPUT)
        with pytest.raises(BudgetExceededError):
            await run(guard_of(inner, book=small), mode)
        assert provider.requests == []
        assert states(small) == []


@each_mode
async def test_nothing_is_sent_without_a_price(provider, guard_of, mode):
    inner = build_chat_model(SPEC, base_url=provider.base_url, max_output_tokens=MAX_OUTPUT)
    with pytest.raises(UnknownPriceError):
        await run(guard_of(inner, prices=PriceBook()), mode)
    assert provider.requests == []


def test_less_output_may_be_asked_for_but_not_more(guard, provider):
    guard.invoke(QUESTION, max_tokens=7)
    guard.invoke(QUESTION, max_completion_tokens=9_999)
    assert [request["max_tokens"] for request in provider.requests] == [7, MAX_OUTPUT]


@pytest.mark.parametrize("book", [PriceBook({SPEC: PRICE}), PriceBook(local=[SPEC])])
def test_a_call_cannot_be_turned_into_a_dearer_one_not_even_where_it_is_free(guard, provider, book):
    with pytest.raises(CostError, match="model"):
        guard.model_copy(update={"prices": book}).invoke(QUESTION, model="dearer")
    assert provider.requests == []


def test_several_answers_that_the_model_itself_asks_for_are_in_the_hold(provider, guard_of, ledger):
    inner = build_chat_model(SPEC, base_url=provider.base_url, max_output_tokens=MAX_OUTPUT)
    guard_of(inner).invoke(QUESTION)
    guard_of(inner.model_copy(update={"model_kwargs": {"n": 3}})).invoke(QUESTION)
    (_, one, *_), (_, three, *_) = states(ledger)
    assert three - one == 2 * MAX_OUTPUT * 2_000


def test_several_answers_are_all_in_the_hold(guard, ledger):
    guard.invoke(QUESTION)
    guard.invoke(QUESTION, n=3)
    (_, one, *_), (_, three, *_) = states(ledger)
    assert three - one == 2 * MAX_OUTPUT * 2_000


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return word


class Verdict(BaseModel):
    """Whether it is covered."""

    covered: bool


def test_bound_tools_and_structured_output_go_through_the_guard(guard, provider, ledger):
    guard.invoke(QUESTION)
    guard.bind_tools([look_up]).invoke(QUESTION)
    guard.with_structured_output(Verdict, include_raw=True).invoke(QUESTION)
    (plain, *_), (tools, *_), (structured, *_) = [row[1:] for row in states(ledger)]
    assert plain < tools
    assert plain < structured
    assert [request["tools"][0]["function"]["name"] for request in provider.requests[1:]] == ["look_up", "Verdict"]


def test_a_model_that_binds_nothing_refuses_tools(guard_of):
    with pytest.raises(NotImplementedError):
        guard_of(ScriptedChatModel(answers=["x"])).bind_tools([look_up])


def test_images_are_refused_where_they_cannot_be_priced(guard, provider):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(CostError, match="images"):
        guard.invoke([HumanMessage([image, {"type": "text", "text": "What is it?"}])])
    assert provider.requests == []


@each_mode
async def test_a_free_model_takes_no_hold_and_is_recorded(guard_of, ledger, mode):
    free = guard_of(ScriptedChatModel(answers=["Yes, it is."]), spec="ollama:m")
    text, bill = await run(free, mode)
    assert text == "Yes, it is."
    assert bill["cost_nano_usd"] == 0
    assert [(spend.model, spend.calls) for spend in ledger.spend()] == [("ollama:m", 1)]


async def test_concurrent_calls_are_billed_each_on_its_own(guard, ledger):
    answers = await asyncio.gather(*(guard.ainvoke(QUESTION) for _ in range(8)))
    assert len({answer.response_metadata["llmapp"]["hold"] for answer in answers}) == 8
    assert balance(ledger) == (0, 8 * COST)


def test_the_provider_of_langchain_is_guarded_alike(provider, guard_of, ledger):
    inner = build_chat_model(
        "openai:gpt-4o-mini", base_url=provider.base_url, api_key=SecretStr("sk-dummy"), max_output_tokens=MAX_OUTPUT
    )
    answer = guard_of(inner, spec="openai:gpt-4o-mini").invoke(QUESTION)
    assert isinstance(answer, AIMessage)
    assert provider.requests[0]["max_completion_tokens"] == MAX_OUTPUT
    assert ledger.spend()[0].posted_nano_usd == 40 * 150 + 4 * 600  # $0.15 and $0.60 per million


def test_no_secret_is_in_the_representation(provider, guard_of):
    inner = build_chat_model(SPEC, base_url=provider.base_url, api_key=SecretStr("sk-dummy"), max_output_tokens=MAX_OUTPUT)
    assert "sk-dummy" not in repr(guard_of(inner))
    assert "sk-dummy" not in json.dumps(guard_of(inner)._identifying_params, default=str)


@each_mode
async def test_the_call_is_reserved_for_whoever_pays_where_it_is_made(guard, ledger, mode):
    with paid_by(Payer(user="anna")):
        await run(guard, mode)
    assert [(total.name, total.posted_nano_usd) for total in ledger.totals("user")] == [("anna", COST)]


@each_mode
async def test_where_little_is_left_as_many_tokens_are_asked_for_as_fit(provider, tmp_path, guard_of, mode):
    inner = build_chat_model(SPEC, base_url=provider.base_url, timeout_s=2, max_output_tokens=MAX_OUTPUT)
    request_bound = (len(QUESTION[0].content) + 2 * 16) * 1_000
    limit = Limit("application", "*", Span("day"), request_bound + 20 * 2_000 + 1_999)
    with closing(Ledger(tmp_path / "small.db", [limit])) as small:
        with pytest.raises(BudgetExceededError):
            await run(guard_of(inner, book=small), mode)
        with pytest.raises(BudgetExceededError):
            await run(guard_of(inner, book=small, least=21), mode)
        await run(guard_of(inner, book=small, least=20), mode)
        assert provider.requests[0]["max_tokens"] == 20
        assert states(small)[0][1] <= limit.nano_usd


def test_what_cannot_be_limited_is_not_held(guard_of, ledger, provider):
    guard = guard_of(build_chat_model(SPEC, base_url=provider.base_url, timeout_s=2, max_output_tokens=MAX_OUTPUT))

    def refuse(model, limit):
        raise RuntimeError("no limit")

    guard.limit_output = refuse
    with pytest.raises(RuntimeError, match="no limit"):
        guard.invoke(QUESTION)
    assert balance(ledger) == (0, 0)
