"""What values mean, as bytes: each has a key, and a condition is a set of spans of keys.

Keys of one kind sort as their values do, and kinds do not mix, so a store needs no more than an index over field and key,
and any two stores agree. The first byte tells the kind:

    b   true or false
    n   a number: its double, made to sort by bytes, then what a double of a large integer leaves out
    s   a text, as UTF-8
    l   a long text, by its hash: texts are compared for equality only
    t   an instant, in microseconds since the beginning of year 1, UTC
    o   an object that holds a value somewhere: it exists, and compares with nothing

Text in the form of a time has two keys: it is text to ``=`` and a time to ``>=``. A day without a time is its first instant.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

from pydantic import JsonValue

from llmapp.filters.tree import And, Compare, Condition, Exists, Filter, Not, OneOf, Or
from llmapp.filters.values import Value, is_field, parse_time

Span: TypeAlias = tuple[bytes, bytes]
"""Keys from the first on and below the second."""
Fact: TypeAlias = tuple[str, bytes]
"""A field of a document and the key of a value that it has."""
Predicate: TypeAlias = Callable[[AbstractSet[Fact]], bool]
"""Whether a document with these facts satisfies a filter."""

KINDS = {"b": "boolean", "n": "number", "s": "text", "l": "text", "t": "time", "o": "object"}
"""What the first byte of a key tells."""
REVISION = 2
"""To be raised when keys change: what is stored is then made anew."""

_OBJECT = b"o"
_MOST_TEXT_BYTES = 200
"""A longer text is stored by its hash: an index over whole texts would grow as large as they are."""
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY_MICROSECONDS = timedelta(days=1) // _MICROSECOND


def facts(metadata: Mapping[str, JsonValue], only: AbstractSet[str] | None = None) -> Iterator[Fact]:
    """The fields of a document's metadata with the keys of their values; a pair may come twice.

    An object within gives fields ``outer.inner``, and ``outer`` exists where one of them has a value; a list gives all its
    elements. Null is no value, and what stands below a name that no filter can write has no field.

    Args:
        metadata: Names and values.
        only: Fields that are wanted; None is all. Making keys is what takes time.
    """
    waiting: list[tuple[str, JsonValue, tuple[str, ...]]] = [(name, value, ()) for name, value in metadata.items()]
    while waiting:
        field, value, outer = waiting.pop()
        if not is_field(field) or value is None:
            continue
        if isinstance(value, dict):
            waiting.extend((f"{field}.{name}", inner, (*outer, field)) for name, inner in value.items())
        elif isinstance(value, list):
            waiting.extend((field, inner, outer) for inner in value)
        else:
            yield from ((name, _OBJECT) for name in outer if only is None or name in only)
            if only is None or field in only:
                yield from ((field, key) for key in keys(value))


def keys(value: Value) -> tuple[bytes, ...]:
    """The keys of a value that a document has."""
    if not isinstance(value, str):
        return (_span(value)[0],)
    time = parse_time(value)
    return (_text(value),) if time is None else (_text(value), _span(time)[0])


def spans(condition: Condition) -> Sequence[Span] | None:
    """The keys that satisfy a condition, one of which a document must have; None is any key of the field."""
    match condition:
        case OneOf():
            return [_span(value) for value in condition.values]
        case Compare():
            low, high = _span(condition.value)
            kind = low[:1]
            first, last = kind, bytes([kind[0] + 1])
            bounds = {"<": (first, low), "<=": (first, high), ">": (high, last), ">=": (low, last)}
            return [bounds[condition.operator]]
        case Exists():
            return None
    raise TypeError(f"{type(condition).__name__} is no condition")


def predicate(where: Filter) -> Predicate:
    """A filter made ready for many documents: what it compares with is worked out once."""
    if isinstance(where, Condition):
        return _predicate_of_condition(where)
    parts = [predicate(part) for part in where.parts]
    match where:
        case And():
            return lambda known: all(part(known) for part in parts)
        case Or():
            return lambda known: any(part(known) for part in parts)
        case Not():
            return lambda known: not parts[0](known)
    raise TypeError(f"{type(where).__name__} is no filter")


def _predicate_of_condition(condition: Condition) -> Predicate:
    field, wanted = condition.field, spans(condition)
    if wanted is None:
        return lambda known: any(name == field for name, _ in known)
    single = frozenset((field, span[0]) for span in wanted if is_single(span))
    others = [span for span in wanted if not is_single(span)]
    if not others:
        return lambda known: not single.isdisjoint(known)
    return lambda known: (
        not single.isdisjoint(known)
        or any(low <= key < high for name, key in known if name == field for low, high in others)
    )


def is_single(span: Span) -> bool:
    """Whether a span holds one key, its first."""
    return span[1] == span[0] + b"\0"


def _span(value: Value) -> Span:
    """The keys of a value that a filter names: one, or for a day all its instants."""
    if isinstance(value, date) and not isinstance(value, datetime):
        start = (value.toordinal() - 1) * _DAY_MICROSECONDS
        return _instant(start), _instant(start + _DAY_MICROSECONDS)
    key = _key(value)
    return key, key + b"\0"


def _key(value: Value) -> bytes:
    if isinstance(value, bool):
        return b"b\1" if value else b"b\0"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, date):
        assert isinstance(value, datetime)  # noqa: S101 - days are spans
        return _instant((value - _BEGINNING) // _MICROSECOND)
    return _number(value)


def _instant(microseconds: int) -> bytes:
    return b"t" + microseconds.to_bytes(8, "big")


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return b"s" + data if len(data) <= _MOST_TEXT_BYTES else b"l" + hashlib.blake2b(data, digest_size=32).digest()


def _number(value: float) -> bytes:
    """Doubles sort by their bits once the sign is turned; integers beyond 2**53 share one and are told apart by the rest."""
    try:
        double = float(value) + 0.0  # -0.0 is 0
    except OverflowError:
        double = math.inf if value > 0 else -math.inf
    (bits,) = struct.unpack(">Q", struct.pack(">d", double))
    ordered = bits ^ (0xFFFF_FFFF_FFFF_FFFF if bits >> 63 else 1 << 63)
    return b"n" + struct.pack(">Q", ordered) + _rest(value, double)


def _rest(value: float, double: float) -> bytes:
    rest = int(value) - int(double) if isinstance(value, int) and math.isfinite(double) else 0
    if not rest:
        return b"\1"
    size = 128  # a double is at most 2**970 off: one of 1024 bits keeps 53 of them
    return (b"\2" if rest > 0 else b"\0") + (rest % (1 << 8 * size)).to_bytes(size, "big")
