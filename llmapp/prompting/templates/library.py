"""Where templates are found: those that come with llmapp, and those of a project's folder ``prompts/``.

A file is named ``NAME.md``; one that is kept beside it, ``NAME@VERSION.md``. A name alone means the project's ``NAME.md``,
else the built-in one; with a version it means exactly that. No two templates are the same by name and version and differ
in words, so that a report that names one says what the model was told.
"""

from __future__ import annotations

import codecs
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
_VERSION_LINE = re.compile(r"^version[ \t]*=.*$", re.MULTILINE)


class TemplateLibrary:
    """The templates of a project; files are read when they are asked for, and anew each time."""

    def __init__(self, folder: Path | None = None) -> None:
        """Choose the folder.

        Args:
            folder: The project's own templates; one that is not there holds none. None is a project without.
        """
        self._folder = folder

    def get(self, name: str) -> PromptTemplate:
        """A template. Files that are not meant are not read, so a wrong one of another name or version does not matter.

        Args:
            name: ``NAME``, the project's before the built-in one, or ``NAME@VERSION``.

        Raises:
            TemplateError: There is none of that name, or its file is wrong.
        """
        found = self._own(name) or self._of_version(name)
        if found is None:
            known = [_stem(path) for path, _ in self._places()] + [each.identity for each in self.all()]
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise TemplateError(
                f"no prompt template is named {name}", hint=f"did you mean {nearest[0]}? llmapp prompt list names all"
            )
        return found

    def built_in(self, name: str) -> PromptTemplate | None:
        """The template of that name, without its version, that came with llmapp; None where there is none."""
        path = _path(files(__package__), name)
        return None if path is None else self._read(path, is_built_in=True)

    def all(self) -> list[PromptTemplate]:
        """All that are whole, by name; of a name the project's first, and the one that the name alone means before others."""
        return [each for each in self._all() if isinstance(each, PromptTemplate)]

    def problems(self) -> list[TemplateError]:
        """What is wrong with the files that `all` leaves out, in its order."""
        return [each for each in self._all() if isinstance(each, TemplateError)]

    def copy(self, name: str, *, version: str) -> PromptTemplate:
        """Write a template into the project's folder as ``NAME.md``, for its words to be changed.

        Args:
            name: ``NAME`` or ``NAME@VERSION``, as for `get`.
            version: Of the copy: other words need another version.

        Returns:
            The copy.

        Raises:
            TemplateError: There is none of that name, the project has such a file or version, or it cannot be written.
        """
        template = self.get(name)
        if self._folder is None:
            raise TemplateError("there is no project to copy a template into", hint="name the folder of its templates")
        path = self._folder / f"{template.name}{_ENDING}"
        words = _VERSION_LINE.sub(lambda _: f'version = "{version}"', template.text, count=1)
        copied = parse_template(words, file=str(path))
        self._refuse_look_alike(copied)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(words)
        except OSError as error:
            raise TemplateError(
                f"it cannot be written: {error}", file=str(path), hint="a file that is there is changed, not replaced"
            ) from error
        return copied

    def _own(self, name: str) -> PromptTemplate | None:
        """The project's file of exactly that name; None where there is none."""
        path = _path(self._folder, name)
        return None if path is None else self._read(path)

    def _of_version(self, name: str) -> PromptTemplate | None:
        """The built-in one, or that of ``NAME.md`` where its head says the version; None where neither is meant."""
        wanted, _, version = name.partition("@")
        built_in = self.built_in(wanted)
        if built_in is not None and (version == built_in.version or wanted == name):
            return built_in
        own = self._own(wanted) if version else None
        return own if own is not None and own.version == version else None

    def _all(self) -> Iterator[PromptTemplate | TemplateError]:
        """Every template, read to its end, or what is wrong with its file."""
        for path, is_built_in in self._places():
            try:
                template = self._read(path, is_built_in=is_built_in)
                _ = template.parts  # reads the words as well
            except TemplateError as error:
                yield error
            else:
                yield template

    def _places(self) -> list[tuple[Traversable, bool]]:
        """The files of templates in the order of `all`, each with whether it is built in."""
        own = [(path, False) for path in _paths(self._folder) if self.built_in(_name_of(path)) or _has_head(path)]
        built_in = [(path, True) for path in _paths(files(__package__))]
        return sorted([*own, *built_in], key=lambda place: _name_of(place[0]))

    def _read(self, path: Traversable, *, is_built_in: bool = False) -> PromptTemplate:
        file = f"built-in {path.name}" if is_built_in else str(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateError(f"it cannot be read: {error}", file=file, hint="a template is UTF-8 text") from error
        template = parse_template(text, file=file, is_built_in=is_built_in)
        if _stem(path) not in {template.name, template.identity}:
            raise TemplateError(
                f"its head says {template.identity}",
                file=file,
                line=1,
                hint="a file is named after its head: NAME.md, or NAME@VERSION.md beside it",
            )
        if not is_built_in:
            self._refuse_look_alike(template)
        return template

    def _refuse_look_alike(self, template: PromptTemplate) -> None:
        built_in = self.built_in(template.name)
        if built_in is not None and built_in.identity == template.identity and built_in.text != template.text:
            raise TemplateError(
                f"{template.identity} is built in, with other words",
                file=template.file,
                hint="give it a version of its own: a report names a prompt by name and version",
            )
        kept = Path(template.file).with_name(f"{template.identity}{_ENDING}")
        if kept.exists() and kept != Path(template.file):
            raise TemplateError(
                f"its head says {template.identity}, and {kept.name} stands beside it",
                file=template.file,
                hint="give it a version of its own, or take the other file away",
            )


def _path(folder: Traversable | None, name: str) -> Traversable | None:
    """The file of exactly that name, which is no path; None where there is none."""
    if folder is None or not _FILE.fullmatch(f"{name}{_ENDING}"):
        return None
    path = folder / f"{name}{_ENDING}"
    return path if path.is_file() else None


def _paths(folder: Traversable | None) -> list[Traversable]:
    """The files that are named as a template is, sorted by their names without ending."""
    found = list(folder.iterdir()) if folder is not None and folder.is_dir() else []
    named = [path for path in found if _FILE.fullmatch(path.name) and path.is_file()]
    return sorted(named, key=_stem)


def _stem(path: Traversable) -> str:
    return path.name.removesuffix(_ENDING)


def _name_of(path: Traversable) -> str:
    return _stem(path).partition("@")[0]


def _has_head(path: Traversable) -> bool:
    """Whether a file means to be a template: notes may stand beside them, in a file whose name could be a template's."""
    try:
        return path.read_bytes().removeprefix(codecs.BOM_UTF8).startswith(b"+++")
    except OSError:
        return True  # whoever reads it says what is wrong


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
