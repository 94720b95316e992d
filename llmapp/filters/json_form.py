"""The JSON form of filters: that of MongoDB, which Chroma and LangChain have taken over.

``{"field": value}``, ``{"field": {"$gte": 1, "$lt": 5}}``, ``{"$and": […]}``, ``{"$or": […]}``, ``{"$not": {…}}``. Several
fields of an object, and several operators of a field, are joined by and.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches

from llmapp.errors import FilterError
from llmapp.filters.tree import MOST_DEPTH, OPERATORS, And, Compare, Exists, Filter, Not, OneOf, Or
from llmapp.filters.values import Value, checked, checked_field, parse_time

_ALIKE = 0.75
"""How much of an operator must be right for another to be meant: ``$exists`` is meant by ``$exist``, nothing by ``$regex``."""
_COMPARE = {json_name: operator for operator, json_name in OPERATORS.items()}


def from_json(value: object, depth: int = 1) -> Filter:
    """Read the JSON form.

    Args:
        value: An object, as `json.loads` gives it.
        depth: How deep it stands in the whole filter, from 1.

    Raises:
        FilterError: It is no filter.
    """
    if depth > MOST_DEPTH:
        raise FilterError(f"the filter is more than {MOST_DEPTH} deep", hint="nest less: several fields may share an object")
    if not isinstance(value, Mapping) or not value:
        raise FilterError(
            "a filter is an object that names fields", hint='such as {"year": {"$gte": 2023}}; or leave it out'
        )
    return _all([_entry(name, inner, depth) for name, inner in value.items()])


def _entry(name: object, value: object, depth: int) -> Filter:
    if name in {"$and", "$or"}:
        if not isinstance(value, list | tuple) or not value:
            raise FilterError(
                f"{name} takes a list of filters", hint=f'such as {{"{name}": [{{"lang": "de"}}, {{"year": 2023}}]}}'
            )
        parts = tuple(from_json(part, depth + 1) for part in value)
        return And(parts) if name == "$and" else Or(parts)
    if name == "$not":
        return Not(from_json(value, depth + 1))
    if isinstance(name, str) and name.startswith("$"):
        raise _unknown(name, ["$and", "$or", "$not"])
    return _field(checked_field(name), value, depth)


def _field(field: str, value: object, depth: int) -> Filter:
    if depth > MOST_DEPTH:
        raise FilterError(f"the filter is more than {MOST_DEPTH} deep", hint="nest less")
    if isinstance(value, Mapping) and "$date" not in value:
        if not value:
            raise FilterError(f"{field}: no operator is given", hint='such as {"$gte": 2023}')
        return _all([_operation(field, operator, operand, depth) for operator, operand in value.items()])
    return _equals(field, value)


def _operation(field: str, operator: object, operand: object, depth: int) -> Filter:
    if operator in _COMPARE and isinstance(operator, str):
        return Compare(field, _COMPARE[operator], _value(field, operand))  # type: ignore[arg-type]  # it checks
    if operator == "$not":
        return Not(_field(field, operand, depth + 1))
    if isinstance(operator, str) and operator in _OPERATIONS:
        return _OPERATIONS[operator](field, operand)
    raise _unknown(str(operator), [*_COMPARE, *_OPERATIONS, "$not"])


def _equals(field: str, value: object) -> Filter:
    return Not(Exists(field)) if value is None else OneOf(field, (_value(field, value),))


def _differs(field: str, value: object) -> Filter:
    return Exists(field) if value is None else And((Exists(field), Not(_equals(field, value))))


def _in(field: str, values: object) -> Filter:
    if not isinstance(values, list | tuple):
        raise FilterError(f"{field}: $in and $nin take a list", hint='such as {"$in": ["de", "en"]}')
    return OneOf(field, tuple(_value(field, value) for value in values))


def _not_in(field: str, values: object) -> Filter:
    return And((Exists(field), Not(_in(field, values))))


def _exists(field: str, wanted: object) -> Filter:
    if not isinstance(wanted, bool):
        raise FilterError(f"{field}: $exists takes true or false", hint='such as {"$exists": true}')
    return Exists(field) if wanted else Not(Exists(field))


def _value(field: str, value: object) -> Value:
    if isinstance(value, Mapping):
        text = value.get("$date")
        time = parse_time(text) if isinstance(text, str) and len(value) == 1 else None
        if time is None and isinstance(text, str) and len(value) == 1:
            raise FilterError(
                f"{field}: $date holds no date or time", hint='such as {"$date": "2024-01-31"}; there must be such a day'
            )
        if time is None:
            raise FilterError(f"{field}: an object stands where a value is needed", hint='a date is {"$date": "2024-01-31"}')
        return time
    if isinstance(value, list | tuple):
        raise FilterError(f"{field}: a list stands where a value is needed", hint='use {"$in": […]}')
    return checked(value)


def _all(parts: list[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _unknown(operator: str, known: list[str]) -> FilterError:
    near = get_close_matches(operator, known, 1, cutoff=_ALIKE)
    return FilterError(
        "the filter has an operator that there is not",
        hint=f"did you mean {near[0]}?" if near else f"operators are {', '.join(sorted(known))}",
    )


_OPERATIONS: dict[str, Callable[[str, object], Filter]] = {
    "$eq": _equals,
    "$ne": _differs,
    "$in": _in,
    "$nin": _not_in,
    "$exists": _exists,
    "$contains": _equals,
    "$not_contains": _differs,
}
"""Chroma asks lists by ``$contains``; here every comparison does, so it is one with ``$eq``."""
