"""What a template may say: it fills slots, chooses by them and repeats for them. It computes nothing.

The words are Jinja's, the language a small part of it: slots with their fields, ``if``, ``for`` (not inside one another),
comparisons, and a few filters that never make a text longer. There are no calls, no arithmetic, no assignments, no macros
and no other files. So a template, whoever wrote it, ends in time linear in what it is given, reaches nothing but that,
and its words are all in its file. What stands in a slot is put in as it is and never read as a template.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from llmapp.errors import TemplateError

if TYPE_CHECKING:
    from jinja2 import Template, nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

FILTERS = frozenset({"first", "last", "length", "lower", "trim", "upper"})
"""Filters of Jinja that a template may use: none makes a text longer than three times its length (``upper`` of ``ΐ``)."""
MOST_CHARS = 20_000_000
"""Longest text that a part may become: that of the longest document that is taken in."""
QUESTION, SOURCES = "question", "sources"
"""The slots that hold frames, which must stand as they are made. The question stands behind all others, for
`llmapp.frames` believes the mark that stands there."""

_ALLOWED = frozenset({"Template", "TemplateData", "Output", "Name", "Getattr", "Getitem", "Const", "Filter", "Test"}) | {
    "If", "CondExpr", "For", "Compare", "Operand", "And", "Or", "Not"
}  # fmt: skip
"""Nodes of Jinja's syntax tree that a template may have."""
_ALONE_HINT = "write {{{{ {} }}}} once, without a filter, and outside of if and for"
_LAST_HINT = "put {{ question }} last: text behind it could forge it"
_TEMPLATE_FILE = "<template>"
"""What Jinja calls a template without a file in tracebacks."""


class Program:
    """A part of a template, read and checked."""

    def __init__(self, text: str, *, file: str, first_line: int) -> None:
        """Read a part.

        Args:
            text: Its words.
            file: Names it in errors.
            first_line: Line of the file on which `text` begins, from 1.

        Raises:
            TemplateError: It is not of the language, changes sources or question, or has something behind the question.
        """
        from jinja2 import TemplateSyntaxError

        self._file = file
        self._offset = first_line - 1
        try:
            tree = _environment().parse(text)
        except TemplateSyntaxError as error:
            raise self._error(str(error.message), error.lineno) from error
        except RecursionError as error:
            raise self._error("it is nested too deeply", None) from error
        self._check(tree)
        self.slots: Mapping[str, int] = self._slots(tree)
        """Names of the slots, in the order of the text, each with the line of its first use."""
        for slot in (SOURCES, QUESTION):
            if slot in self.slots:
                self._check_framed(tree, slot)
        self._template: Template = _environment().from_string(tree)

    def render(self, values: Mapping[str, object]) -> str:
        """Fill the slots.

        Args:
            values: A text or a number for a slot that is written, a list of mappings for one that is repeated; more than
                the slots are passed over.

        Raises:
            TemplateError: A slot has no value or an unfit one, or the text becomes longer than `MOST_CHARS`.
        """
        for slot, line in self.slots.items():
            if slot not in values:
                given = ", ".join(sorted(values)) or "none"
                raise self._error(
                    f"nothing fills the slot {slot}", line, hint=f"here the slots are: {given}", is_placed=True
                )
        return "".join(self._pieces({slot: values[slot] for slot in self.slots}))

    def _pieces(self, values: Mapping[str, object]) -> Iterator[str]:
        from jinja2 import TemplateRuntimeError

        left_chars = MOST_CHARS
        try:
            for piece in self._template.generate(values):
                left_chars -= len(piece)
                if left_chars < 0:
                    raise self._error(f"it becomes longer than {MOST_CHARS:,} characters", None)
                yield piece
        except (TemplateRuntimeError, TypeError) as error:  # an unknown field, a field that is out of bounds, an unfit value
            frames = traceback.extract_tb(error.__traceback__)
            line = next((frame.lineno for frame in reversed(frames) if frame.filename == _TEMPLATE_FILE), None)
            raise self._error(str(error), line) from error

    def _check(self, tree: nodes.Template) -> None:
        from jinja2 import nodes

        for node in tree.find_all(nodes.Node):
            kind = type(node).__name__
            if kind not in _ALLOWED or (isinstance(node, nodes.Filter) and node.name not in FILTERS):
                what = f"the filter {node.name}" if isinstance(node, nodes.Filter) else kind
                raise self._error(f"{what} is not of the language of templates", node.lineno)
            if isinstance(node, nodes.For) and node.find(nodes.For):
                raise self._error("a loop stands inside another", node.lineno)

    def _slots(self, tree: nodes.Template) -> dict[str, int]:
        from jinja2 import TemplateAssertionError, meta, nodes

        try:
            known = meta.find_undeclared_variables(tree)
        except TemplateAssertionError as error:  # a test that there is not
            raise self._error(str(error.message), error.lineno) from error
        lines: dict[str, int] = {}
        for name in tree.find_all(nodes.Name):
            if name.name in known:
                lines.setdefault(name.name, name.lineno + self._offset)
        return lines

    def _check_framed(self, tree: nodes.Template, slot: str) -> None:
        """A slot with frames stands once, by itself; behind the question are only fixed words: what stands there could forge it."""
        from jinja2 import nodes

        written = [part for node in tree.body for part in (node.nodes if isinstance(node, nodes.Output) else [node])]
        at = next((n for n, part in enumerate(written) if isinstance(part, nodes.Name) and part.name == slot), None)
        uses = [name for name in tree.find_all(nodes.Name) if name.name == slot]
        if at is None or len(uses) > 1:
            raise self._error(f"{slot} does not stand by itself", uses[-1].lineno, hint=_ALONE_HINT.format(slot))
        behind = next((part for part in written[at + 1 :] if not isinstance(part, nodes.TemplateData)), None)
        if slot == QUESTION and behind is not None:
            raise self._error("something stands behind the question", behind.lineno, hint=_LAST_HINT)

    def _error(self, message: str, line: int | None, *, hint: str = "", is_placed: bool = False) -> TemplateError:
        """An error in this part; a line counts from the beginning of the part unless it `is_placed` in the file."""
        return TemplateError(
            message,
            file=self._file,
            line=line if line is None or is_placed else line + self._offset,
            hint=hint or "see the section on templates in architecture/prompting.md",
        )


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,  # a prompt is not HTML; untrusted text stands in frames
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_written,
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    return environment


def _written(value: object) -> object:
    from jinja2 import Undefined

    if isinstance(value, str | int | float | Undefined):
        return value
    raise TypeError(f"a slot is written as text or as a number, not as {type(value).__name__}")
