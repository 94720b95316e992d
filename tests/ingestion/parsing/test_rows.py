import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.errors import LimitExceededError
from llmapp.ingestion.parsing import rows as module

records = functools.partial(module.records, max_chars=1_000_000)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_row_carries_the_names_of_its_columns(delimiter):
    text = f"name{delimiter}phone\nClaims{delimiter}+49 1\nLegal{delimiter}+49 2\n"
    assert records(text) == "Row 1:\n  name: Claims\n  phone: +49 1\n\nRow 2:\n  name: Legal\n  phone: +49 2"


def test_quoted_cells_keep_their_delimiters_and_lose_their_line_breaks():
    assert records('name,note\n"Home","two\nlines"\n') == "Row 1:\n  name: Home\n  note: two lines"
    assert records('name,amount\n"Home, large","1,000"\n') == "Row 1:\n  name: Home, large\n  amount: 1,000"


def test_empty_cells_are_left_out_and_nameless_columns_are_numbered():
    assert records("a,,c\n1,2,\n") == "Row 1:\n  a: 1\n  column 2: 2"


def test_rows_longer_than_the_header_are_kept():
    assert records("a,b\n1,2,3\n") == "Row 1:\n  a: 1\n  b: 2\n  column 3: 3"


def test_a_single_line_stays_as_it_is():
    assert records("just,one,line\n") == "just,one,line"


@given(st.lists(st.lists(st.text(alphabet="ab ,;\"'\n|\t1é", max_size=6), min_size=1, max_size=4), max_size=6))
def test_any_text_is_read_or_refused(rows):
    text = "\n".join(",".join(row) for row in rows)
    assert "\0" not in records(text)


def test_a_long_name_in_many_rows_meets_the_limit_early():
    bomb = "n" * 900_000 + ",b\n" + "1,2\n" * 500_000
    with pytest.raises(LimitExceededError, match="more than 1,000,000 characters") as caught:
        records(bomb)
    assert "ingestion.max_chars" in caught.value.hint


def test_old_line_ends_part_rows_too():
    assert records("a,b\r1,2\r3,4") == "Row 1:\n  a: 1\n  b: 2\n\nRow 2:\n  a: 3\n  b: 4"


@pytest.mark.parametrize("text", ["", "\n\n", "a" * 100_000, '"' * 100_000, "\r" * 100_000])
def test_odd_tables_end(text):
    assert len(records(text)) <= len(text)
