"""Words of the checks: how a broken promise is raised, and how an error is told."""

from __future__ import annotations

import json

from llmapp.errors import LLMAppError


def require(condition: object, advice: str) -> None:
    """Break the promise unless the condition holds; an `assert` would be gone under ``python -O``.

    Raises:
        AssertionError: With the advice: what to do.
    """
    if not condition:
        raise AssertionError(advice)


def told(error: BaseException | None) -> str:
    """An error in one line: its kind, what it says, and its hint."""
    line = " ".join(str(error).split())
    hint = error.hint if isinstance(error, LLMAppError) else ""
    return ": ".join(part for part in (type(error).__name__, line, hint) if part)


def is_unicode(*texts: object) -> bool:
    """Whether all that are texts can be written as UTF-8."""
    return all(text == text.encode(errors="replace").decode() for text in texts if isinstance(text, str))


def is_json(value: object) -> bool:
    """Whether JSON gives back the same value."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError, RecursionError):
        return False
