import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.graphemes import safe_cut, tears

SIGNS = [
    "a", " ", "e\u0301", "👩‍👩‍👧", "👍🏽", "🇩🇪", "🏴\U000e0067\U000e0062\U000e007f", "\r\n", "นำ้", "เก", "ກໍາ", "क्षि", "한", "각",
    "각", "ｶﾞ", "\u0600", "漢", "\u200c", "\u200d", "\ufe0f", "\u0301",
]  # fmt: skip


@pytest.mark.parametrize(
    "sign", ["e\u0301", "👩‍👩‍👧‍👦", "👍🏽", "🇩🇪", "🏴\U000e0067\U000e0062\U000e007f", "\r\n", "กำ", "เก", "क्षि", "각", "ｶﾞ"]
)
def test_a_sign_is_not_torn(sign):
    assert all(tears(sign, cut) for cut in range(1, len(sign))), [unicodedata.name(each, "?") for each in sign]
    assert not tears(sign * 2, len(sign))


@given(st.lists(st.one_of(st.sampled_from(SIGNS), st.characters()), max_size=20).map("".join))
def test_no_grapheme_cluster_is_torn(text):
    clusters = pytest.importorskip("regex").compile(r"\X").finditer(text)
    borders = {0, *(cluster.end() for cluster in clusters)}
    torn = [cut for cut in range(len(text) + 1) if cut not in borders and not tears(text, cut)]
    assert not torn, [ascii(text[cut - 1 : cut + 1]) for cut in torn]


@given(st.text(max_size=30), st.integers(1, 30), st.integers(0, 29))
def test_a_cut_moves_to_the_left_and_stays_right_of_its_floor(text, position, floor):
    position = min(position, len(text))
    if floor < position:
        assert floor < safe_cut(text, position, floor=floor) <= position
