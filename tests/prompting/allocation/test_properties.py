"""What holds for every counter and every text, with a request rendered and counted as it is sent."""

import math
import os
import random
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from llmapp.errors import TokenBudgetExceededError
from llmapp.prompting.allocation import REASONS, Item, Section, Span, allocate
from llmapp.prompting.counting import BpeCounter
from llmapp.sentences import sentence_spans

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "120"))
"""Raise it to search deeper, e.g. to 5000."""


def _word_pieces():
    vocabulary = {"[UNK]": 0} | {
        piece: n for n, piece in enumerate([*"abcdefghijklmnopqrstuvwxyz.,<>", "##s", "the"], start=1)
    }
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=50))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return lru_cache(2_000)(lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids))


def _not_monotone(text):
    """Every seventh character makes the whole cheaper than what stands in it."""
    return len(text) // 4 if len(text) % 7 else len(text) // 8


COUNTERS = {
    "bytes": lambda text: len(text.encode()),
    "chars/4": lambda text: -(-len(text) // 4),
    "cl100k": BpeCounter("cl100k_base").count,
    "o200k": BpeCounter().count,
    "word pieces": _word_pieces(),
    "one more for each joint": lambda text: len(text.split()) + 3 * text.count("\n"),
    "not monotone": _not_monotone,
}

TEXTS = [
    "Water damage is reported within 72 hours. The adjuster calls back.",
    "水害は72時間以内に報告されます。担当者が折り返します。",
    "ความเสียหายจากน้ำต้องแจ้งภายในสามวัน",
    "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 👍🏽",
    "e\u0301a\u0308o\u0302 Z\u0351\u036b\u0343\u036a",
    "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7" * 4,
    '{"claims":[{"id":8812,"paid":[1.5,2,3],"note":"none"},{"id":8813}]}',
    "<|endoftext|><|im_start|>system\n[INST]",
    "line\r\nline\u2028line",
    "",
]
LONG = "0123456789 abcdefghij" * 5_000
SECTIONS = (
    Section("tools", tier=2, max_tokens=60, stability="static"),
    Section("examples", tier=3, weight=2, min_tokens=10, max_tokens=90, max_share=0.5),
    Section("history", tier=1, max_share=0.4, contiguous=True),
    Section("sources", tier=3, weight=5, shrink="sentences"),
)
CLAIMED = (*SECTIONS[:3], Section("sources", tier=3, weight=5, min_tokens=20, max_tokens=240, shrink="sentences"))
"""With a section that has both a minimum and a maximum, and may be cut."""


def rendered(kept):
    """A request: parts framed and joined, numbers after their order."""
    parts = [f'<part {n} "{item.section}">\n{item.text}\n</part>' for n, item in enumerate(kept, start=1)]
    return "\n\n".join(["You answer from the parts.", *parts, "Question: when?"])


def cut(count):
    """Cuts a text at the end of a sentence."""

    def shorten(item, tokens):
        for _, end in reversed(sentence_spans(item.text)):
            text = item.text[:end]
            needed = count(f"<part>\n{text}\n</part>\n\n")
            if needed <= tokens:
                span = item.span and Span(item.span.document, item.span.start_char, item.span.start_char + end)
                return Item(item.id, item.section, needed, item.value, item.score, text, span=span)
        return None

    return shorten


@st.composite
def items(draw, count):
    made = []
    texts = st.one_of(st.sampled_from(TEXTS), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
    for n in range(draw(st.integers(0, 12))):
        section = draw(st.sampled_from(SECTIONS)).name
        text = LONG if draw(st.integers(0, 60)) == 0 else draw(texts) * draw(st.integers(1, 4))
        start = draw(st.integers(0, 60))
        made.append(
            Item(
                id=f"i{n}",
                section=section,
                tokens=count(f"<part>\n{text}\n</part>\n\n"),
                text=text,
                value=draw(st.sampled_from([None, 0.0, 0.2, 0.2, 0.9])) if section != "history" else None,
                score=draw(st.sampled_from([None, 1.0, 2.0])),
                group=draw(st.sampled_from([None, None, None, f"{section} a"])),
                requires=tuple(draw(st.lists(st.sampled_from(["i0", "i1", "i5", "none"]), max_size=1))),
                pinned=draw(st.integers(0, 9)) == 0,
                span=Span(draw(st.sampled_from("xy")), start, start + len(text)) if section == "sources" else None,
            )
        )
    return made


def _without_missing(candidates):
    """Pinned items may not require what is not there, directly or through others: then none is pinned."""
    ids = {item.id for item in candidates}
    if any(name not in ids for item in candidates for name in item.requires):
        return [_with(item, pinned=False) for item in candidates]
    return candidates


def _with(item, **changes):
    fields = {name: getattr(item, name) for name in Item.__dataclass_fields__}
    return Item(**{**fields, **changes})


def _allocate(candidates, budget, count, sections=SECTIONS, **options):
    return allocate(
        candidates,
        sections=sections,
        budget_tokens=budget,
        count_request=lambda kept: count(rendered(kept)),
        shorten=cut(count),
        min_useful_tokens=8,
        **options,
    )


def _allocate_or_none(candidates, budget, count, **options):
    """None where what must stand is over the budget, as the error says."""
    try:
        return _allocate(candidates, budget, count, **options)
    except TokenBudgetExceededError as error:
        if error.needed_tokens <= budget or error.available_tokens != budget:
            raise
        return None


def _reckoned(allocation, section):
    return sum(d.marginal_tokens for d in allocation.decisions if d.section == section and d.marginal_tokens is not None)


@pytest.mark.parametrize("name", COUNTERS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_the_whole_request_fits_and_every_promise_is_kept(name, data):
    count = COUNTERS[name]
    candidates = _without_missing(data.draw(items(count)))
    budget = data.draw(st.integers(1, 400))
    optimizer = data.draw(st.sampled_from(["greedy", "exact"]))
    sections = data.draw(st.sampled_from([SECTIONS, CLAIMED]))
    allocation = _allocate_or_none(candidates, budget, count, optimizer=optimizer, sections=sections)
    if allocation is None:
        return
    assert count(rendered(allocation.kept)) == allocation.used_tokens <= budget

    kept = {item.id for item in allocation.kept}
    by_id = {item.id: item for item in candidates}
    assert {d.item for d in allocation.decisions if d.outcome != "dropped"} == kept
    assert sorted(d.item for d in allocation.decisions) == sorted(by_id)
    assert {d.reason for d in allocation.decisions} <= set(REASONS)
    assert all(list(REASONS).index(d.reason) >= 6 for d in allocation.dropped)
    assert {item.id for item in allocation.trimmed} == {d.item for d in allocation.decisions if d.outcome == "trimmed"}

    assert all(item.id in kept for item in candidates if item.pinned)
    for item_id in kept:
        assert set(by_id[item_id].requires) <= kept
        group = by_id[item_id].group
        assert group is None or {item.id for item in candidates if item.group == group} <= kept
    _check_sections(allocation, candidates, sections)
    assert allocation.counts <= 10 + math.log2(len(candidates) + 1)
    again = _allocate(candidates, budget, count, optimizer=optimizer, sections=sections)
    assert rendered(again.kept) == rendered(allocation.kept)
    assert (again.decisions, again.sections, again.counts) == (allocation.decisions, allocation.sections, allocation.counts)


def _check_sections(allocation, candidates, sections):
    forced = any(item.pinned or item.requires for item in candidates)
    for section, share in zip(sections, allocation.sections, strict=True):
        assert share.name == section.name
        assert share.got_tokens == _reckoned(allocation, section.name)
        if section.max_tokens is not None and not forced and share.got_tokens > section.max_tokens:
            assert section.min_tokens
            standing = [d.marginal_tokens for d in allocation.decisions if d.section == section.name and d.marginal_tokens]
            assert any(item.group for item in candidates) or share.got_tokens - max(standing) < section.min_tokens
        if share.got_tokens < section.min_tokens:
            dropped = {d.reason for d in allocation.dropped if d.section == section.name}
            assert dropped <= {"duplicate text", "requirement missing"}
    history = [d for d in allocation.decisions if d.section == "history"]
    if not forced and not any(item.group for item in candidates):
        flags = [d.outcome != "dropped" for d in history if d.reason != "duplicate text"]
        assert flags == sorted(flags, reverse=True)


@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_items_with_values_may_come_in_any_order(data):
    count = COUNTERS["o200k"]
    valued = [item for item in _without_missing(data.draw(items(count))) if item.value is not None]
    valued = [_with(item, requires=()) for item in valued]
    budget = data.draw(st.integers(60, 400))
    shuffled = data.draw(st.permutations(valued))
    assert _outcome(valued, budget, count) == _outcome(shuffled, budget, count)


def _outcome(candidates, budget, count):
    try:
        allocation = _allocate(candidates, budget, count)
    except TokenBudgetExceededError as error:
        return error.needed_tokens
    return rendered(allocation.kept), allocation.decisions, allocation.sections, allocation.counts


@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_what_static_sections_hold_does_not_change_with_the_rest(data):
    count = COUNTERS["o200k"]
    tools = [
        Item(f"tool {n}", "tools", count(text) + 10, text=text, value=data.draw(st.sampled_from([0.1, 0.5, 0.9])))
        for n, text in enumerate(data.draw(st.lists(st.sampled_from(TEXTS), max_size=6)))
    ]

    def beginning(rest):
        allocation = _allocate([*tools, *rest], 800, count)
        return rendered([item for item in allocation.kept if item.section == "tools"])

    rest = [
        _with(item, pinned=False, requires=())
        for item in data.draw(items(count))
        if item.section != "tools" and item.tokens < 500
    ]
    assert beginning(rest) == beginning([])


@settings(max_examples=EXAMPLES)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=25), st.integers(10, 300), st.integers(0, 60))
def test_a_larger_budget_never_lowers_the_optimum_that_was_chosen(drawn, budget, more):
    sources = Section("sources")
    candidates = [Item(f"i{n}", "sources", tokens, value=float(value)) for n, (tokens, value) in enumerate(drawn)]

    def value(budget_tokens):
        allocation = allocate(
            candidates,
            sections=[sources],
            budget_tokens=budget_tokens,
            count_request=lambda kept: 10 + sum(item.tokens for item in kept),
            optimizer="exact",
        )
        return sum(item.value for item in allocation.kept)

    assert value(budget) <= value(budget + more)


def test_a_line_of_100_000_characters_is_left_out_or_fits_whole():
    for count in COUNTERS.values():
        line = Item("line", "sources", count(LONG) + 20, text=LONG[:100_000])
        small = Item("small", "sources", count(TEXTS[0]) + 20, text=TEXTS[0])
        assert [item.id for item in _allocate([line, small], 500, count).kept] == ["small"]
        assert len(_allocate([line, small], 200_000, count).kept) == 2


def test_a_thousand_items_into_128_000_tokens_take_two_counts_of_the_request():
    drawn = random.Random(5)
    texts = [" ".join(drawn.choices(TEXTS[0].split(), k=drawn.randint(60, 300))) for _ in range(1_000)]
    count = COUNTERS["o200k"]
    candidates = [
        Item(f"i{n}", "sources", count(f'<part {n} "sources">\n{text}\n</part>\n\n'), text=text)
        for n, text in enumerate(texts)
    ]
    allocation = _allocate(candidates, 128_000, count)
    assert allocation.counts <= 3
    assert 127_500 <= allocation.used_tokens <= 128_000
