"""Finds the secrets of a connector where they do not belong. Knows nothing of what a connector says, only values and texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from urllib.parse import quote

from pydantic import BaseModel, SecretBytes, SecretStr

_SHORTEST_CHARS = 4
"""A shorter secret stands in a text by chance."""


def secrets_in(value: object, path: str = "") -> dict[str, str]:
    """The secrets that a model holds, however deep, by their dotted path."""
    if isinstance(value, SecretStr):
        return {path: value.get_secret_value()}
    if isinstance(value, SecretBytes):
        return {path: value.get_secret_value().decode(errors="backslashreplace")}
    found: dict[str, str] = {}
    for name, part in _parts(value):
        found |= secrets_in(part, f"{path}.{name}".lstrip("."))
    return {name: secret for name, secret in found.items() if len(secret) >= _SHORTEST_CHARS}


def leaked(secrets: Mapping[str, str], *values: object) -> list[str]:
    """Paths of the secrets that stand in one of the values: as they are, or escaped as Python, JSON and addresses do."""
    texts = [text for value in values for text in _texts(value)]
    return [path for path, secret in secrets.items() if any(form in text for form in _forms(secret) for text in texts)]


def without(secrets: Mapping[str, str], text: str) -> str:
    """The text with every secret struck out."""
    for secret in sorted(secrets.values(), key=len, reverse=True):
        for form in _forms(secret):
            text = text.replace(form, "***")
    return text


def _forms(secret: str) -> set[str]:
    return {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe=""), quote(secret)}


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, BaseModel):
        yield from value  # fields, and extra ones
    elif isinstance(value, Mapping):
        yield from ((str(key), part) for key, part in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((str(number), part) for number, part in enumerate(value))
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((part.name, getattr(value, part.name)) for part in fields(value))


def _texts(value: object) -> Iterator[str]:
    """Every text in a value, the names of its parts included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseException):
        yield from (str(value), str(getattr(value, "hint", "")))
    else:
        for name, part in _parts(value):
            yield name
            yield from _texts(part)
