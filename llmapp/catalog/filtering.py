"""Which documents satisfy a filter, and which fields there are.

A filter becomes one statement over the table of facts, in which every value is a parameter. Row numbers alone are no
answer: whoever shows a chunk goes through `readable_rows` and `chunks`. A field that stands only in documents that the
principal may not read does not exist for it.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from llmapp.catalog.database import Database
from llmapp.catalog.records import FieldRecord
from llmapp.errors import UnknownFieldError
from llmapp.filters.keys import KINDS, is_single, spans
from llmapp.filters.tree import And, Condition, Filter, Not
from llmapp.types import Principal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_READABLE = "document IN (SELECT g.document FROM grants g WHERE g.name IN (SELECT value FROM json_each(:grants)))"
_NAMES = """
    WITH RECURSIVE names (name) AS (
        SELECT min(field) FROM facts
        UNION ALL SELECT (SELECT min(field) FROM facts WHERE field > names.name) FROM names WHERE names.name IS NOT NULL)
    SELECT name FROM names WHERE name IS NOT NULL LIMIT :most
"""
"""The names of fields, by one look into the index for each: DISTINCT would read all facts."""
_MOST_CACHED_BYTES = 16 * 2**20
"""For filters that come again, and what they match."""
_BYTES_A_CHAR = 16
"""Of a filter as it is written, for the tree of it."""
_MOST_NAMES = 500
_MOST_ALIKE = 5
"""Fields that are looked at for a hint, and those of them that the asker may have meant."""


class Filtering:
    """The part of the catalog that answers filters."""

    def __init__(self, database: Database, generation: Callable[[], int]) -> None:
        """Use the catalog's database; `generation` gives a number that grows with every committed change of documents."""
        self._db = database
        self._generation = generation
        self._filter_lock = threading.Lock()
        self._matching: OrderedDict[Filter, NDArray[np.int64]] = OrderedDict()
        self._matching_bytes = 0
        self._known_fields: set[tuple[frozenset[str], str]] = set()
        self._filtered_at = -1

    def matching_documents(self, where: Filter) -> NDArray[np.int64]:
        """Row numbers of the documents that satisfy `where`, ascending, kept until the next generation. Shape (n,)."""
        import numpy as np

        generation = self._follow()
        with self._filter_lock:
            if (kept := self._matching.get(where)) is not None:
                self._matching.move_to_end(where)
                return kept
        params: dict[str, object] = {}
        found = self._db.read(_statement(where, params), params)
        matching = np.fromiter((row[0] for row in found), dtype=np.int64, count=len(found))
        with self._filter_lock:
            if self._filtered_at == generation and where not in self._matching:
                self._keep(where, matching)
        return matching

    def _keep(self, where: Filter, matching: NDArray[np.int64]) -> None:
        self._matching[where] = matching
        self._matching_bytes += matching.nbytes + size_of(where)
        while self._matching_bytes > _MOST_CACHED_BYTES:
            former, numbers = self._matching.popitem(last=False)
            self._matching_bytes -= numbers.nbytes + size_of(former)

    def check_fields(self, where: Filter, principal: Principal) -> None:
        """See that the fields that a filter compares are those of documents that `principal` may read; where it may read none, all are.

        Raises:
            UnknownFieldError: None of these documents has one of the fields.
        """
        missing = next((field for field in sorted(where.compared_fields) if not self._is_visible(field, principal)), None)
        if missing is not None and self._is_visible("source", principal):
            names = [row[0] for row in self._db.read(_NAMES, {"most": _MOST_NAMES})]
            written = {name.casefold(): name for name in reversed(names)}
            alike = [written[one] for one in get_close_matches(missing.casefold(), written, _MOST_ALIKE)]
            nearest = next((name for name in alike if self._is_visible(name, principal)), None)
            raise UnknownFieldError(missing, nearest=nearest)

    def fields(self, principal: Principal) -> list[FieldRecord]:
        """The fields of the documents that `principal` may read, by name, with the kinds of their values."""
        found = self._db.read(
            f"""
            SELECT field, kind, count(DISTINCT document) FROM (
                SELECT field, CASE WHEN substr(value, 1, 1) = :long THEN :text ELSE substr(value, 1, 1) END AS kind, document
                FROM facts WHERE {_READABLE}) f
            GROUP BY field, kind ORDER BY field, kind
            """,  # noqa: S608 - a constant
            {**grants_of(principal), "long": b"l", "text": b"s"},
        )
        kinds: dict[str, dict[str, int]] = defaultdict(dict)
        for field, kind, documents in map(tuple, found):
            kinds[field][KINDS[bytes(kind).decode()]] = documents
        return [FieldRecord(field, counts) for field, counts in kinds.items()]

    def _is_visible(self, field: str, principal: Principal) -> bool:
        generation, place = self._follow(), (principal.grants, field)
        with self._filter_lock:
            if place in self._known_fields:
                return True
        found = self._db.read(
            f"SELECT EXISTS (SELECT 1 FROM facts WHERE field = :field AND {_READABLE})",  # noqa: S608 - a constant
            {"field": field, **grants_of(principal)},
        )
        is_visible = bool(found[0][0])
        with self._filter_lock:
            if is_visible and self._filtered_at == generation:  # of names that somebody makes up there is no end
                self._known_fields.add(place)
        return is_visible

    def _follow(self) -> int:
        """Let go of what an earlier generation has said."""
        generation = self._generation()
        with self._filter_lock:
            if self._filtered_at != generation:
                self._matching.clear()
                self._matching_bytes = 0
                self._known_fields.clear()
                self._filtered_at = generation
        return generation


def _statement(where: Filter, params: dict[str, object]) -> str:
    """The rows of the documents that satisfy a filter; one condition alone needs no look at the documents."""
    if isinstance(where, Condition):
        return f"SELECT DISTINCT document FROM facts WHERE {_fact(where, params)} ORDER BY document"  # noqa: S608 - parameters
    return f"SELECT d.id FROM documents d WHERE {_sql(where, params)} ORDER BY d.id"  # noqa: S608 - values are parameters


def _sql(where: Filter, params: dict[str, object]) -> str:
    """A filter as a condition on ``documents d``; its values are added to `params`."""
    if isinstance(where, Condition):
        return f"d.id IN (SELECT document FROM facts WHERE {_fact(where, params)})"  # noqa: S608 - values are parameters
    parts = [_sql(part, params) for part in where.parts]
    if isinstance(where, Not):
        return f"NOT {parts[0]}"
    return f"({(' AND ' if isinstance(where, And) else ' OR ').join(parts)})"


def _fact(condition: Condition, params: dict[str, object]) -> str:
    """A condition as one on a row of facts."""

    def named(value: object) -> str:
        params[name := f"p{len(params)}"] = value
        return f":{name}"

    field, wanted = f"field = {named(condition.field)}", spans(condition)
    if wanted is None:
        return field
    single = ", ".join(named(span[0]) for span in wanted if is_single(span))
    tests = [f"value >= {named(low)} AND value < {named(high)}" for low, high in wanted if not is_single((low, high))]
    tests += [f"value IN ({single})"] if single else []
    return f"{field} AND {_any_of(tests)}"


def _any_of(tests: Sequence[str]) -> str:
    """Tests joined by OR as a tree that is no deeper than it must be: SQLite takes a depth of a thousand."""
    if len(tests) > 1:
        half = len(tests) // 2
        return f"({_any_of(tests[:half])} OR {_any_of(tests[half:])})"
    return f"({tests[0]})" if tests else "1 = 0"


def size_of(where: Filter | None) -> int:
    """About the bytes of memory that a filter takes."""
    return _BYTES_A_CHAR * len(str(where)) if where is not None else 0


def grants_of(principal: Principal) -> dict[str, object]:
    """Who asks, as the parameter ``grants`` of a statement; a name that no database takes is on no access list."""
    names = sorted(name for name in principal.grants if "\0" not in name and _is_unicode(name))
    return {"grants": json.dumps(names)}


def _is_unicode(text: str) -> bool:
    return text == text.encode("utf-8", "ignore").decode()
