from hypothesis import given
from hypothesis import strategies as st

from llmapp.prompting.counting import well_formed
from llmapp.prompting.counting.text import utf8_bytes

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)


@given(ANY_TEXT)
def test_making_text_well_formed_keeps_every_offset(text):
    clean = well_formed(text)
    assert len(clean) == len(text)
    assert clean.encode().decode() == clean
    assert all(a == b or "\ud800" <= a <= "\udfff" for a, b in zip(text, clean, strict=True))


@given(ANY_TEXT)
def test_bytes_are_those_of_the_text_as_it_is_sent(text):
    assert utf8_bytes(text) == len(well_formed(text).encode())
