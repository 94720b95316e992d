"""The secrets of a connector, found at any depth of its settings and struck out of what is told or stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from urllib.parse import quote

from pydantic import BaseModel, SecretBytes, SecretStr

_LEAST_CHARS = 4
"""A shorter secret is part of too many words to be struck out, and stands in a text by chance."""


def secrets_in(value: object, path: str = "") -> dict[str, str]:
    """The secrets that a connector holds, however deep in its settings, by their dotted path."""
    if isinstance(value, SecretStr):
        return {path: value.get_secret_value()}
    if isinstance(value, SecretBytes):
        return {path: value.get_secret_value().decode(errors="backslashreplace")}
    found: dict[str, str] = {}
    for name, part in parts(value):
        found |= secrets_in(part, f"{path}.{name}".lstrip("."))
    return found


def without(secrets: Mapping[str, str], text: str) -> str:
    """The text with every secret struck out, in whichever of its forms it stands there."""
    for form in sorted({form for secret in secrets.values() for form in forms(secret)}, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def striker(connector: object) -> Callable[[str], str]:
    """A function that strikes the secrets of a connector out of a text."""
    return partial(without, secrets_in(connector))


def forms(secret: str) -> set[str]:
    """The secret as it is, on one line, and escaped as Python, JSON and addresses do; none too short to be told from words."""
    one_line = " ".join(secret.split())
    written = {secret, one_line, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe=""), quote(secret)}
    return {form for form in written if len(form) >= _LEAST_CHARS}


def parts(value: object) -> Iterator[tuple[str, object]]:
    """The named parts of a model, a dataclass or a collection."""
    if isinstance(value, BaseModel):
        yield from value  # fields, and extra ones
    elif isinstance(value, Mapping):
        yield from ((str(key), part) for key, part in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((str(number), part) for number, part in enumerate(value))
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((part.name, getattr(value, part.name)) for part in fields(value))
