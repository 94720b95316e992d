from hypothesis import given
from hypothesis import strategies as st

from llmapp.frames import FramedSource
from llmapp.models.layout import furniture_of, has_head, rows_of

TABLE = [
    "The premium depends on the number of years without a claim and",
    "on nothing else.",
    "Class Years without a claim Liability",
    "SF 0 none 95 60 M",
    "SF 1 1 70 54 SF 0",
    "SF 3 3 56 47 SF 1",
    "Forgiveness can be bought from class SF 4 on. It saves one",
    "claim in each year.",
]


def test_rows_of_a_plain_table_are_told_from_wrapped_prose():
    assert rows_of(TABLE) == {2: 6}
    assert has_head(TABLE[2:6])
    assert not has_head(TABLE[3:6])


def test_a_wrapped_paragraph_and_an_address_are_no_table():
    assert rows_of(["Erlmark Mutual", "Scanning Centre", "P.O. Box 11 40", "34117 Kassel"]) == {}
    assert rows_of(["Every Claim of a Member", "Must be Reported to Us", "Within Seven Days of It."]) == {}


def test_what_pages_begin_and_end_with_is_furniture_and_so_is_a_title():
    pages = [
        FramedSource(1, "Motor", "", "Firm - Form M1\nGlass is covered.\nPage 1 of 2"),
        FramedSource(2, "Motor", "", "Firm - Form M1\nHail is covered.\nPage 2 of 2"),
        FramedSource(3, "Home Policy", "", "Home Policy 2025\nFire is covered."),
    ]
    assert furniture_of(pages) == {"Firm - Form M1", "Page 1 of 2", "Page 2 of 2", "Home Policy 2025"}


def test_a_sentence_or_the_only_line_of_two_sources_is_no_furniture():
    assert furniture_of([FramedSource(n, "T", "", "Phone 555-0134") for n in (1, 2)]) == frozenset()
    assert furniture_of([FramedSource(n, "T", "", f"All is well.\nLine {n}") for n in (1, 2)]) == frozenset()


@given(st.lists(st.text(alphabet=st.sampled_from(list("aB1 .:|-")), max_size=30), max_size=12))
def test_runs_of_rows_are_in_order_and_never_overlap(lines):
    last = 0
    for start, end in rows_of(lines).items():
        assert last <= start < end <= len(lines)
        last = end
