import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.prompting.evidence import cut_places, shortened
from llmapp.sentences import unit_spans

FENCE = "Run this.\n\n```python\nprint('One. Two.')\n\n# Three. Four.\n```\n\nThen stop. It is done."
TABLE = "Prices. They hold for a year.\n\n| Item | Price |\n| --- | --- |\n| Glass. Thin | 3. |\n| Storm | 4 |\n\nEnd of it."
TOOL = 'The tool said: {"text": "One. Two.", "list": [1, 2]} and ended. Then more came.'


def beginnings(text):
    return [text[:place] for place in cut_places(text)]


def test_a_text_is_cut_where_sentences_end():
    assert beginnings("One is here. Two is there. Three") == [
        "One is here.", "One is here. Two is there.", "One is here. Two is there. Three",
    ]  # fmt: skip


def test_an_abbreviation_ends_no_sentence():
    assert beginnings("Ask Dr. Miller. He knows.") == ["Ask Dr. Miller.", "Ask Dr. Miller. He knows."]


def test_chinese_sentences_end_with_their_own_sign():
    assert beginnings("水害は報告。次は火災。")[0] == "水害は報告。"


@pytest.mark.parametrize("fence", ["```", "~~~~"])
def test_a_code_fence_is_not_cut(fence):
    text = FENCE.replace("```", fence)
    inside = range(text.index(fence) + 1, text.rindex(fence) + len(fence))
    assert not set(inside) & set(cut_places(text))
    assert text.rindex(fence) + len(fence) in cut_places(text)


def test_a_fence_that_is_never_closed_is_not_cut():
    assert beginnings("Before it. Run:\n\n```\na. B.\n\nc. D. ") == [
        "Before it.", "Before it. Run:", "Before it. Run:\n\n```\na. B.\n\nc. D.",
    ]  # fmt: skip


def test_a_table_is_cut_between_its_rows_only_and_never_behind_its_head():
    found = beginnings(TABLE)
    assert not any(each.endswith(("Glass.", "Price |")) for each in found)
    assert [each for each in found if each.endswith("|")] == [
        TABLE[: TABLE.index("\n| Glass")], TABLE[: TABLE.index("\n| Storm")], TABLE[: TABLE.index("\n\nEnd")],
    ]  # fmt: skip


def test_json_is_not_cut_within_a_line_or_over_several():
    assert not any('"text"' in each and not each.endswith(("ended.", "came.", "]}")) for each in beginnings(TOOL))
    pretty = json.dumps({"a": ["One. Two.", "Three. Four."], "b": {"c": "Five. Six."}}, indent=2)
    assert [each for each in beginnings(f"See. {pretty}\n\nIt ends.") if "{" in each] == [
        f"See. {pretty}", f"See. {pretty}\n\nIt ends.",
    ]  # fmt: skip


def test_json_that_is_cut_already_is_not_cut_again():
    broken = '{"a": "One. Two.",\n "b": "Three. Four'
    assert beginnings(f"See.\n\n{broken}\n\nIt ends.") == ["See.", f"See.\n\n{broken}", f"See.\n\n{broken}\n\nIt ends."]


def test_a_footnote_is_no_json():
    assert "[note] One." in beginnings("[note] One. Two.")


@pytest.mark.parametrize("text", ["", " ", "aGVsbG8gd29ybGQ" * 100, "ไม่มีเครื่องหมายจบประโยค" * 50, '{"a": 1}'])
def test_a_text_without_a_place_is_not_shortened(text):
    assert shortened(text, fits=lambda part: len(part) < len(text)) is None


def test_the_longest_beginning_that_fits_is_taken():
    text = "One is here. Two is there. Three is far. Four is near."
    assert shortened(text, fits=lambda part: len(part) <= 30) == "One is here. Two is there."
    assert shortened(text, fits=lambda part: len(part) <= 1000) == "One is here. Two is there. Three is far."
    assert shortened(text, fits=lambda part: False) is None


@given(st.text(alphabet='aA. \n|-{}[]"`~。e\u0301\u200d,:1', max_size=300), st.integers(0, 300))
def test_what_is_left_is_a_beginning_that_fits_and_ends_at_a_place(text, most):
    part = shortened(text, fits=lambda part: len(part) <= most)
    places = cut_places(text)
    assert places == sorted(set(places))
    if part is not None:
        assert text.startswith(part)
        assert len(part) <= most
        assert len(part) in places
        assert part.strip()


def test_a_plain_text_may_be_cut_behind_every_unit():
    text = "- First item. It goes on.\n- Second item.\n\nA paragraph. Its end."
    assert cut_places(text) == [end for _, end in unit_spans(text)]


@pytest.mark.parametrize(
    "line", ["{", "[", "| ", "`" * 3 + "\n", "|-", '{"a":1,\n', '["a",\n', "a. B", "\n \n", "- ", "|\n"], ids=repr
)
def test_a_hundred_thousand_characters_of_anything_take_no_time(line):
    started = time.perf_counter()
    cut_places((line * 100_000)[:100_000])
    assert time.perf_counter() - started < 2
