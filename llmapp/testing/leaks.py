"""Finds the secrets of a connector where they do not belong. Knows nothing of what a connector says, only values and texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llmapp.ingestion.secrets import forms, parts


def leaked(secrets: Mapping[str, str], *values: object) -> list[str]:
    """Paths of the secrets that stand in one of the values, in one of their forms."""
    texts = [text for value in values for text in _texts(value)]
    return [path for path, secret in secrets.items() if any(form in text for form in forms(secret) for text in texts)]


def _texts(value: object) -> Iterator[str]:
    """Every text in a value, the names of its parts included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseException):
        yield from (str(value), str(getattr(value, "hint", "")))
    else:
        for name, part in parts(value):
            yield name
            yield from _texts(part)
