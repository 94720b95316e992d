"""Where templates are found: those that come with llmapp, and those of a project's folder ``prompts/``.

A file is named ``NAME.md``; one that is kept beside it for comparison, ``NAME@VERSION.md``. A name alone means the
project's ``NAME.md``, else the built-in one; with a version it means exactly that. No two templates are the same by name
and version and differ in words, so that a report that names one says what the model was told.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from llmapp.errors import TemplateError
from llmapp.prompting.templates.head import NAME, VERSION
from llmapp.prompting.templates.template import PromptTemplate, parse_template

ANSWER_WITH_SOURCES = "answer_with_sources"
"""The default template: an answer from numbered sources, cited, or a refusal."""

_ENDING = ".md"
_FILE = re.compile(rf"{NAME}(@{VERSION})?\.md")


class TemplateLibrary:
    """The templates of a project; files are read when they are asked for, and anew each time."""

    def __init__(self, folder: Path | None = None) -> None:
        """Choose the folder.

        Args:
            folder: The project's own templates; one that is not there holds none. None is a project without.
        """
        self._folder = folder

    def get(self, name: str) -> PromptTemplate:
        """A template.

        Args:
            name: ``NAME``, the project's before the built-in one, or ``NAME@VERSION``.

        Raises:
            TemplateError: There is none of that name, or its file is wrong.
        """
        wanted, _, version = name.partition("@")
        for is_built_in in (False, True):
            for template in self._named(wanted, is_built_in=is_built_in):
                if template.version == version or not version:
                    return template
        known = [template.identity if version else template.name for template in self.all()]
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        raise TemplateError(
            f"no prompt template is named {name}", hint=f"did you mean {nearest[0]}? llmapp prompt list names all"
        )

    def built_in(self, name: str) -> PromptTemplate | None:
        """The template of that name that came with llmapp; None where there is none."""
        return next(self._named(name, is_built_in=True), None)

    def all(self) -> list[PromptTemplate]:
        """All of them by name; of a name the project's first, and the one that the name alone means before others.

        Raises:
            TemplateError: A file is wrong.
        """
        names = {_name_of(path) for is_built_in in (False, True) for path in self._paths(is_built_in=is_built_in)}
        return [
            template
            for name in sorted(names)
            for is_built_in in (False, True)
            for template in self._named(name, is_built_in=is_built_in)
        ]

    def _named(self, name: str, *, is_built_in: bool) -> Iterator[PromptTemplate]:
        """The templates of a name, the one without a version in its file's name first."""
        seen: set[str] = set()
        for path in self._paths(is_built_in=is_built_in):
            if _name_of(path) != name:
                continue
            template = self._read(path, is_built_in=is_built_in)
            if path.name.removesuffix(_ENDING) not in {template.name, template.identity} or template.identity in seen:
                raise TemplateError(
                    f"its head says {template.identity}{', and so does that of another file' * (template.identity in seen)}",
                    file=template.file,
                    line=1,
                    hint="a file is named after its head: NAME.md, or NAME@VERSION.md beside it",
                )
            seen.add(template.identity)
            yield template

    def _read(self, path: Traversable, *, is_built_in: bool) -> PromptTemplate:
        file = f"built-in {path.name}" if is_built_in else str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateError(f"it cannot be read: {error}", file=file, hint="a template is UTF-8 text") from error
        template = parse_template(text, file=file, is_built_in=is_built_in)
        if not is_built_in:
            self._refuse_look_alike(template)
        return template

    def _refuse_look_alike(self, template: PromptTemplate) -> None:
        others = (each for each in self._named(template.name, is_built_in=True) if each.identity == template.identity)
        if any(other.text != template.text for other in others):
            raise TemplateError(
                f"{template.identity} is built in, with other words",
                file=template.file,
                hint="give it a version of its own: a report names a prompt by name and version",
            )

    def _paths(self, *, is_built_in: bool) -> list[Traversable]:
        """The files, sorted by their names without ending; what is not named like a template, as README.md, is none."""
        folder: Traversable | None = files(__package__) if is_built_in else self._folder
        found = list(folder.iterdir()) if folder is not None and folder.is_dir() else []
        return sorted(
            (each for each in found if _FILE.fullmatch(each.name)), key=lambda each: each.name.removesuffix(_ENDING)
        )


def _name_of(path: Traversable) -> str:
    return path.name.removesuffix(_ENDING).partition("@")[0]


def load_template(name: str = ANSWER_WITH_SOURCES) -> PromptTemplate:
    """Load a template that comes with the package.

    Args:
        name: ``NAME`` or ``NAME@VERSION``.

    Raises:
        TemplateError: There is no template of that name.
    """
    return TemplateLibrary().get(name)


def difference(first: PromptTemplate, second: PromptTemplate) -> str:
    """What was taken out of the first file and put into the second, as a unified diff; empty where they are the same."""
    before, after = (each.text.splitlines(keepends=True) for each in (first, second))
    return "".join(difflib.unified_diff(before, after, fromfile=first.identity, tofile=second.identity))
