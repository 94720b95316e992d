"""The text form of filters: what a person types.

    filter     = all { "or" all }
    all        = one { "and" one }
    one        = "not" one | "(" filter ")" | "exists" "(" field ")" | field comparison
    comparison = ("=" | "!=" | "<" | "<=" | ">" | ">=") value | ["not"] "in" "(" [value {"," value}] ")"
    value      = text in quotes | number | date or time | "true" | "false" | "null"

Words of the language are written in any case. A field with spaces, or named like a word of the language, stands in backticks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import overload

from llmapp.errors import FilterError
from llmapp.filters.tree import MOST_DEPTH, OPERATORS, And, Compare, Exists, Filter, Not, OneOf, Or
from llmapp.filters.values import KEYWORDS, TIME, Value, parse_time, unquoted

_TOKEN = re.compile(
    rf"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<field>`(?:[^`\\]|\\.)*`)
    | (?P<time>{TIME}(?![\w.]))
    | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.]))
    | (?P<word>[^\W\d]\w*(?:[.-]\w+)*)
    | (?P<sign><=|>=|!=|<>|==|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_SIGNS = {"==": "=", "<>": "!="}
_MOST_DIGITS = 400
"""The largest float has 309, and Python refuses to read integers of more than 4,300."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """``text``, ``field``, ``time``, ``number``, ``word`` (no keyword), ``end``, or the keyword or sign itself."""
    written: str
    position: int


def from_text(text: str) -> Filter:
    """Read the text form.

    Raises:
        FilterError: It is no filter; `FilterError.position` says where.
    """
    return _Reader(text).whole()


class _Reader:
    """Reads one text by recursive descent, to a limited depth."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = next(self._tokens)
        self._depth = 0

    def whole(self) -> Filter:
        found = self._any()
        if self._next.kind != "end":
            raise self._wrong("and, or, or the end", hint="join conditions by and, or")
        return found

    def _any(self) -> Filter:
        parts = [self._all()]
        while self._took("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _all(self) -> Filter:
        parts = [self._one()]
        while self._took("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self) -> Filter:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise FilterError(
                f"the filter is more than {MOST_DEPTH} deep", hint="nest less: a and b and c needs no parentheses"
            )
        try:
            return self._inner()
        finally:
            self._depth -= 1

    def _inner(self) -> Filter:
        if self._took("not"):
            return Not(self._one())
        if self._took("("):
            found = self._any()
            self._take(")", "a closing parenthesis")
            return found
        if self._took("exists"):
            self._take("(", "( and a field")
            field = self._field()
            self._take(")", "a closing parenthesis")
            return Exists(field)
        return self._condition(self._field())

    def _condition(self, field: str) -> Filter:
        if self._took("="):
            value = self._value(or_null=True)
            return Not(Exists(field)) if value is None else OneOf(field, (value,))
        if self._took("!="):
            value = self._value(or_null=True)
            return Exists(field) if value is None else And((Exists(field), Not(OneOf(field, (value,)))))
        if self._took("in"):
            return OneOf(field, self._values())
        if self._took("not"):
            self._take("in", "in", hint="write not in (…), or not before the field")
            return And((Exists(field), Not(OneOf(field, self._values()))))
        return self._ordered(field)

    def _ordered(self, field: str) -> Filter:
        operator = next((operator for operator in OPERATORS if self._took(operator)), None)
        if operator is None:
            raise self._wrong("=, !=, <, <=, >, >=, in or not in")
        position, value = self._next.position, self._value()
        try:
            return Compare(field, operator, value)  # type: ignore[arg-type]  # it checks
        except FilterError as error:
            raise _misread(self._text, position, error.message, error.hint) from error

    def _field(self) -> str:
        token = self._next
        if token.kind not in {"word", "field"}:
            hint = "a field named like a word of the language stands in backticks" if token.kind in KEYWORDS else ""
            raise self._wrong("a field", hint=hint)
        self._advance()
        return unquoted(token.written) if token.kind == "field" else token.written

    def _values(self) -> tuple[Value, ...]:
        self._take("(", "( and values")
        values: list[Value] = []
        while not self._took(")"):
            if values:
                self._take(",", ", or a closing parenthesis")
            values.append(self._value())
        return tuple(values)

    @overload
    def _value(self) -> Value: ...
    @overload
    def _value(self, *, or_null: bool) -> Value | None: ...
    def _value(self, *, or_null: bool = False) -> Value | None:
        token = self._next
        if token.kind in _CONSTANTS or (or_null and token.kind == "null"):
            self._advance()
            return _CONSTANTS.get(token.kind)
        if token.kind not in _READ:
            hint = "text stands in quotes" if token.kind == "word" else ""
            raise self._wrong("a value", hint=hint)
        value = _READ[token.kind](token.written)
        if value is None:
            raise self._wrong("a date that there is, or a smaller number")
        self._advance()
        return value

    def _took(self, kind: str) -> bool:
        """Whether the next token is of this kind; it is then behind."""
        if self._next.kind != kind:
            return False
        self._advance()
        return True

    def _take(self, kind: str, wanted: str, *, hint: str = "") -> None:
        if not self._took(kind):
            raise self._wrong(wanted, hint=hint)

    def _advance(self) -> None:
        if self._next.kind != "end":
            self._next = next(self._tokens)

    def _wrong(self, wanted: str, *, hint: str = "") -> FilterError:
        return _misread(self._text, self._next.position, f"{wanted} is expected", hint)


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while match := _TOKEN.match(text, position):
        position, kind = match.end(), str(match.lastgroup)
        written = match[kind]
        if kind == "sign":
            kind = _SIGNS.get(written, written)
        elif kind == "word" and written.lower() in KEYWORDS:
            kind = written.lower()
        yield _Token(kind, written, match.start(str(match.lastgroup)))
    position += len(text[position:]) - len(text[position:].lstrip())
    if position < len(text):
        hint = "a closing quote is missing" if text[position] in "\"'`" else "see architecture/filters.md for the grammar"
        raise _misread(text, position, "this is no part of a filter", hint)
    yield _Token("end", "", position)


def _number(written: str) -> float | None:
    """The number, None when it is beyond what a float can hold."""
    if len(written) > _MOST_DIGITS or not math.isfinite(float(written)):
        return None
    return int(written) if re.fullmatch("-?[0-9]+", written) else float(written)


def _misread(text: str, position: int, problem: str, hint: str) -> FilterError:
    hint = hint or "see architecture/filters.md for the grammar"
    return FilterError(f"the filter, character {position + 1}: {problem}", hint=hint, text=text, position=position)


_CONSTANTS = {"true": True, "false": False}
_READ: dict[str, Callable[[str], Value | None]] = {"text": unquoted, "number": _number, "time": parse_time}
