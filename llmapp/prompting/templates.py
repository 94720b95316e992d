"""Prompt templates: plain text files with a system part and a user part, filled strictly and once.

A file starts with its name and version and then has two parts, each below a line ``=== part ===``. Slots are those of
`string.Template`: ``${sources}``; a dollar sign is written ``$$``. What is put into a slot is never searched for slots
again, so a document that holds ``${question}`` stays as it is. Knows nothing of tokens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from string import Template

from llmapp.errors import PromptError

ANSWER_WITH_SOURCES = "answer_with_sources"
"""The default template: an answer from numbered sources, cited, or a refusal."""

_SLOTS = {"system": {"refusal"}, "user": {"sources", "question"}}


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The fixed words of a prompt."""

    name: str
    version: str
    """Raised with every change of wording, so that answers can be told apart."""
    system: str
    """With the slot ``refusal``, or with none."""
    user: str
    """With the slots ``sources`` and ``question``, the question last: `llmapp.frames` believes the mark that stands there."""

    def __post_init__(self) -> None:
        """Check the slots.

        Raises:
            PromptError: A slot is unknown, missing, in the wrong order, or no slot at all (a lone dollar sign).
        """
        _check_slots(self.name, "system", self.system, required=set())
        _check_slots(self.name, "user", self.user, required=_SLOTS["user"])
        if _slots(self.user)[-1] != "question":
            raise PromptError(
                f"the user part of template {self.name} has sources behind the question",
                hint="put ${question} last: sources behind it could forge it",
            )

    @property
    def identity(self) -> str:
        """Name and version, e.g. ``answer_with_sources@1``."""
        return f"{self.name}@{self.version}"

    def render_system(self, *, refusal: str) -> str:
        """The system message, with the sentence that stands for "not in the documents"."""
        return Template(self.system).substitute(refusal=refusal)

    def render_user(self, *, sources: str, question: str) -> str:
        """The user message.

        Args:
            sources: All framed sources; empty when there is none.
            question: The framed question.
        """
        return Template(self.user).substitute(sources=sources, question=question)


def parse_template(text: str) -> PromptTemplate:
    """Read the text of a template file.

    Raises:
        PromptError: A part or a line of the head is missing, or a slot is wrong.
    """
    head, *parts = re.split(r"^=== (\w+) ===\n", text, flags=re.MULTILINE)
    bodies = {name: body.strip("\n") for name, body in zip(parts[::2], parts[1::2], strict=True)}
    fields = dict(re.findall(r"^(\w+): (.+)$", head, flags=re.MULTILINE))
    if set(bodies) != set(_SLOTS) or not {"name", "version"} <= set(fields):
        raise PromptError(
            "a template needs a name, a version, a system part and a user part",
            hint="compare it with llmapp/prompting/templates/answer_with_sources.txt",
        )
    return PromptTemplate(fields["name"], fields["version"], bodies["system"], bodies["user"])


def load_template(name: str = ANSWER_WITH_SOURCES) -> PromptTemplate:
    """Load a template that comes with the package.

    Args:
        name: Name of the file without its ending.

    Raises:
        PromptError: There is no template of that name.
    """
    path = files("llmapp.prompting").joinpath("templates", f"{name}.txt")
    if not path.is_file():
        raise PromptError(f"no prompt template is named {name}", hint=f"the built-in one is {ANSWER_WITH_SOURCES}")
    return parse_template(path.read_text(encoding="utf-8"))


def _check_slots(name: str, part: str, text: str, *, required: set[str]) -> None:
    template = Template(text)
    if not template.is_valid():
        raise PromptError(f"the {part} part of template {name} holds a stray dollar sign", hint="write it as $$")
    found = set(_slots(text))
    if wrong := sorted((found - _SLOTS[part]) | (required - found)):
        raise PromptError(
            f"the {part} part of template {name} has unknown or missing slots: {', '.join(wrong)}",
            hint=f"its slots are {', '.join(sorted(_SLOTS[part]))}",
        )


def _slots(text: str) -> list[str]:
    """Names of all slots, in the order of the text."""
    return [name for slot in Template.pattern.finditer(text) if (name := slot["named"] or slot["braced"])]
