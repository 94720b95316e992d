"""A tokenizer with its chat template: counts the text that the model reads, to the token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmapp.prompting.counting.cache import CountCache
from llmapp.prompting.counting.framing import estimated_request, tools_tokens
from llmapp.prompting.counting.text import utf8_bytes
from llmapp.types import Message, Tool

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from llmapp.prompting.counting.chat_template import ChatTemplate

_ADD_NO_BYTES = frozenset({"ByteLevel", "Digits", "Punctuation", "Split"})
"""Steps before the vocabulary that cut a text and leave its bytes as they are."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files of a model say."""

    tokenizer: Tokenizer
    """Neither truncates nor pads."""
    templates: Mapping[str, ChatTemplate]
    """By name, as transformers knows them: ``default``, ``tool_use``; empty where the files have none."""
    begin: str = ""
    """Put first by whoever serves the model, where the template does not begin with it; empty where nobody does."""


class TemplateCounter:
    """Counts the text that a chat template makes of a request, with the tokenizer that goes with it.

    Exact where there is a template. Without one each message gets an allowance, and the count is an estimate. Special
    tokens come from the template alone, so none stands twice.
    """

    def __init__(self, name: str, load: Callable[[], Loaded]) -> None:
        """Read nothing yet.

        Args:
            name: Name of the counter.
            load: Reads the files, at the first count; raises `PromptError`, which every method hands on.
        """
        self.name = name
        self._load = load
        self._cached = CountCache(self._tokens)

    @property
    def is_exact(self) -> bool:
        """Whether there is a chat template."""
        return self._template() is not None

    @property
    def is_exact_with_tools(self) -> bool:
        """Whether there is one that takes tools."""
        return (template := self._template_with_tools()) is not None and template.takes_tools

    def count(self, text: str) -> int:
        """Tokens of a text, without those that open and close a model's input; special tokens that it spells are these.

        Raises:
            PromptError: The files cannot be read.
        """
        return self._cached(text)

    def count_request(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> int:
        """Tokens of the rendered request; none at all are counted as one empty question, which every template takes.

        Raises:
            PromptError: The files cannot be read, or the template refuses the request.
        """
        template = self._template_with_tools() if tools else self._template()
        if template is None:
            return estimated_request(messages, tools, self.count)
        messages = messages or (Message("user", ""),)
        if template.takes_tools or not tools:
            return self._rendered_tokens(template.render(messages, tools=tools))
        return self._rendered_tokens(template.render(messages)) + tools_tokens(tools, self.count)

    def upper_bound(self, text: str) -> int:
        """The bytes of the text where the tokenizer cannot exceed them, else the count itself.

        Raises:
            PromptError: The files cannot be read.
        """
        factor = self._bytes_factor
        if factor is None:
            return self.count(text)
        return utf8_bytes(text) * (1 if text.isascii() else factor)

    def _template(self) -> ChatTemplate | None:
        return self._loaded.templates.get("default")

    def _template_with_tools(self) -> ChatTemplate | None:
        return self._loaded.templates.get("tool_use") or self._template()

    def _rendered_tokens(self, text: str) -> int:
        begin = self._loaded.begin
        return self._cached(text if text.startswith(begin) else begin + text)

    def _tokens(self, text: str) -> int:
        return len(self._loaded.tokenizer.encode(text, add_special_tokens=False).ids)

    @cached_property
    def _bytes_factor(self) -> int | None:
        return bytes_factor(json.loads(self._loaded.tokenizer.to_str()))

    @cached_property
    def _loaded(self) -> Loaded:
        return self._load()


def bytes_factor(tokenizer: Mapping[str, Any]) -> int | None:
    """The most tokens that a byte of non-ASCII text can take, of ASCII text 1; None where that is not known.

    Byte-level encodings give a byte one token at most. A canonical normaliser may make a text up to three times as long
    in UTF-8 (Unicode's FAQ on normalization, maximum expansion factors), and leaves ASCII alone.

    Args:
        tokenizer: A ``tokenizer.json``.
    """
    steps = _steps(tokenizer["pre_tokenizer"], "pretokenizers")
    is_byte_level = any(step["type"] == "ByteLevel" for step in steps)
    adds_bytes = any(step["type"] not in _ADD_NO_BYTES or step.get("add_prefix_space") for step in steps)
    if tokenizer["model"].get("type") != "BPE" or not is_byte_level or adds_bytes:
        return None
    kinds = {step["type"] for step in _steps(tokenizer["normalizer"], "normalizers")}
    return 1 if not kinds else 3 if kinds <= {"NFC", "NFD"} else None


def _steps(part: dict[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    if part is None:
        return []
    return [step for each in part[inner] for step in _steps(each, inner)] if part["type"] == "Sequence" else [part]
