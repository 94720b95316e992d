"""Fakes of the ports: small, deterministic, and real enough to be searched.

They carry no model file and load in no time; an application's own tests use them in place of the real parts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from llmapp.errors import EmbedderError

if TYPE_CHECKING:
    from llmapp.protocols import FloatArray
    from llmapp.types import Message, Tool

_WORD = re.compile(r"\w+|[^\w\s]")


class WordTokenizer:
    """One token a word or sign, with two special tokens around every input."""

    identity = "words"
    special_tokens = 2

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character spans of the words and signs of `text`."""
        return [match.span() for match in _WORD.finditer(text)]

    def count(self, text: str) -> int:
        """Words and signs of `text`."""
        return len(self.offsets(text))


class HashEmbedder:
    """Bag of words with hashed dimensions: texts that share words are near each other."""

    def __init__(self, dim: int = 64, max_tokens: int = 256) -> None:
        """Choose the length of a vector and the tokens of one input, special tokens included."""
        self.dim = dim
        self.max_tokens = max_tokens
        self.identity = f"hash/{dim}"
        self.tokenizer = WordTokenizer()
        self.embedded: list[str] = []
        """Every text embedded so far, so that a test can show that nothing was embedded twice."""

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts. Shape (len(texts), dim).

        Raises:
            EmbedderError: A text has more than `max_tokens` tokens.
        """
        for text in texts:
            if self.tokenizer.count(text) + self.tokenizer.special_tokens > self.max_tokens:
                raise EmbedderError(f"a text has more than {self.max_tokens} tokens")
        self.embedded.extend(texts)
        return np.stack([self._vector(text) for text in texts]) if texts else np.zeros((0, self.dim), np.float32)

    def embed_query(self, text: str) -> FloatArray:
        """Embed a question. Shape (dim,)."""
        return self._vector(text)

    def _vector(self, text: str) -> FloatArray:
        vector = np.full(self.dim, 1e-3, dtype=np.float32)
        for word in _WORD.findall(text.lower()):
            digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4).digest()
            vector[int.from_bytes(digest, "big") % self.dim] += 1.0
        unit: FloatArray = (vector / np.linalg.norm(vector)).astype(np.float32)
        return unit


class ByteCounter:
    """One token a UTF-8 byte: the upper bound of every byte-level tokenizer."""

    name = "bytes"
    is_exact = True
    is_exact_with_tools = True

    def count(self, text: str) -> int:
        """Bytes of `text`."""
        return len(text.encode("utf-8", "surrogatepass"))

    def count_request(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> int:
        """Bytes of all contents, calls and tools, four for each message's frame and three for the answer's."""
        calls = [text for message in messages for call in message.tool_calls for text in (call.name, call.arguments)]
        texts = [*calls, *(json.dumps(asdict(tool)) for tool in tools)]
        return 3 + sum(4 + self.count(message.content) for message in messages) + sum(map(self.count, texts))

    def upper_bound(self, text: str) -> int:
        """The count itself."""
        return self.count(text)


class ScriptedChatModel(BaseChatModel):
    """Gives prepared answers in order, repeating the last one; keeps every request it got."""

    answers: list[str] = Field(default_factory=lambda: ["No answer was scripted."])
    """Texts of the answers."""
    input_tokens: int = 100
    """Reported for every call."""
    output_tokens: int = 20
    """Reported for every call."""
    requests: list[list[BaseMessage]] = Field(default_factory=list)
    """The messages of every call so far."""
    options: list[dict[str, Any]] = Field(default_factory=list)
    """The keyword arguments of every call so far."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:  # noqa: ARG002
        """Its name is ``scripted``: an application declares a price for it as for any other model."""
        return LangSmithParams(ls_provider="scripted", ls_model_type="chat")

    def _next(self, messages: list[BaseMessage], options: dict[str, Any]) -> tuple[str, UsageMetadata]:
        text = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(messages)
        self.options.append(options)
        total = self.input_tokens + self.output_tokens
        return text, UsageMetadata(input_tokens=self.input_tokens, output_tokens=self.output_tokens, total_tokens=total)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the signature is langchain's
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        text, usage = self._next(messages, kwargs)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text, usage_metadata=usage))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the signature is langchain's
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        text, usage = self._next(messages, kwargs)
        for word in re.findall(r"\S+\s*", text):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage))
