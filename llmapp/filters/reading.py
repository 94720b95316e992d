"""Filters from what people and programs write: text, JSON as an object, or JSON as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

from pydantic import JsonValue

from llmapp.errors import FilterError
from llmapp.filters.json_form import from_json
from llmapp.filters.text_form import from_text
from llmapp.filters.tree import Filter

Where: TypeAlias = Filter | str | Mapping[str, JsonValue]
"""What may be given as a filter."""

MOST_CHARS = 20_000
"""A filter with a few hundred conditions."""


def parse_filter(where: Where) -> Filter:
    """Read a filter.

    Args:
        where: ``year >= 2023 and lang in ("de", "en")``, or ``{"year": {"$gte": 2023}, "lang": {"$in": ["de", "en"]}}`` as an
            object or as text, or a filter, which is returned as it is. The grammar stands in architecture/filters.md.

    Raises:
        FilterError: It is no filter, or too large; names the place.
    """
    if isinstance(where, Filter):
        return where
    if not isinstance(where, str):
        return from_json(where)
    if len(where) > MOST_CHARS:
        raise FilterError(
            f"the filter has {len(where):,} characters, it may have {MOST_CHARS:,}", hint="ask in several filters"
        )
    return from_json(_loaded(where)) if where.lstrip().startswith("{") else from_text(where)


def _loaded(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise FilterError(
            "the filter begins as JSON and is none", hint='JSON looks like {"year": {"$gte": 2023}}, text like year >= 2023'
        ) from error
    return value
