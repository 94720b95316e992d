"""A prompt template: a file whose head says what it is, and whose parts are the fixed words of a prompt.

    +++
    name = "short"
    version = "1"
    description = "An answer in one word"

    [[sections]]
    name = "sources"
    tier = 1
    +++

    === system ===
    Answer in one word. When you do not know: {{ refusal }}

    === user ===
    {{ sources }}

    {{ question }}

The head is TOML. A part begins below a line ``=== part ===``; blank lines at its ends do not count. What parts may say
is the matter of `llmapp.prompting.templates.language`. Knows nothing of tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from llmapp.errors import TemplateError
from llmapp.prompting.templates.head import FORM_HINT, read_head
from llmapp.prompting.templates.language import Program

if TYPE_CHECKING:
    from pydantic import BaseModel

Part = Literal["system", "user"]

PARTS: tuple[Part, ...] = ("system", "user")
"""The messages that a template has words for."""
MOST_FILE_CHARS = 100_000
"""Longest file of a template."""

_HEAD = re.compile(r"\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*$", re.MULTILINE | re.DOTALL)
_PART = re.compile(r"^=== *(\w+) *===[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class PromptTemplate:
    """The fixed words of a prompt, read from a file."""

    name: str
    version: str
    """Raised with every change of wording, so that answers can be told apart."""
    description: str
    """What it is for, one line."""
    sections: Mapping[str, Mapping[str, Any]]
    """Claims on the budget: by the name of a section the fields of `llmapp.prompting.allocation.Section` that its head names."""
    text: str = field(repr=False)
    """The whole file."""
    file: str = ""
    """Where it is from, as messages name it."""
    is_built_in: bool = False
    """Whether it came with llmapp; else it is the project's."""

    @property
    def identity(self) -> str:
        """Name and version, e.g. ``answer_with_sources@1``."""
        return f"{self.name}@{self.version}"

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that it has, in the order in which they are sent.

        Raises:
            TemplateError: A part is not of the language of templates.
        """
        return tuple(part for part in PARTS if part in self._programs)

    def slots(self, part: Part) -> tuple[str, ...]:
        """Names of the slots of a part, in the order of its words.

        Raises:
            TemplateError: The part is not of the language of templates.
        """
        return tuple(self._program(part).slots)

    def require(self, part: Part, *slots: str) -> None:
        """Refuse a template that would leave out what its caller has to say.

        Args:
            part: The part that is looked at.
            slots: Those that it must have.

        Raises:
            TemplateError: One is not there, or the part is not of the language of templates.
        """
        found = self._program(part).slots
        if missing := [slot for slot in slots if slot not in found]:
            raise TemplateError(
                f"the {part} part has no slot {missing[0]}", file=self.file, hint=f"write {{{{ {missing[0]} }}}} into it"
            )

    def render(self, part: Part, /, **values: object) -> str:
        """The words of a part with its slots filled.

        Args:
            part: ``system`` or ``user``.
            values: For every slot of the part a text or a number, or a list where it is repeated; others are passed over.
                Text from outside is framed before (`llmapp.frames`); it is never read as a template.

        Raises:
            TemplateError: A slot has no value or an unfit one, the part is not of the language of templates, or the text
                becomes too long.
        """
        return self._program(part).render(values)

    def _program(self, part: Part) -> Program:
        if part not in self._programs:
            raise TemplateError(
                f"it has no part {part}", file=self.file, hint=f"add a line === {part} ===, and words below it"
            )
        return self._programs[part]

    @cached_property
    def _programs(self) -> dict[str, Program]:
        """The parts, read when words are first asked for: what only looks a template up loads no Jinja."""
        body, first_line = _body(self.text)
        found = list(_PART.finditer(body))
        ends = [part.start() for part in found[1:]] + [len(body)]
        programs = {}
        for part, end in zip(found, ends, strict=True):
            words = body[part.end() : end]
            lines_above = len(words) - len(words.lstrip("\n"))
            line = first_line + body.count("\n", 0, part.end()) + lines_above
            programs[part[1]] = Program(words.strip("\n"), file=self.file, first_line=line)
        return programs


def parse_template(text: str, *, file: str = "", is_built_in: bool = False) -> PromptTemplate:
    """Read the text of a template file. Its parts are checked when they are first rendered, or by `PromptTemplate.slots`.

    Args:
        text: The whole file.
        file: Where it is from, as messages name it.
        is_built_in: Whether it came with llmapp.

    Raises:
        TemplateError: The head or the parts are not of the documented form.
    """
    text = text.replace("\r\n", "\n")
    if len(text) > MOST_FILE_CHARS:
        raise TemplateError(f"it is longer than {MOST_FILE_CHARS:,} characters", file=file, hint="keep documents out of it")
    head = _HEAD.match(text)
    if head is None:
        raise TemplateError("it does not begin with a head between two lines +++", file=file, line=1, hint=FORM_HINT)
    about = read_head(head[1], file)
    _check_parts(text, file)
    return PromptTemplate(**about, text=text, file=file, is_built_in=is_built_in)


def schema_of(model: type[BaseModel]) -> str:
    """The JSON Schema of a pydantic model on one line, for the slot ``schema`` of the template ``extract``.

    What the model answers is read with ``model.model_validate_json(llmapp.frames.unfenced(answer))``.
    """
    return json.dumps(model.model_json_schema(), ensure_ascii=False, separators=(", ", ": "))


def _body(text: str) -> tuple[str, int]:
    """What stands below the head, and the line of the file on which it begins."""
    head = _HEAD.match(text)
    end = head.end() if head else 0
    return text[end:], text.count("\n", 0, end) + 1


def _check_parts(text: str, file: str) -> None:
    body, first_line = _body(text)
    found = [(part[1], first_line + body.count("\n", 0, part.start())) for part in _PART.finditer(body)]
    above = _PART.split(body)[0]
    if above.strip() or not found:
        line = first_line + len(above) - len(above.lstrip("\n"))
        raise TemplateError(
            "words stand above the first part, or there is none",
            file=file,
            line=line,
            hint="write === system === above them",
        )
    names = [name for name, _ in found]
    for name, line in found:
        if name not in PARTS or names.count(name) > 1:
            problem = "stands twice" if name in PARTS else "is not known"
            raise TemplateError(f"the part {name} {problem}", file=file, line=line, hint=f"parts are {' and '.join(PARTS)}")
