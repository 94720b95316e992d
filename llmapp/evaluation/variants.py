"""Settings with some of them changed: what ``--set retrieval.top_k=20`` means."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from llmapp.application import App
from llmapp.config import Settings, known_keys
from llmapp.errors import ConfigError, UnknownSettingError


@contextmanager
def varied(app: App, changes: Sequence[str]) -> Iterator[App]:
    """The same application with some settings changed, for one run.

    It is another one also where nothing changes, and closed at the end, so that the next one finds the vector index free. A
    catalog whose full text was analysed in another language for it is brought back.

    Raises:
        ConfigError: As `with_changes`.
    """
    settings = with_changes(app.settings, changes)
    try:
        with app.beside(settings) as variant:
            yield variant
    finally:
        if settings.retrieval.language != app.settings.retrieval.language:
            app.beside(app.settings).close()  # opening a catalog brings its full text to the language of the settings


def with_changes(settings: Settings, changes: Sequence[str]) -> Settings:
    """The settings with some changed, for one run; a change wins over llmapp.toml and over the environment.

    Args:
        settings: As they stand.
        changes: Each ``KEY=VALUE``, the key as in architecture/settings.md, the value as in TOML; text may lack its quotes.

    Raises:
        UnknownSettingError: There is no such key.
        ConfigError: No ``=``, or the value is not allowed.
    """
    nested: dict[str, Any] = {}
    for change in changes:
        key, sign, written = change.partition("=")
        if not sign:
            raise ConfigError(f"{change!r} changes nothing", hint="write KEY=VALUE, such as retrieval.top_k=20")
        _put(nested, _known(key.strip()), _value(written.strip()))
    try:
        return settings.model_copy(update={name: _changed(settings, name, value) for name, value in nested.items()})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise ConfigError(f"{' '.join(changes)}: {key} {problem['msg']}", hint="see architecture/settings.md") from error


def _known(key: str) -> str:
    keys = known_keys()
    if key not in keys:
        nearest = difflib.get_close_matches(key, keys, n=1, cutoff=0.0)[0]
        raise UnknownSettingError(f"there is no setting {key}", hint=f"did you mean {nearest}?")
    return key


def _value(written: str) -> object:
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        return written


def _put(nested: dict[str, Any], key: str, value: object) -> None:
    *tables, name = key.split(".")
    for table in tables:
        nested = nested.setdefault(table, {})
    nested[name] = value


def _changed(settings: Settings, name: str, value: object) -> object:
    held = getattr(settings, name)
    if isinstance(held, BaseModel) and isinstance(value, dict):
        return type(held).model_validate(_merged(held.model_dump(), value))
    kind: Any = type(settings).model_fields[name].annotation
    return TypeAdapter(kind).validate_python(value)


def _merged(held: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    nested = {key: _merged(held[key], value) for key, value in changes.items() if isinstance(held.get(key), dict)}
    return held | changes | nested
