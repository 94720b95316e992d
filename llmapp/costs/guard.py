"""The guard: a chat model around a chat model that spends nothing unreserved.

Chains and agents hold the guard, so they cannot slip past it; callbacks could be swallowed. The granted output limit is
always sent, for the hold is computed from it. Cached answers of LangChain are switched off here: they would repeat the
cost of the first. Errors of the inner model leave through an injected translation, because this room knows no provider.
"""

from __future__ import annotations

import asyncio
import contextvars
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Annotated, Any, TypeAlias, TypeVar, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableBinding
from pydantic import Field, SkipValidation

from llmapp.costs.attempt import Attempt
from llmapp.costs.bounds import input_bound_tokens
from llmapp.costs.ledger import Ledger
from llmapp.costs.meter import Meter, usage_of
from llmapp.costs.options import OUTPUT_LIMITS, check_options
from llmapp.costs.price_book import PriceBook
from llmapp.costs.prices import Price
from llmapp.costs.records import Charge
from llmapp.errors import LLMAppError
from llmapp.protocols import TokenCounter

LimitOutput: TypeAlias = Callable[[BaseChatModel, int], tuple[BaseChatModel, dict[str, Any]]]
"""Makes a model send an output limit in tokens: the model to call, and the keywords to call it with."""

_T = TypeVar("_T")


def send_max_tokens(model: BaseChatModel, max_output_tokens: int) -> tuple[BaseChatModel, dict[str, Any]]:
    """Send the limit as ``max_tokens``, which is what most of LangChain's chat models take."""
    return model, {"max_tokens": max_output_tokens}


class GuardedChatModel(BaseChatModel):
    """A chat model whose every call is reserved before it is sent and settled after.

    The message, or the last chunk of a stream, tells what it has cost in
    ``response_metadata["llmapp"]``: ``{"cost_nano_usd": int, "hold": str, "state": "posted" | "presumed"}``.
    """

    inner: BaseChatModel
    """The model that answers."""
    model: str
    """Its name as in the settings, e.g. ``openai:gpt-4o``; prices are found by it."""
    ledger: Annotated[Ledger, SkipValidation] = Field(exclude=True, repr=False)
    prices: Annotated[PriceBook, SkipValidation] = Field(exclude=True, repr=False)
    counter: Annotated[TokenCounter, SkipValidation] = Field(exclude=True, repr=False)
    """Counts the input for the hold; see `llmapp.costs.bounds` for what an inexact one means."""
    max_output_tokens: int = Field(gt=0)
    """The limit that is sent when the caller asks for none, or for more."""
    least_output_tokens: int | None = None
    """Fewest tokens of an answer that is worth its call: where a budget leaves less than the limit takes, as many are asked for
    as fit. None asks for all or refuses."""
    translate: Annotated[Callable[[Exception], LLMAppError], SkipValidation] = Field(exclude=True, repr=False)
    """Turns errors of the inner model into our own."""
    limit_output: Annotated[LimitOutput, SkipValidation] = Field(default=send_max_tokens, exclude=True, repr=False)

    def __init__(self, **fields: Any) -> None:
        """Take the fields above by name."""
        super().__init__(cache=False, **fields)

    @property
    def _llm_type(self) -> str:
        return f"guarded-{self.inner._llm_type}"  # noqa: SLF001  a chat model around a chat model calls its protected methods

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model": self.model, **self.inner._identifying_params}  # noqa: SLF001

    def _resolve_model_profile(self) -> ModelProfile | None:
        return self.inner.profile

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.inner._get_ls_params(stop=stop, **kwargs)  # noqa: SLF001

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools to the guard: the inner model says how it wants them, the guard makes the calls.

        Raises:
            NotImplementedError: The inner model takes no tools, or binds them in a way that would slip past the guard.
        """
        bound = self.inner.bind_tools(tools, **kwargs)
        if not isinstance(bound, RunnableBinding) or bound.bound is not self.inner:
            raise NotImplementedError(f"{type(self.inner).__name__} binds tools in a way that cannot be guarded")
        return self.bind(**bound.kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        attempt, inner, options = self._open(messages, kwargs)
        with self._watch(attempt):
            result = inner._generate(messages, stop=stop, run_manager=run_manager, **options)  # noqa: SLF001
        return _labelled(result, attempt.finish(usage_of(result)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        attempt, inner, options = await self._aopen(messages, kwargs)
        async with self._awatch(attempt):
            result = await inner._agenerate(messages, stop=stop, run_manager=run_manager, **options)  # noqa: SLF001
        return _labelled(result, await _off_loop(lambda: attempt.finish(usage_of(result))))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if not self._streams("_stream"):
            yield _as_chunk(self._generate(messages, stop=stop, run_manager=run_manager, **kwargs))
            return
        attempt, inner, options = self._open(messages, kwargs)
        meter = Meter()
        with self._watch(attempt):  # also when the reader stops: GeneratorExit is raised at the yield
            for chunk in inner._stream(messages, stop=stop, run_manager=run_manager, **options):  # noqa: SLF001
                attempt.mark_answered()
                meter.add(chunk)
                yield chunk
            meter.check_complete()
        yield _receipt(attempt.finish(meter.usage))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        if not self._streams("_astream", "_stream"):
            yield _as_chunk(await self._agenerate(messages, stop=stop, run_manager=run_manager, **kwargs))
            return
        attempt, inner, options = await self._aopen(messages, kwargs)
        meter = Meter()
        chunks = inner._astream(messages, stop=stop, run_manager=run_manager, **options)  # noqa: SLF001
        # Closed by name: a loop that is left does not close its generator, and the provider would go on writing.
        async with self._awatch(attempt), aclosing(cast("AsyncGenerator[ChatGenerationChunk]", chunks)):
            async for chunk in chunks:
                attempt.mark_answered()
                meter.add(chunk)
                yield chunk
            meter.check_complete()
        yield _receipt(await _off_loop(lambda: attempt.finish(meter.usage)))

    def _streams(self, *methods: str) -> bool:
        return any(getattr(type(self.inner), name) is not getattr(BaseChatModel, name) for name in methods)

    def _open(
        self, messages: list[BaseMessage], options: Mapping[str, Any]
    ) -> tuple[Attempt, BaseChatModel, dict[str, Any]]:
        """Reserve a call: the attempt, the model to call and the keywords to call it with."""
        check_options(options)
        price = self.prices.price(self.model)
        asked = [limit for name in OUTPUT_LIMITS if (limit := options.get(name)) is not None]
        granted = max(1, min([self.max_output_tokens, *asked]))
        rest = {name: value for name, value in options.items() if name not in OUTPUT_LIMITS}
        attempt, granted = self._reserve(price, messages, rest, granted)
        try:
            inner, limit = self.limit_output(self.inner, granted)
        except BaseException:
            attempt.discard()
            raise
        return attempt, inner, rest | limit

    async def _aopen(
        self, messages: list[BaseMessage], options: Mapping[str, Any]
    ) -> tuple[Attempt, BaseChatModel, dict[str, Any]]:
        here = contextvars.copy_context()  # it knows who pays
        opening = asyncio.get_running_loop().run_in_executor(None, here.run, self._open, messages, options)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_discard)
            raise

    def _reserve(
        self, price: Price, messages: list[BaseMessage], options: Mapping[str, Any], most_tokens: int
    ) -> tuple[Attempt, int]:
        """Reserve the call, and say how many tokens of output that is for."""
        if price.is_free:
            return Attempt(self.ledger, price, kind="chat", bound_nano_usd=0), most_tokens
        own = getattr(self.inner, "model_kwargs", None) or {}
        answers = options.get("n") or own.get("n") or getattr(self.inner, "n", None) or 1
        input_tokens = input_bound_tokens(messages, options, self.counter)

        def bound(output_tokens: int) -> int:
            return price.bound_nano_usd(input_tokens=input_tokens, output_tokens=output_tokens * answers)

        least_tokens = min(self.least_output_tokens or most_tokens, most_tokens)
        attempt = Attempt(
            self.ledger, price, kind="chat", bound_nano_usd=bound(most_tokens), least_nano_usd=bound(least_tokens)
        )
        fitting = bisect_right(range(least_tokens, most_tokens + 1), attempt.held_nano_usd, key=bound)
        return attempt, least_tokens + fitting - 1

    @contextmanager
    def _watch(self, attempt: Attempt) -> Iterator[None]:
        try:
            yield
        except LLMAppError as error:
            attempt.abandon(error)
            raise
        except Exception as error:
            attempt.abandon(error)
            raise self.translate(error) from error
        except BaseException:  # the caller has left
            attempt.abandon(None)
            raise

    @asynccontextmanager
    async def _awatch(self, attempt: Attempt) -> AsyncIterator[None]:
        try:
            yield
        except LLMAppError as error:
            await _off_loop(partial(attempt.abandon, error))
            raise
        except Exception as error:
            await _off_loop(partial(attempt.abandon, error))
            raise self.translate(error) from error
        except BaseException:  # the caller has left
            await _off_loop(partial(attempt.abandon, None))
            raise


def _discard(opening: asyncio.Future[tuple[Attempt, BaseChatModel, dict[str, Any]]]) -> None:
    """The caller left while its call was being reserved: nothing was sent, so nothing is charged."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].discard()


async def _off_loop(work: Callable[[], _T]) -> _T:
    """Run in a thread, and to its end even when the caller is cancelled: a hold must not be left to its lease."""
    return await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, work))


def _labelled(result: ChatResult, charge: Charge) -> ChatResult:
    for generation in result.generations:
        generation.message.response_metadata["llmapp"] = _bill(charge)
    return result


def _receipt(charge: Charge) -> ChatGenerationChunk:
    """The empty chunk after the last, which tells the cost."""
    message = AIMessageChunk(content="", response_metadata={"llmapp": _bill(charge)}, chunk_position="last")
    return ChatGenerationChunk(message=message)


def _as_chunk(result: ChatResult) -> ChatGenerationChunk:
    message = result.generations[0].message
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content=message.content,
            response_metadata=message.response_metadata,
            usage_metadata=message.usage_metadata if isinstance(message, AIMessage) else None,
            tool_calls=message.tool_calls if isinstance(message, AIMessage) else [],
            chunk_position="last",
        )
    )


def _bill(charge: Charge) -> dict[str, Any]:
    return {"cost_nano_usd": charge.posted_nano_usd or 0, "hold": charge.hold_id, "state": charge.state}
