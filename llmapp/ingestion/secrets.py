"""The secrets of a connector, found at any depth of its settings and struck out of what is told or stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain

from pydantic import BaseModel, SecretBytes, SecretStr

_LEAST_CHARS = 4
"""A shorter secret is part of too many words to be struck out."""


def secrets_in(value: object) -> Iterator[str]:
    """The secrets of a connector, or of any part of its settings."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, SecretBytes):
        yield value.get_secret_value().decode(errors="replace")
    elif isinstance(value, BaseModel):
        yield from secrets_in(dict(value))
    elif isinstance(value, Mapping):
        yield from chain.from_iterable(map(secrets_in, value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from chain.from_iterable(map(secrets_in, value))


def striker(connector: object) -> Callable[[str], str]:
    """A function that strikes the secrets of a connector out of a text."""
    secrets = sorted({secret for secret in secrets_in(connector) if len(secret) >= _LEAST_CHARS}, key=len, reverse=True)

    def strike(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***")
        return text

    return strike
