"""The head of a template's file: what it is called, and what its sections claim of the token budget. TOML."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from llmapp.errors import PromptError, TemplateError
from llmapp.prompting.allocation import Section

NAME, VERSION = r"[a-z][a-z0-9_-]*", r"[A-Za-z0-9][A-Za-z0-9._-]*"
"""Forms of names and versions, as regular expressions."""
FORM_HINT = "compare it with llmapp prompt show answer_with_sources@1"
"""What to do about a file of another form."""

_FIELDS = {"name": NAME, "version": VERSION, "description": r"[^\n]+"}
_SECTION = r"\[+sections"


def read_head(head: str, file: str) -> dict[str, Any]:
    """The fields of a `PromptTemplate` that its head gives.

    Args:
        head: What stands between the two lines ``+++``, the first of which is the first of the file.
        file: Names it in errors.

    Raises:
        TemplateError: It is not TOML, or a field is unknown, missing or not of its form.
    """
    try:
        found = tomllib.loads(head)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        line = int(at[1]) + 1 if at else None  # the line +++ stands above
        raise TemplateError(f"the head is not TOML: {error}", file=file, line=line, hint=FORM_HINT) from error
    known = [*_FIELDS, "sections"]
    for key in found:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise TemplateError(
                f"the head has a field {key}", file=file, line=_line_of(key, head), hint=f"did you mean {nearest}?"
            )
    for key, pattern in _FIELDS.items():
        value = found.get(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise TemplateError(
                f"the head has no {key}, or one that is not of the form {pattern}",
                file=file,
                line=_line_of(key, head),
                hint=f'write {key} = "…"; a version is a string',
            )
    return {**found, "sections": _sections(found.get("sections", []), head, file)}


def _sections(found: object, head: str, file: str) -> dict[str, dict[str, Any]]:
    """The fields that each section names, by its name: what it does not name is not said."""
    rows = found if isinstance(found, list) else [found]
    sections: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows):
        try:
            section = _section(row)
        except PromptError as error:
            line = _line_of(_SECTION, head, number)
            raise TemplateError(error.message, file=file, line=line, hint=error.hint) from error
        if section.name in sections:
            line = _line_of(_SECTION, head, number)
            raise TemplateError(f"two sections are named {section.name}", file=file, line=line, hint="name each once")
        sections[section.name] = {key: getattr(section, key) for key in row if key != "name"}
    return sections


def _section(row: object) -> Section:
    known = [each.name for each in fields(Section)]
    for key in row if isinstance(row, dict) else ():
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise PromptError(f"a section has a field {key}", hint=f"did you mean {nearest}?")
    try:
        return _section_type().validate_python(row)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise PromptError(
            f"a section is wrong: {key}: {problem['msg']}", hint=f"its fields are {', '.join(known)}"
        ) from error


@cache
def _section_type() -> TypeAdapter[Section]:
    return TypeAdapter(Section)


def _line_of(key: str, head: str, number: int = 0) -> int | None:
    """The line of the file on which a key of the head stands, the one of that number; None when it does not."""
    places = [at.start() for at in re.finditer(rf"^[ \t]*{key}\b", head, re.MULTILINE)]
    return head.count("\n", 0, places[number]) + 2 if number < len(places) else None
