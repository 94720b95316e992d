"""Random filters and metadata that meet each other often."""

from datetime import UTC, date, datetime

from hypothesis import strategies as st

from llmapp.filters import And, Compare, Exists, Not, OneOf, Or
from llmapp.filters.tree import OPERATORS

FIELDS = ["year", "lang", "tags", "a.b", "a", "published", "odd `name\\", "not"]
TEXTS = [
    "de",
    "DE",
    "",
    "2023",
    "true",
    "2024-01-31",
    "2024-01-31T10:00:00+02:00",
    "x' OR 1=1 --",
    "%",
    "ü" * 150,
    "\0",
    'q"\\',
]
NUMBERS = [0, 1, -1, 2023, 2023.0, 2023.5, -0.0, 2**53, 2**53 + 1, 10**300, 0.1]
DAYS = [date(2024, 1, 31), date(2024, 2, 1), date(1, 1, 1), date(9999, 12, 31)]
INSTANTS = [
    datetime(2024, 1, 31, 8, tzinfo=UTC),
    datetime(2024, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2024, 2, 1),  # noqa: DTZ001 - it is meant to have no zone
]

fields = st.sampled_from(FIELDS)
times = st.sampled_from([*DAYS, *INSTANTS]) | st.dates() | st.datetimes()
numbers = st.sampled_from(NUMBERS) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.sampled_from(TEXTS) | st.text(max_size=5)
values = st.booleans() | numbers | texts | times

conditions = (
    st.builds(OneOf, fields, st.lists(values, max_size=3).map(tuple))
    | st.builds(Compare, fields, st.sampled_from(list(OPERATORS)), numbers | times)
    | st.builds(Exists, fields)
)
filters = st.recursive(
    conditions,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=6,
)

scalars = st.none() | st.booleans() | numbers | texts | times.map(lambda value: value.isoformat())
metadata = st.dictionaries(
    st.sampled_from([name for name in FIELDS if "." not in name]),
    scalars
    | st.lists(scalars, max_size=3)
    | st.dictionaries(st.sampled_from(["b", "c"]), scalars | st.lists(scalars, max_size=2)),
    max_size=5,
)
