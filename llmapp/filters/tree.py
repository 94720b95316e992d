"""A filter as a tree: frozen, equal when written alike, never deeper or larger than a limit.

``str(filter)`` and `Filter.to_json` write what `llmapp.filters.reading.parse_filter` reads back. What it means for a
document: a condition holds if any value of its field satisfies it, so it is false where the field is missing, and `Not`
is plain negation. Null and empty lists are no values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Literal, TypeAlias

from pydantic import JsonValue

from llmapp.errors import FilterError
from llmapp.filters.values import Value, as_json, checked, checked_field, iso, parse_time, written, written_field

MOST_DEPTH = 32
"""Filters within filters; people nest three or four deep."""
MOST_PARTS = 250
"""Conditions and what joins them; SQLite takes an expression of a thousand."""
MOST_VALUES = 2_000
"""Values of one filter, each of them a parameter of a statement."""

Operator: TypeAlias = Literal["<", "<=", ">", ">="]
OPERATORS: dict[Operator, str] = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
"""As the text form and as the JSON form writes them."""


class Filter(ABC):
    """What a document must satisfy. `parse_filter` makes one; in Python ``a & b``, ``a | b`` and ``~a`` join them."""

    __slots__ = ()
    parts: tuple[Filter, ...]
    """The filters that it joins; () for a condition."""

    @abstractmethod
    def to_json(self) -> dict[str, JsonValue]:
        """The JSON form."""

    def conditions(self) -> Iterator[Condition]:
        """The conditions in it, as they are written."""
        for part in self.parts:
            yield from part.conditions()

    @property
    def fields(self) -> frozenset[str]:
        """The fields that it names."""
        return frozenset(condition.field for condition in self.conditions())

    @property
    def compared_fields(self) -> frozenset[str]:
        """The fields whose values it compares; whether a field exists may be asked of any."""
        return frozenset(condition.field for condition in self.conditions() if not isinstance(condition, Exists))

    def __eq__(self, other: object) -> bool:
        """Equal when written alike: Python's own ``1 == True`` would take one filter for another."""
        return isinstance(other, Filter) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __and__(self, other: Filter) -> Filter:
        return And((*_parts_of(self, And), *_parts_of(other, And)))

    def __or__(self, other: Filter) -> Filter:
        return Or((*_parts_of(self, Or), *_parts_of(other, Or)))

    def __invert__(self) -> Filter:
        return Not(self)


class Condition(Filter):
    """A filter on one field."""

    __slots__ = ()
    parts = ()
    field: str

    def conditions(self) -> Iterator[Condition]:
        """Itself."""
        yield self


@dataclass(frozen=True, eq=False)
class OneOf(Condition):
    """A value of the field is one of these; there may be none, and then no document satisfies it.

    Text is equal to the same text, a number to the same number, an instant to the same instant, a day to all its instants.
    """

    field: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        """Refuse what no field or value can be."""
        checked_field(self.field)
        object.__setattr__(self, "values", tuple(checked(value) for value in self.values))
        _check_size(self)

    def to_json(self) -> dict[str, JsonValue]:
        """``{"lang": "de"}`` or ``{"lang": {"$in": ["de", "en"]}}``."""
        values = [as_json(value) for value in self.values]
        return {self.field: values[0] if len(values) == 1 else {"$in": values}}

    def __str__(self) -> str:
        values = [written(value) for value in self.values]
        name = written_field(self.field)
        return f"{name} = {values[0]}" if len(values) == 1 else f"{name} in ({', '.join(values)})"


@dataclass(frozen=True, eq=False)
class Compare(Condition):
    """A value of the field lies on one side of a number or a time; text that is a time in ISO form is taken as one.

    ``<=`` a day takes the whole day in, ``>`` begins with the next.
    """

    field: str
    operator: Operator
    value: float | date

    def __post_init__(self) -> None:
        """Refuse what has no order."""
        checked_field(self.field)
        if self.operator not in OPERATORS:
            raise FilterError("the filter has an operator that there is not", hint=f"use {', '.join(OPERATORS)}, = or in")
        value = checked(self.value)
        ordered = parse_time(value) if isinstance(value, str) else value
        if ordered is None or isinstance(ordered, bool):
            raise FilterError(
                f"{self.operator} compares numbers and times, not {'text' if ordered is None else 'true and false'}",
                hint="write a number, or a date such as 2024-01-31; all else has = and in",
            )
        object.__setattr__(self, "value", ordered)

    def to_json(self) -> dict[str, JsonValue]:
        """``{"year": {"$gte": 2023}}``; a time is written as text."""
        return {self.field: {OPERATORS[self.operator]: iso(self.value) if isinstance(self.value, date) else self.value}}

    def __str__(self) -> str:
        return f"{written_field(self.field)} {self.operator} {written(self.value)}"


@dataclass(frozen=True, eq=False)
class Exists(Condition):
    """The field has a value."""

    field: str

    def __post_init__(self) -> None:
        """Refuse what no field can be."""
        checked_field(self.field)

    def to_json(self) -> dict[str, JsonValue]:
        """``{"draft": {"$exists": true}}``."""
        return {self.field: {"$exists": True}}

    def __str__(self) -> str:
        return f"exists({written_field(self.field)})"


@dataclass(frozen=True, eq=False)
class Not(Filter):
    """The other filter is not satisfied: a document without the field satisfies ``not year = 2023``."""

    part: Filter

    def __post_init__(self) -> None:
        """Refuse what is too deep."""
        _check_size(self)

    @property
    def parts(self) -> tuple[Filter, ...]:  # type: ignore[override]  # read only, as all of it
        """The one that it negates."""
        return (self.part,)

    def to_json(self) -> dict[str, JsonValue]:
        """``{"$not": …}``."""
        return {"$not": self.part.to_json()}

    def __str__(self) -> str:
        return f"not {_within(self.part)}"


@dataclass(frozen=True, eq=False)
class _Joined(Filter):
    word: ClassVar[str]
    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        """Refuse what is empty, too deep or too large."""
        object.__setattr__(self, "parts", tuple(self.parts))
        if not self.parts:
            raise FilterError(f"the filter joins nothing by {self.word}", hint="name at least one condition")
        _check_size(self)

    def to_json(self) -> dict[str, JsonValue]:
        """``{"$and": […]}`` or ``{"$or": […]}``."""
        return {f"${self.word}": [part.to_json() for part in self.parts]}

    def __str__(self) -> str:
        return f" {self.word} ".join(_within(part) for part in self.parts) if len(self.parts) > 1 else str(self.parts[0])


class And(_Joined):
    """All of them are satisfied."""

    word = "and"


class Or(_Joined):
    """At least one of them is satisfied."""

    word = "or"


def _parts_of(filter_: Filter, kind: type[Filter]) -> tuple[Filter, ...]:
    return filter_.parts if isinstance(filter_, kind) else (filter_,)


def _within(part: Filter) -> str:
    """A part as it stands within another filter: in parentheses where it joins several."""
    while isinstance(part, _Joined) and len(part.parts) == 1:
        part = part.parts[0]
    return f"({part})" if isinstance(part, _Joined) else str(part)


def _check_size(whole: Filter) -> None:
    """Refuse a filter that is too deep or too large; whoever wrote it may be hostile, so nothing here recurs."""
    parts = values = 0
    waiting = [(whole, 1)]
    while waiting:
        part, depth = waiting.pop()
        parts += 1
        values += len(part.values) if isinstance(part, OneOf) else 1
        if depth > MOST_DEPTH:
            raise FilterError(
                f"the filter is more than {MOST_DEPTH} deep", hint="nest less: a and b and c needs no parentheses"
            )
        if parts > MOST_PARTS or values > MOST_VALUES:
            raise FilterError(
                f"the filter has more than {MOST_PARTS} conditions or {MOST_VALUES:,} values", hint="ask in several filters"
            )
        waiting.extend((inner, depth + 1) for inner in part.parts)
