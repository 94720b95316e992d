"""Templates and presets of the `rest` connector.

What is written in braces is filled in from the variables of the source when it is made; ``{id}`` and ``{since}`` are
filled in when a request is. Nothing else is looked up, so a template can reach no attribute of anything.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from llmapp.errors import ConfigError

_HOLE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_FILLED_LATER = frozenset({"id", "since"})
_VARIABLE = re.compile(r"[\w.-]+")
"""Nothing that ends a quoted text of JMESPath or JQL, or a part of a path."""


def with_preset(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings on top of their preset, without what is false, with the variables filled in; secrets are left as they are.

    Raises:
        ConfigError: There is no such preset, or a variable is missing or holds what none may hold.
    """
    merged = _merged(_preset(given["preset"]), given) if given.get("preset") else dict(given)
    values = {name: _variable(name, value) for name, value in dict(merged.get("variables") or {}).items()}
    if isinstance(merged.get("base_url"), str):
        values["base_url"] = merged["base_url"] = filled(merged["base_url"], values).rstrip("/")
    kept = {"auth", "preset", "token", "variables"}
    return {
        name: value if name in kept else _filled_in(value, values) for name, value in merged.items() if value is not False
    }


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template with its holes filled in.

    Raises:
        ConfigError: There is no value of that name.
    """

    def value(hole: re.Match[str]) -> str:
        name = hole[1]
        if name in values:
            return values[name]
        if name in _FILLED_LATER:
            return hole[0]
        raise ConfigError(f"the variable {name!r} is missing", hint=f"write it under variables of the source: {name} = …")

    return _HOLE.sub(value, template)


def _preset(name: object) -> dict[str, Any]:
    folder = resources.files("llmapp_connectors.rest") / "presets"
    known = {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}
    if name not in known:
        raise ConfigError(f"there is no preset {name!r}", hint=f"there are: {', '.join(sorted(known))}")
    return tomllib.loads(known[str(name)].read_text(encoding="utf-8"))


def _variable(name: str, value: object) -> str:
    if not _VARIABLE.fullmatch(str(value)):
        raise ConfigError(f"the variable {name!r} is not valid", hint="letters, digits, and the signs . _ - are")
    return str(value)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        name: _merged(below[name], above[name])
        for name in below.keys() & above.keys()
        if isinstance(below[name], Mapping) and isinstance(above[name], Mapping)
    }
    return {**below, **above, **both}


def _filled_in(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return filled(value, values)
    if isinstance(value, Mapping):
        return {name: _filled_in(inner, values) for name, inner in value.items()}
    return [_filled_in(inner, values) for inner in value] if isinstance(value, list) else value
