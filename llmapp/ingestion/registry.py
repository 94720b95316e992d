"""Connectors by name, through the entry point group ``llmapp.connectors``; only the one named is imported.

Connectors that come with llmapp use the same door as a third party's. Knows no connector itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from llmapp.connector import Connector
from llmapp.errors import ConfigError, MissingDependencyError, UnknownPluginError, UnknownSettingError

if TYPE_CHECKING:
    from pydantic import JsonValue

GROUP = "llmapp.connectors"
"""The entry point group; a value names a class, e.g. ``llmapp_connectors.files:Files``."""


def load_connector(name: str, settings: Mapping[str, JsonValue]) -> Connector:
    """Make a connector.

    Args:
        name: Name of its entry point, e.g. ``files``.
        settings: Its fields.

    Raises:
        UnknownPluginError: No connector of that name is installed.
        MissingDependencyError: It needs a package that is not installed.
        UnknownSettingError: It has no field of that name.
        ConfigError: A field is missing or wrong.
    """
    model = _load(name)
    for key in settings:
        if key not in model.model_fields:
            raise UnknownSettingError(
                f"connector {name} has no setting {key!r}", hint=_hint(key, list(model.model_fields), "its settings are")
            )
    try:
        connector = model(**settings)
    except ValidationError as error:
        raise ConfigError(f"connector {name}: {_first_problem(error)}", hint="correct the source in llmapp.toml") from None
    if not isinstance(connector, Connector):
        raise ConfigError(f"connector {name} has no method read", hint="see llmapp.connector for the contract")
    return connector


def _load(name: str) -> type[BaseModel]:
    known = metadata.entry_points(group=GROUP)
    if name not in known.names:
        raise UnknownPluginError(f"no connector {name!r} is installed", hint=_hint(name, sorted(known.names), "there are"))
    try:
        model = known[name].load()
    except ModuleNotFoundError as error:
        raise MissingDependencyError(error.name or name, extra=name) from error
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"connector {name} cannot be loaded: {error}", hint="install it again") from error
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ConfigError(f"connector {name} is not a pydantic model", hint="see llmapp.connector for the contract")
    return model


def _hint(word: str, known: list[str], introduction: str) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    listed = f"{introduction}: {', '.join(known) or 'none'}"
    return f"did you mean {near[0]!r}? {listed}" if near else listed


def _first_problem(error: ValidationError) -> str:
    """Field and rule of the first problem. What was given is never repeated, and a validator's own words might do so."""
    problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in problem["loc"]) or "settings"
    says_own_words = problem["type"] in ("value_error", "assertion_error")
    return f"{field}: {'is not valid' if says_own_words else problem['msg']}"
