import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.graphemes import tears
from llmapp.prompting.counting import BpeCounter
from llmapp.prompting.evidence import cut_places, shortened
from llmapp.prompting.evidence.cutting import OPEN
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


@pytest.mark.parametrize(
    "text",
    ["", " ", "aGVsbG8gd29ybGQ" * 100, ("aGVsbG8gd29ybGQ" * 5 + "\n") * 20 + "aGVsbG8=", '{"a": 1}', "https://example.com/" * 9,
     "👩‍👩‍👧" * 40, "一百二十三亿四千五百六十七万", "インターネットプロトコル", "claim_number_of_the_policy_holder"],
)  # fmt: skip
def test_what_breaks_is_not_shortened(text):
    assert shortened(text, size=len, most=len(text) - 1) is None


def cut(text, most):
    found = shortened(text, size=len, most=most)
    return found and found.shown


def test_the_longest_beginning_that_fits_is_taken():
    text = "One is here. Two is there. Three is far. Four is near."
    assert cut(text, 30) == "One is here. Two is there."
    assert cut(text, 45) == "One is here. Two is there. Three is far."
    assert cut(text, 0) is None


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("One is. Then a sentence that has no end within the room", 20, "One is. Then a […]"),
        ("One is here. Then a sentence that has no end", 22, "One is here."),
        ("10:01 start of it\n10:02 it goes on\n10:03 end", 39, "10:01 start of it\n10:02 it goes on […]"),
        ("It costs 1 000 000 euros a year", 24, "It costs 1 000 000 […]"),
        ("It costs 1 000 000 euros a year", 20, "It costs […]"),
        ("Look at https://example.com/a/b/c now and", 36, "Look at […]"),
        ("Run `make all the tests` and go on", 24, "Run […]"),
        ("水害は七十二時間以内に報告するそしてインターネットで見る", 24, "水害は七十二時間以内に報告するそして […]"),
        ("甲、乙丙丁戊己庚辛壬癸", 8, "甲、乙丙 […]"),
        ("ต้องแจ้งน้ำท่วมภายในสามวัน", 14, "ต้องแจ้ง […]"),
        ("ก็นำ้เกา", 8, "ก็ […]"),
        ("See | a b c\n\n| a | b |\n|---|---|\n| 1 1 1 1 | 2 |\n", 40, "See | a b c\n\n| a | b |\n|---|---|"),
    ],
)
def test_where_no_sentence_end_takes_half_of_the_room_the_next_best_border_counts_and_is_marked(text, most, expected):
    assert cut(text, most) == expected


SIZES = {
    "characters": len,
    "bytes": lambda text: len(text.encode()),
    "o200k": BpeCounter().count,
    "not monotone": lambda text: len(text) // 4 if len(text) % 7 else len(text) // 8,
}
WHOLE = [
    "| a b | c |",
    "`a b`",
    '{"a": "b c. D"}',
    "aGVsbG8gd29ybGQ" * 4,
    "```\na. B\n\nc d\n```",
    "https://example.com/a?b=c",
    "1 000 000",
]
FREE = st.one_of(
    st.sampled_from(
        ["Water is out. It is gone.", "no end of it", "水害は報告。次は火災", "ความเสียหายจากน้ำ", "👩‍👩‍👧🇩🇪🇫🇷", "e\u0301a\u0308", "\n",
         "a\r\nb", "<|endoftext|>", "कर्म क्षि। वह", "- item\n- item", "각", "「終。」。", "*a* _b_"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="`|{[<~0123456789"), max_size=8),
)  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
@given(blocks=st.lists(st.one_of(st.sampled_from(WHOLE), FREE), max_size=12), most=st.integers(0, 80))
def test_what_is_left_is_a_beginning_that_fits_and_tears_nothing(name, blocks, most):
    text = "\n\n".join(blocks)
    found = shortened(text, size=SIZES[name], most=most)
    if found is None:
        return
    end = len(found.text)
    assert text.startswith(found.text)
    assert 0 < len(found.text.strip()) <= end < len(text.rstrip())
    assert SIZES[name](found.shown) <= most
    assert found.shown == found.text + OPEN * found.is_within
    assert found.is_within or end in cut_places(text)
    assert not found.text[-1].isspace()
    assert not tears(text, end)
    start = 0
    for block in blocks:
        assert block not in WHOLE or not start < end < start + len(block), block
        start += len(block) + 2


def test_a_plain_text_may_be_cut_behind_every_unit():
    text = "- First item. It goes on.\n- Second item.\n\nA paragraph. Its end."
    assert cut_places(text) == [end for _, end in unit_spans(text)]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[",
        "| ",
        "`" * 3 + "\n",
        "|-",
        '{"a":1,\n',
        '["a",\n',
        "a. B",
        "\n \n",
        "- ",
        "|\n",
        "ก",
        "字、",
        "a" * 41 + "\n",
        "a ",
        "`",
        "<",
        "1 ",
    ],
    ids=repr,
)
def test_a_hundred_thousand_characters_of_anything_take_no_time(line):
    started = time.process_time()
    shortened((line * 100_000)[:100_000], size=len, most=1_000)
    assert time.process_time() - started < 2
