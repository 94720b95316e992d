"""Connectors by name, with their settings. They come through one door, those of llmapp and of third parties alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core.core_schema import ErrorType

from llmapp.connector import Connector
from llmapp.errors import ConfigError, LLMAppError, UnknownSettingError
from llmapp.ingestion.plugins import find_plugin, nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_SAFE_WORDS = {*get_args(ErrorType)} - {"value_error", "assertion_error"}
"""Kinds of problems whose message never repeats what was given; a validator's own words might."""


def load_connector(name: str, settings: Mapping[str, object]) -> Connector:
    """Make a connector.

    Args:
        name: Name of its entry point, e.g. ``files``.
        settings: Its fields; secrets are resolved.

    Raises:
        UnknownPluginError: No connector of that name is installed.
        MissingDependencyError: It needs a package that is not installed.
        UnknownSettingError: It, or one of its tables, has no field of that name.
        ConfigError: It cannot be loaded, or a field is missing or wrong; or it says so itself.
    """
    model = find_plugin(name).load()
    try:
        connector = model.model_validate(dict(settings), extra="forbid")
    except ValidationError as error:
        raise _wrong(name, model, error) from None
    except LLMAppError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - code of its own; what it says may hold what was given
        raise ConfigError(
            f"connector {name} refuses its settings with {type(error).__name__}", hint="correct the source in llmapp.toml"
        ) from None
    if not isinstance(connector, Connector):
        raise ConfigError(f"connector {name} has no method read", hint="see llmapp.connector for the contract")
    return connector


def _wrong(name: str, model: type[BaseModel], error: ValidationError) -> ConfigError:
    """One line for one problem: first a name that is not known, because it may be the reason for what is missing."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    for problem in problems:
        if problem["type"] == "extra_forbidden":
            *tables, key = problem["loc"]
            known = list(_fields_at(model, tables))
            return UnknownSettingError(
                f"connector {name} has no setting {_dotted(problem)!r}", hint=nearest(str(key), known, "its settings are")
            )
    first = problems[0]
    what = first["msg"] if first["type"] in _SAFE_WORDS else "is not valid"
    return ConfigError(f"connector {name}: {_dotted(first) or 'settings'}: {what}", hint="correct the source in llmapp.toml")


def _dotted(problem: ErrorDetails) -> str:
    return ".".join(str(part) for part in problem["loc"])


def _fields_at(model: type[BaseModel], tables: Sequence[int | str]) -> Iterator[str]:
    """Names that the table at this place takes. Numbers of list items and keys of mappings are no fields."""
    models = [model]
    for part in tables:
        inner = [field.annotation for table in models if (field := table.model_fields.get(str(part)))]
        models = [kind for annotation in inner for kind in _models_in(annotation)] or models
    for table in models:
        yield from (field.alias or name for name, field in table.model_fields.items())


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
