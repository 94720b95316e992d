"""Lays down a new application from the template that comes with the package."""

from __future__ import annotations

import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from llmapp.errors import ConfigError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_TEXT = {".md", ".py", ".toml", ".txt", ".html", ".csv", ""}


def lay_down(name: str, folder: Path) -> Path:
    """Make the folder `name` in `folder` and fill it.

    Returns:
        The folder that was made.

    Raises:
        ConfigError: The name cannot be a project's, or the folder is there already.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be a project's name", hint="letters, digits, - and _, beginning with a letter")
    target = folder / name
    try:
        target.mkdir(parents=True)
    except FileExistsError as error:
        raise ConfigError(f"{target} is there already", hint="choose another name, or remove it") from error
    except OSError as error:
        raise ConfigError(f"{target} cannot be made: {error.strerror}", hint="choose another place with --in") from error
    _copy(resources.files("llmapp.templates") / "new_app", target, name)
    return target


def _copy(template: Traversable, target: Path, name: str) -> None:
    for item in template.iterdir():
        if item.name == "__pycache__":
            continue
        # A dot file can get lost in packaging, so the template carries it without its dot.
        copy = target / (".gitignore" if item.name == "gitignore" else item.name)
        if item.is_dir():
            copy.mkdir()
            _copy(item, copy, name)
        elif copy.suffix in _TEXT:
            text = item.read_text(encoding="utf-8")
            package = re.sub(r"\W", "_", name).lower()
            copy.write_text(text.replace("__NAME__", name).replace("__PACKAGE__", package), encoding="utf-8")
        else:
            copy.write_bytes(item.read_bytes())
