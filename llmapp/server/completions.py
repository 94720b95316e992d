"""The shapes of OpenAI's chat completions, there and back.

What a client sends becomes a question and a history; an answer becomes a completion, or its chunks. What OpenAI has no
name for, the citations above all, stands under ``llmapp`` in the shape of `POST /api/ask`.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from pydantic import JsonValue

from llmapp.app.shapes import Shape, answer_shape
from llmapp.errors import InvalidRequestError
from llmapp.server.errors import body_of, foreseen
from llmapp.server.schemas import ChatMessage, ChatRequest, ContentPart
from llmapp.server.streaming import DONE, event
from llmapp.types import Answer, Message, Usage

_log = logging.getLogger(__name__)


def check_offered(request: ChatRequest) -> None:
    """Refuse what would change the answer's form and is not offered; silence would mislead the client.

    Raises:
        InvalidRequestError: The request asks for several answers, tools, or another form than text.
    """
    if request.n not in {None, 1}:
        raise InvalidRequestError("n: one answer is given, no more", hint="leave n out")
    if request.tools or request.functions:
        raise InvalidRequestError("tools: a client's tools are not offered", hint="leave tools and functions out")
    if request.response_format and request.response_format.type != "text":
        raise InvalidRequestError("response_format: the answer is text", hint="leave response_format out")


def conversation_of(messages: Sequence[ChatMessage]) -> tuple[str, list[Message]]:
    """The question, which is the last message, and the turns before it, oldest first.

    Raises:
        InvalidRequestError: The last message is not the user's, or a message holds something other than text.
    """
    *earlier, last = messages
    if last.role != "user":
        raise InvalidRequestError("messages: the last one is not the user's", hint="end with the user's question")
    history = [
        Message(message.role, _text_of(message.content))
        for message in earlier
        if message.role == "user" or message.role == "assistant"  # noqa: PLR1714 - mypy narrows the role by this form only
    ]
    return _text_of(last.content), history


@dataclass(frozen=True, slots=True)
class Completion:
    """The head that a completion and all chunks of a stream share."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    """Unix time. Seconds."""

    def whole(self, answer: Answer) -> Shape:
        """A ``chat.completion``."""
        message: Shape = {"role": "assistant", "content": answer.text, "refusal": None}
        choice: Shape = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(answer)}
        head = self._head("chat.completion")
        return {**head, "choices": [choice], "usage": _usage(answer.usage), "llmapp": answer_shape(answer)}

    def chunk(self, delta: Shape, *, finish_reason: str | None = None) -> Shape:
        """A ``chat.completion.chunk``."""
        choice: Shape = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def usage_chunk(self, usage: Usage) -> Shape:
        """The chunk after the last that tells the usage."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(usage)}

    def _head(self, kind: str) -> Shape:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


async def events_of(
    parts: AsyncGenerator[str | Answer], completion: Completion, *, include_usage: bool
) -> AsyncGenerator[bytes]:
    """The events of a stream: the role, the pieces of the text, the end with our extras, the usage when it is wanted.

    An error before the first event is raised; one after it is an event of its own, and the last.

    Args:
        parts: As `App.stream` yields them; closed in every case.
        completion: The head of all chunks.
        include_usage: Whether to tell the usage, in a chunk of its own.
    """
    has_begun = False
    async with aclosing(parts):
        try:
            async for part in parts:
                if not has_begun:
                    yield event(completion.chunk({"role": "assistant", "content": ""}))
                    has_begun = True
                if isinstance(part, str):
                    yield event(completion.chunk({"content": part}))
                else:
                    yield event({**completion.chunk({}, finish_reason=_finish_reason(part)), "llmapp": answer_shape(part)})
                    if include_usage:
                        yield event(completion.usage_chunk(part.usage))
        except Exception as error:
            if not has_begun:
                raise
            known = foreseen(error)
            # A provider's own error hangs below a known one, and may hold a key: only the unforeseen needs its traceback.
            _log.warning("a stream broke off: %s: %s", known.code, known.message, exc_info=None if known is error else error)
            yield event(body_of(known, path="/v1/"))
        else:
            yield DONE


def model_shape(name: str, *, created: int) -> Shape:
    """A model as the list of models names it; `created` is Unix time in seconds."""
    return {"id": name, "object": "model", "created": created, "owned_by": "llmapp"}


def _text_of(content: str | list[ContentPart] | None) -> str:
    if isinstance(content, str):
        return content
    texts = [part.text for part in content or [] if part.type == "text" and part.text is not None]
    if not content or len(texts) < len(content):
        raise InvalidRequestError("messages: a message holds something other than text", hint="send text parts only")
    return "\n".join(texts)


def _finish_reason(answer: Answer) -> str:
    """OpenAI has no word for an unknown reason, and takes null for "goes on"."""
    return answer.finish_reason or "stop"


def _usage(usage: Usage) -> dict[str, JsonValue]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
    }
