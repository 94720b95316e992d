"""Lays down a new application, or a new connector, from a template that comes with the package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from llmapp.errors import ConfigError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_CONNECTOR_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_LONGEST_NAME_CHARS = 64
_TEXT = {".md", ".py", ".toml", ".txt", ".html", ".csv", ""}


def lay_down(name: str, folder: Path) -> Path:
    """Make an application: the folder `name` in `folder`.

    Returns:
        The folder that was made.

    Raises:
        ConfigError: The name cannot be a project's, or the folder is there already.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be a project's name", hint="letters, digits, - and _, beginning with a letter")
    package = re.sub(r"\W", "_", name).lower()
    return _fill(folder / name, "new_app", {"__NAME__": name, "__PACKAGE__": package})


def lay_down_connector(name: str, folder: Path) -> Path:
    """Make a package with a connector and its test: ``llmapp-connector-NAME`` in `folder`.

    Returns:
        The folder that was made.

    Raises:
        ConfigError: The name cannot be a connector's, or the folder is there already.
    """
    if not _CONNECTOR_NAME.fullmatch(name) or len(name) > _LONGEST_NAME_CHARS:
        raise ConfigError(
            f"{name[:_LONGEST_NAME_CHARS]!r} cannot be a connector's name",
            hint="small letters and digits, parts joined by - or _, beginning with a letter",
        )
    if name in _own_connectors():
        raise ConfigError(f"llmapp has a connector {name} of its own, which would win", hint="choose another name")
    module = name.replace("-", "_")
    words = {
        "__NAME__": name,
        "__MODULE__": module,
        "__PACKAGE__": f"llmapp_connector_{module}",
        "__CLASS__": "".join(part.capitalize() for part in module.split("_")) + "Connector",
    }
    return _fill(folder / f"llmapp-connector-{name}", "new_connector", words)


def _fill(target: Path, template: str, words: Mapping[str, str]) -> Path:
    try:
        target.mkdir(parents=True)
    except FileExistsError as error:
        raise ConfigError(f"{target} is there already", hint="choose another name, or remove it") from error
    except OSError as error:
        raise ConfigError(f"{target} cannot be made: {error.strerror}", hint="choose another place with --in") from error
    _copy(resources.files("llmapp.templates") / template, target, words)
    return target


def _copy(template: Traversable, target: Path, words: Mapping[str, str]) -> None:
    for item in template.iterdir():
        if item.name == "__pycache__" or item.name.startswith("."):
            continue  # caches of tools
        # A dot file can get lost in packaging, so the template carries it without its dot.
        copy = target / (".gitignore" if item.name == "gitignore" else _worded(item.name, words))
        if item.is_dir():
            copy.mkdir()
            _copy(item, copy, words)
        elif copy.suffix in _TEXT:
            copy.write_text(_worded(item.read_text(encoding="utf-8"), words), encoding="utf-8")
        else:
            copy.write_bytes(item.read_bytes())


def _worded(text: str, words: Mapping[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text


def _own_connectors() -> set[str]:
    from llmapp.ingestion.plugins import Unreadable, installed

    return {str(found.name) for found in installed() if not isinstance(found, Unreadable) and found.package == "llmapp"}
