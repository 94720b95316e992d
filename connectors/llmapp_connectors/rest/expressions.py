"""Expressions into the answers of an API: JMESPath, and what may be made of the values that it finds.

Besides the functions of JMESPath there are ``escape(text)``, which makes text safe inside HTML, and
``replace(text, old, new)``. An expression can only look at what it is given. Messages name the expression and never
what it found, because that may be anything.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, JsonValue

from llmapp.connector import ConnectorError, MissingDependencyError
from llmapp.errors import ConfigError

_MILLISECONDS_FROM = 1e11
"""A number above this is no time in seconds (it would lie after the year 5138): it counts milliseconds."""


def search(expression: str, value: JsonValue) -> JsonValue:
    """What an expression finds in a value; None when it finds nothing.

    Raises:
        ConnectorError: A function of the expression does not take what it was given.
    """
    try:
        found: JsonValue = _compiled(expression).search(value, options=_options())
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        raise ConnectorError(f"{_shown(expression)} does not fit what the API answered") from None
    return found


def is_true(value: JsonValue) -> bool:
    """Truth as JMESPath has it: null, false and what is empty are false; every number is true."""
    return bool(value) or type(value) in {int, float}


def text(expression: str, value: JsonValue) -> str:
    """The text or number that an expression finds; a `ConnectorError` when there is none."""
    found = _as_text(search(expression, value))
    if not found:
        raise ConnectorError(f"no text at {_shown(expression)}")
    return found


def texts(expression: str, value: JsonValue) -> list[str]:
    """All texts that an expression finds, in order, lists of lists opened; what is null is left out.

    Raises:
        ConnectorError: It finds something that is neither text nor a list.
    """
    try:
        return list(_opened(search(expression, value)))
    except (ValueError, RecursionError):
        raise ConnectorError(f"something that is no text at {_shown(expression)}") from None


def seconds(expression: str, value: JsonValue) -> float:
    """The time that an expression finds, ISO 8601 or a number: seconds, or milliseconds, since 1970.

    Raises:
        ConnectorError: It finds none.
    """
    found = search(expression, value)
    try:
        number_s = _as_seconds(_as_text(found) or "")
    except (ValueError, OverflowError):
        number_s = math.nan
    if not math.isfinite(number_s):
        raise ConnectorError(f"no time stamp at {_shown(expression)}")
    return number_s


def _as_text(value: JsonValue) -> str | None:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _as_seconds(written: str) -> float:
    try:
        number = float(written)
    except ValueError:
        moment = datetime.fromisoformat(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return number / 1000 if number > _MILLISECONDS_FROM else number


def _opened(value: JsonValue) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _opened(part)
    elif value is not None:
        found = _as_text(value)
        if found is None:
            raise ValueError
        yield found


def _shown(expression: str) -> str:
    return repr(" ".join(expression.split()))


@cache
def _compiled(expression: str) -> Any:
    try:
        import jmespath
    except ModuleNotFoundError as error:
        raise MissingDependencyError("jmespath", extra="rest") from error
    try:
        return jmespath.compile(expression)
    except ValueError as error:
        raise ConfigError(f"{_shown(expression)} is no JMESPath expression", hint="see https://jmespath.org") from error


@cache
def _options() -> Any:
    import jmespath
    from jmespath.functions import Functions, signature

    text_argument = {"types": ["string"]}

    class WithText(Functions):  # type: ignore[misc]  # jmespath has no types
        @signature(text_argument)  # type: ignore[untyped-decorator]
        def _func_escape(self, found: str) -> str:
            return html.escape(found)

        @signature(text_argument, text_argument, text_argument)  # type: ignore[untyped-decorator]
        def _func_replace(self, found: str, old: str, new: str) -> str:
            return found.replace(old, new)

    return jmespath.Options(custom_functions=WithText())


def _checked(expression: str) -> str:
    _compiled(expression)
    return expression


Expression = Annotated[str, AfterValidator(_checked)]
"""A JMESPath expression."""
