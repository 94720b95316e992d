"""The language of metadata filters: read from text or JSON, written back as either. Pure: knows values, and no store.

A filter is a tree (`llmapp.filters.tree`) of comparisons of one field each, joined by and, or, not. The meaning of a
comparison stands in one place, `llmapp.filters.keys`: every value has a key, and a comparison is a set of spans of keys.
Whoever stores the keys of documents in order can answer any filter. Fails with `llmapp.errors.FilterError`.
"""

from llmapp.filters.reading import Where, parse_filter
from llmapp.filters.tree import And, Compare, Exists, Filter, Not, OneOf, Or

__all__ = ["And", "Compare", "Exists", "Filter", "Not", "OneOf", "Or", "Where", "parse_filter"]
