"""A report is shown in full, whoever reads it, and no text of a document becomes markup."""

import json
import re
from html.parser import HTMLParser

import pytest

from llmapp.prompting.assembly import Assembler
from llmapp.prompting.counting import BpeCounter
from llmapp.prompting.views.bars import summary, waterfall
from llmapp.prompting.views.page import prompt_page
from llmapp.prompting.views.shape import message_shape, report_shape
from llmapp.types import Chunk, Decision, Hit, Message, PromptReport, SectionShare, ToolCall

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x00"
REPORT = PromptReport(
    budget_tokens=1_000,
    used_tokens=400,
    reserved_output_tokens=200,
    is_exact=True,
    counter="words",
    decisions=(
        Decision("rules@1", "system", "kept", 100, "pinned", placed_tokens=104),
        Decision("a", "sources", "kept", 200, "fits", 0.9, marginal_tokens=150),
        Decision("b", "sources", "merged", 90, "merged", 0.8, marginal_tokens=40),
        Decision("question", "question", "kept", 50, "pinned"),
        Decision("c", "sources", "dropped", 900, "over budget", 0.1),
    ),
    sections=(
        SectionShare("system", 0, 100, 100, 100, 100),
        SectionShare("history", 1, 0, 0, 250, 0),
        SectionShare("sources", 2, 1_190, 0, 850, 190),
    ),
    template="rules@1",
    static_prefix_tokens=100,
    reusable_prefix_tokens=160,
)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.attributes, self.rects = [], [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.attributes += attributes
        if tag == "rect":
            self.rects.append(dict(attributes))


def tags_of(html):
    parser = Tags()
    parser.feed(html)
    return parser


@pytest.fixture(scope="module")
def prompt():
    texts = ["Short.", HOSTILE, "word " * 5_000, "more " * 5_000]
    hits = [
        Hit(Chunk(f"c{n}", "s", "d", "u", HOSTILE, text, 0, len(text)), score=1 / (n + 1), rank=n + 1, retriever="fused")
        for n, text in enumerate(texts)
    ]
    return Assembler(BpeCounter(), budget_tokens=900, reserve_output_tokens=100).assemble(f"Why? {HOSTILE}", hits)


def test_bars_follow_each_other_and_what_was_left_out_begins_where_the_prompt_ends():
    bars = {bar.decision.item: bar for group in waterfall(REPORT) for bar in group.bars}
    assert [(bar.start_tokens, bar.tokens) for bar in bars.values()] == [
        (0, 104),
        (104, 150),
        (254, 40),
        (400, 900),
        (294, 50),
    ]
    assert bars["c"].decision.outcome == "dropped"


def test_sections_stand_in_the_order_of_the_prompt_with_their_claims_and_so_do_those_without_a_candidate():
    groups = waterfall(REPORT, {"a": "Handbook, page 3"})
    assert [(group.section, group.share is None) for group in groups] == [
        ("system", False), ("history", False), ("sources", False), ("question", True)
    ]  # fmt: skip
    assert [bar.label for bar in groups[2].bars] == ["Handbook, page 3", "b", "c"]


def test_the_shape_has_every_field_of_the_report(prompt):
    for report in (REPORT, prompt.report):
        shape = json.loads(json.dumps(report_shape(report)))
        assert set(shape) == set(PromptReport.__dataclass_fields__) | {"kept", "dropped"}
        assert [set(each) for each in shape["decisions"]] == [set(Decision.__dataclass_fields__)] * len(report.decisions)
        assert [set(each) for each in shape["sections"]] == [set(SectionShare.__dataclass_fields__)] * len(report.sections)
    assert report_shape(REPORT)["kept"] == 2


def test_a_message_has_what_it_has():
    assert message_shape(Message("user", "")) == {"role": "user", "content": ""}
    called = message_shape(Message("assistant", "", tool_calls=(ToolCall("1", "find", "{}"),)))
    assert json.loads(json.dumps(called["tool_calls"])) == [{"id": "1", "name": "find", "arguments": "{}"}]


def test_the_totals_stand_in_a_line():
    assert summary(REPORT) == (
        "400 of 1,000 tokens, counted by words · 600 free · 200 kept for the answer · "
        "the first 100 the same for every question, 160 for the next of the conversation · rules@1"
    )


def test_no_text_becomes_markup_and_nothing_is_loaded_from_outside(prompt):
    html = prompt_page(prompt, question=f"Why? {HOSTILE}", labels={"c0": HOSTILE})
    tags = tags_of(html)
    assert not {"script", "img", "link", "iframe", "object"} & set(tags.seen)
    assert not [name for name, _ in tags.attributes if name.startswith("on") or name in {"src", "href"}]
    assert "&lt;script&gt;alert(1)" in html
    assert "default-src 'none'" in html
    assert "prefers-color-scheme: dark" in html
    assert not re.search(r"https?://|@import|url\(", html)


def test_the_page_has_a_bar_for_every_part_within_its_frame_and_every_message(prompt):
    html = prompt_page(prompt, question="Why?")
    bars = tags_of(html).rects
    assert len(bars) == len(prompt.report.decisions)
    assert {bar["class"] for bar in bars} == {"static", "kept", "trimmed", "dropped"}
    assert all(float(bar["x"]) >= 0 and float(bar["x"]) + float(bar["width"]) <= 260.01 for bar in bars)
    assert tags_of(html).seen.count("details") == len(prompt.messages) + 1
    assert "over budget" in html
