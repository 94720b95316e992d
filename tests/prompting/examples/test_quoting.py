"""Examples that hold words of a document."""

from hypothesis import given
from hypothesis import strategies as st

from llmapp.prompting.examples import Example, quoting

TEXT = "Each claim is paid out\nwithin thirty days, unless the adjuster objects. \u6bcf\u4e00\u9879\u7d22\u8d54\u5747\u5e94\u5728\u4e09\u5341\u5929\u5185\u652f\u4ed8\uff0c\u9664\u975e\u7406\u8d54\u5458\u63d0\u51fa\u53cd\u5bf9\u610f\u89c1\u5e76\u8bf4\u660e\u7406\u7531\u3002"


def test_a_quote_is_found_whatever_its_case_spaces_and_signs():
    examples = [
        Example("When?", "It is PAID OUT **within** thirty days [1]."),
        Example("When?", "After a month."),
        Example(
            "\u6bcf\u4e00\u9879\u7d22\u8d54\u5747\u5e94\u5728\u4e09\u5341\u5929\u5185\u652f\u4ed8 \u9664\u975e\u7406\u8d54\u5458\u63d0\u51fa\u53cd\u5bf9\u610f\u89c1?",
            "x",
        ),
    ]
    assert quoting(examples, TEXT) == [1, 3]
    assert quoting(examples, "") == quoting([], TEXT) == []


@given(st.text(alphabet="abcdefgh", min_size=60, max_size=200), st.data())
def test_every_stretch_of_24_letters_is_found_and_none_of_23_by_itself(text, data):
    start = data.draw(st.integers(0, len(text) - 24))
    stretch = text[start : start + 24]
    assert quoting([Example("Q", f"0 {stretch} 0")], text) == [1]
    assert quoting([Example("Q", stretch[:23])], text) == []
