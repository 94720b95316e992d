"""A model's own chat template: from messages and tools to the text that the model reads.

Rendered as Hugging Face's transformers 5 does, without it: the same Jinja2 environment, names and filters (a test compares
the two). A template comes from whoever made the model, so it runs in Jinja2's sandbox and sees plain JSON only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import JsonValue

from llmapp.errors import PromptError
from llmapp.prompting.counting.framing import as_function
from llmapp.types import Message, Tool


class ChatTemplate:
    """A template with the special tokens that it names."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        """Compile the template.

        Args:
            source: Jinja2, as ``chat_template`` of a ``tokenizer_config.json`` or of a GGUF file.
            special_tokens: Texts by the names that the template uses, e.g. ``bos_token``.

        Raises:
            PromptError: It is no template.
        """
        self.takes_tools = "tools" in source
        """Whether it writes tools down; others leave them out in silence."""
        self._special_tokens = dict(special_tokens)
        try:
            self._template: Template = _environment().from_string(source)
        except TemplateError as error:
            raise PromptError(f"the chat template cannot be read: {error}", hint="mend it, or take it out") from error

    def render(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> str:
        """The request as the model reads it, up to where its answer begins.

        Raises:
            PromptError: The template refuses the request, for example a history that does not alternate.
        """
        try:
            return self._template.render(
                messages=[_as_json(message) for message in messages],
                tools=_plain([as_function(tool) for tool in tools]) if tools else None,
                documents=None,
                add_generation_prompt=True,
                **self._special_tokens,
            )
        except Exception as error:  # a template runs code, which may fail in any way
            raise PromptError(
                f"the chat template of the model refuses the request: {error}",
                hint="check the roles and their order, or count with another counter",
            ) from error


class _Generation(Extension):
    """``{% generation %}`` marks what is trained on; here it is just its content."""

    tags = {"generation"}  # noqa: RUF012 - Jinja2's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        extensions=[_Generation, loopcontrols],
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
    return environment


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja2's own filter escapes HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _as_json(message: Message) -> dict[str, JsonValue]:
    """The message as OpenAI's interface has it, with arguments taken apart, as templates want them."""
    value: dict[str, JsonValue] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        value["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _arguments(call.arguments)}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        value["tool_call_id"] = message.tool_call_id
    return value


def _arguments(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text


def _plain(value: object) -> Any:
    """The value in JSON's own types, so that the sandbox has nothing to guard."""
    return json.loads(json.dumps(value, default=dict))
