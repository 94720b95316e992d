from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from llmapp.prompting.allocation.coverage import JOINT_CHARS, Coverage
from llmapp.prompting.allocation.parts import Item, Span

SPANS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 80), st.integers(1, 30)).map(
        lambda drawn: Span(drawn[0], drawn[1], drawn[1] + drawn[2])
    ),
    max_size=12,
)


def _item(span, frame_tokens=10):
    """A token a character, and the frame."""
    return Item("i", "sources", span.end_char - span.start_char + frame_tokens, span=span, frame_tokens=frame_tokens)


@given(SPANS)
def test_each_character_is_charged_once_and_each_passage_has_one_frame_at_least(spans):
    coverage, held, tokens = Coverage(), set(), 0
    for span in spans:
        characters = {(span.document, place) for place in range(span.start_char, span.end_char)}
        charged, joins = coverage.charge(_item(span))
        near = range(span.start_char - JOINT_CHARS - 1, span.end_char + JOINT_CHARS + 1)
        assert joins == any((span.document, place) in held for place in near)
        assert charged <= len(characters - held) + (1 if joins else 10)  # a line end, or the frame
        coverage.add(_item(span))
        held |= characters
        tokens += charged
    # The white space between two passages that became one is not charged again.
    assert tokens >= len(held) - JOINT_CHARS * len(spans)


def test_an_item_over_a_gap_that_is_shown_within_a_passage_is_charged_without_a_frame():
    coverage = Coverage()
    coverage.add(_item(Span("a", 0, 100)))
    far = Item("i", "sources", 60, span=Span("a", 150, 200), frame_tokens=10, near_chars=50)
    assert coverage.charge(far) == (51, True)
    assert coverage.charge(replace(far, near_chars=49)) == (60, False)
    coverage.add(far)
    between = _item(Span("a", 110, 140))
    assert coverage.charge(between) == (40, False)  # the gap is not covered: its words are new


def test_an_item_without_a_span_is_charged_whole_and_covers_nothing():
    coverage = Coverage()
    plain = Item("i", "sources", 7)
    coverage.add(plain)
    assert coverage.charge(plain) == (7, False)


def test_a_copy_goes_its_own_way():
    coverage = Coverage()
    copied = coverage.copy()
    copied.add(_item(Span("a", 0, 10)))
    assert coverage.charge(_item(Span("a", 0, 10))) == (20, False)
    assert copied.charge(_item(Span("a", 0, 10))) == (0, True)
