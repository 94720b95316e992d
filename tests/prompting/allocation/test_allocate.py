import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.errors import PromptError, TokenBudgetExceededError
from llmapp.prompting.allocation import REASONS, Item, Section, Span, allocate

FIRST = Section("first", tier=1, max_share=0.5, contiguous=True)
SECOND = Section("second", tier=2)
FLOOR_TOKENS = 10


def _items(*tokens, section=SECOND, texts=None, values=None):
    texts, values = texts or [None] * len(tokens), values or [None] * len(tokens)
    return [
        Item(f"{section.name}{n}", section.name, size, text=text, value=value)
        for n, (size, text, value) in enumerate(zip(tokens, texts, values, strict=True))
    ]


def _sum(kept):
    return FLOOR_TOKENS + sum(item.tokens for item in kept)


def _allocate(items, budget, count=_sum, sections=(FIRST, SECOND), **options):
    fixed = {"system": 6, "question": 4}
    return allocate(items, sections=sections, budget_tokens=budget, fixed=fixed, count_request=count, **options)


def _ids(allocation):
    return [item.id for item in allocation.kept]


def _reasons(allocation):
    return {decision.item: decision.reason for decision in allocation.decisions}


def test_what_does_not_fit_is_skipped_and_the_next_is_tried():
    allocation = _allocate(_items(50, 60, 30), budget=95)
    assert _ids(allocation) == ["second0", "second2"]
    assert allocation.used_tokens == 90
    assert [(d.item, d.reason) for d in allocation.dropped] == [("second1", "over budget")]


def test_a_contiguous_section_has_no_gap():
    allocation = _allocate(_items(20, 60, 5, section=FIRST), budget=110)
    assert _ids(allocation) == ["first0"]
    assert _reasons(allocation) == {"first0": "fits", "first1": "section full", "first2": "behind a gap"}


def test_nothing_stands_behind_what_was_cut_in_a_contiguous_section():
    sources = Section("second", shrink="sentences", contiguous=True)

    def shorten(item, tokens):
        return replace(item, tokens=min(tokens, 25), text="beginning")

    def cheaper(kept):  # than the sums say, so that there is room for another when the request is counted
        return FLOOR_TOKENS + sum(item.tokens for item in kept) // 2

    items = _items(60, 200, 5)
    allocation = _allocate(items, 100, count=cheaper, sections=(sources,), shorten=shorten)
    assert _ids(allocation) == ["second0", "second1"]
    assert _reasons(allocation)["second2"] == "behind a gap"
    loose = Section("second", shrink="sentences")
    assert len(_allocate(items, 100, count=cheaper, sections=(loose,), shorten=shorten).kept) == 3


def test_copies_stand_where_a_section_wants_them():
    every = Section("second", copies=True)
    assert _ids(_allocate(_items(10, 10, texts=["a", "a"]), budget=100, sections=(every,))) == ["second0", "second1"]


def test_a_section_takes_no_more_than_its_share_and_the_next_tier_has_the_rest():
    items = [*_items(40, 40), *_items(30, 30, section=FIRST)]
    assert _ids(_allocate(items, budget=110)) == ["first0", "second0"]


def test_a_text_that_is_in_already_stays_out():
    allocation = _allocate(_items(10, 10, 10, texts=["a", "b", "a"]), budget=100)
    assert _ids(allocation) == ["second0", "second1"]
    assert allocation.dropped[0].reason == "duplicate text"


def test_a_text_of_which_the_first_copy_did_not_fit_may_still_go_in():
    assert _ids(_allocate(_items(90, 20, texts=["a", "a"]), budget=50)) == ["second1"]


def test_a_floor_over_the_budget_is_a_typed_error_that_names_the_parts():
    with pytest.raises(TokenBudgetExceededError) as caught:
        _allocate(_items(1), budget=9)
    assert (caught.value.needed_tokens, caught.value.available_tokens) == (10, 9)
    assert caught.value.sections == {"system": 6, "question": 4}


def test_a_floor_of_exactly_the_budget_is_a_prompt_without_items():
    assert _allocate(_items(1), budget=10).kept == ()


def test_a_request_of_exactly_the_budget_fits():
    allocation = _allocate(_items(20, 15), budget=45)
    assert (len(allocation.kept), allocation.used_tokens, allocation.counts) == (2, 45, 2)


def test_what_is_given_back_is_the_last_of_the_highest_tier():
    items = [*_items(20, 20), *_items(20, section=FIRST)]
    loose = _allocate(items, budget=100, count=lambda kept: _sum(kept) + 10 * len(kept))
    assert _ids(loose) == ["first0", "second0", "second1"]
    tight = _allocate(items, budget=95, count=lambda kept: _sum(kept) + 10 * len(kept))
    assert _ids(tight) == ["first0", "second0"]
    assert [d.reason for d in tight.dropped] == ["given back"]


def test_what_is_pinned_stands_with_all_that_it_requires_whatever_it_costs_its_section():
    capped = Section("second", tier=2, max_tokens=5)
    items = [
        Item("a", "second", 10, pinned=True, requires=("b",)),
        Item("b", "first", 20, requires=("c",)),
        Item("c", "second", 30),
        Item("d", "second", 1),
    ]
    allocation = _allocate(items, 100, sections=(FIRST, capped))
    assert _reasons(allocation) == {"a": "pinned", "b": "required", "c": "required", "d": "section full"}
    with pytest.raises(TokenBudgetExceededError) as caught:
        _allocate(items, 60, sections=(FIRST, capped))
    assert caught.value.needed_tokens == 70
    assert caught.value.sections == {"system": 6, "question": 4, "first": 20, "second": 40}


def test_a_minimum_is_filled_with_the_best_before_a_lower_tier_has_anything():
    examples = Section("examples", tier=9, min_tokens=30)
    items = [*_items(80, section=SECOND), *_items(20, 20, 20, section=examples)]
    allocation = _allocate(items, 100, sections=(SECOND, examples))
    assert _reasons(allocation) == {
        "second0": "over budget",
        "examples0": "minimum",
        "examples1": "minimum",
        "examples2": "fits",
    }
    assert [(share.asked_tokens, share.min_tokens, share.got_tokens) for share in allocation.sections] == [
        (80, 0, 0),
        (60, 30, 60),
    ]


def test_a_minimum_that_the_best_overshoots_is_filled_with_the_smallest():
    examples = Section("examples", min_tokens=30)
    allocation = _allocate(_items(80, 20, 15, section=examples), 60, sections=(examples,))
    assert _ids(allocation) == ["examples1", "examples2"]
    with pytest.raises(TokenBudgetExceededError) as caught:
        _allocate(_items(80, 20, 15, section=examples), 44, sections=(examples,))
    assert caught.value.needed_tokens == 45
    assert caught.value.sections == {"system": 6, "question": 4, "examples": 35}


def test_a_tier_is_shared_by_weight_and_what_one_does_not_want_flows_on():
    one, two, three = (Section(name, weight=weight) for name, weight in (("one", 1), ("two", 3), ("three", 1)))
    items = [item for section in (one, two) for item in _items(*[10] * 40, section=section)]
    allocation = _allocate([*items, *_items(5, section=three)], 215, sections=(one, two, three))
    assert [share.got_tokens for share in allocation.sections] == [50, 150, 5]
    assert allocation.used_tokens == 215


def test_the_items_of_a_group_stand_all_or_not_at_all():
    items = [Item("call", "second", 20, group="g"), Item("big", "second", 50), Item("result", "second", 30, group="g")]
    assert _ids(_allocate(items, 70)) == ["call", "result"]
    assert _ids(_allocate([items[1], items[0], items[2]], 100)) == ["big"]


def test_only_the_new_text_of_an_overlapping_chunk_is_charged():
    spans = [Span("doc", 0, 100), Span("doc", 50, 150), Span("doc", 152, 252), Span("other", 0, 100)]
    items = [Item(f"c{n}", "second", 60, span=span, frame_tokens=10) for n, span in enumerate(spans)]
    allocation = _allocate(items, 1_000, count=lambda kept: 10 + len(kept))
    assert [d.marginal_tokens for d in allocation.decisions] == [60, 25, 51, 60]  # a line end stands between two that adjoin
    assert [(d.outcome, d.reason) for d in allocation.decisions] == [
        ("kept", "fits"),
        ("merged", "merged"),
        ("merged", "merged"),
        ("kept", "fits"),
    ]


def test_the_best_that_does_not_fit_is_cut_where_its_section_allows_it():
    def shorten(item, tokens):
        return Item(item.id, item.section, tokens - tokens % 10, text="short")

    sources = Section("second", shrink="sentences")
    allocation = _allocate(_items(60, 200, 300), 155, sections=(sources,), shorten=shorten)
    assert [(item.id, item.tokens) for item in allocation.kept] == [("second0", 60), ("second1", 80)]
    assert [item.id for item in allocation.trimmed] == ["second1"]
    assert _reasons(allocation) == {"second0": "fits", "second1": "cut", "second2": "over budget"}
    assert len(_allocate(_items(60, 200), 93, sections=(sources,), shorten=shorten).kept) == 1
    assert len(_allocate(_items(60, 200), 155, sections=(SECOND,), shorten=shorten).kept) == 1


def test_a_request_that_is_cheaper_than_its_parts_is_filled_up():
    allocation = _allocate(_items(*[20] * 10), 110, count=lambda kept: 10 + sum(i.tokens for i in kept) // 2)
    assert len(allocation.kept) > 5
    assert allocation.used_tokens <= 110
    assert allocation.counts <= 4


@pytest.mark.parametrize("optimizer", ["greedy", "exact"])
def test_calibrated_values_are_weighed_against_tokens_and_raw_scores_are_not(optimizer):
    tokens, values = (50, 30, 30), (0.9, 0.8, 0.8)
    assert _ids(_allocate(_items(*tokens, values=values), 70, optimizer=optimizer)) == ["second1", "second2"]
    assert _ids(_allocate(_items(*tokens), 70, optimizer=optimizer)) == ["second0"]


def test_of_items_that_say_the_same_one_stands():
    items = _items(20, 20, 20, values=(0.9, 0.8, 0.3))
    alike = {"second0", "second1"}
    allocation = _allocate(items, 50, similarity=lambda a, b: 1.0 if {a.id, b.id} == alike else 0.0)
    assert _ids(allocation) == ["second0", "second2"]
    assert _reasons(allocation)["second1"] == "nothing new"


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([Item("a", "second", 1), Item("a", "second", 1)], "two items"),
        ([Item("a", "third", 1)], "third"),
        ([Item("a", "first", 1, group="g"), Item("b", "second", 1, group="g")], "two sections"),
        ([Item("a", "first", 1, pinned=True, requires=("z",))], "requires z"),
    ],
)
def test_items_that_contradict_each_other_are_refused_with_a_hint(items, message):
    with pytest.raises(PromptError, match=message) as caught:
        _allocate(items, 100)
    assert caught.value.hint


@pytest.mark.parametrize(
    "numbers", [{"tokens": -1}, {"frame_tokens": 9}, {"value": -0.1}, {"value": math.nan}, {"score": math.nan}]
)
def test_an_item_with_a_number_out_of_range_is_refused(numbers):
    with pytest.raises(PromptError, match="out of range"):
        Item("a", "second", **{"tokens": 5, **numbers})


@pytest.mark.parametrize("claim", [{"weight": -1}, {"max_share": 1.1}, {"min_tokens": 9, "max_tokens": 8}])
def test_a_section_with_a_claim_out_of_range_is_refused(claim):
    with pytest.raises(PromptError, match="section a has"):
        Section("a", **claim)


def test_static_sections_share_where_their_maxima_do_not_fit_and_give_back_last():
    tools = Section("tools", tier=2, stability="static")
    items = [*_items(*[10] * 20, section=tools), *_items(*[10] * 20)]
    allocation = _allocate(items, 60, sections=(tools, SECOND))
    assert [share.got_tokens for share in allocation.sections] == [20, 30]
    tight = _allocate(items[:2] + items[20:], 60, sections=(tools, SECOND), count=lambda kept: _sum(kept) + 5 * len(kept))
    assert _ids(tight) == ["tools0", "tools1", "second0"]


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(10, 400), st.integers(0, 9))
def test_joints_that_cost_extra_never_lead_over_the_budget(tokens, budget, joint):
    allocation = _allocate(_items(*tokens), budget, lambda kept: _sum(kept) + joint * len(kept))
    assert allocation.used_tokens == _sum(allocation.kept) + joint * len(allocation.kept) <= budget
    assert [decision.item for decision in allocation.decisions] == [f"second{n}" for n in range(len(tokens))]
    assert allocation.counts <= 10 + math.log2(len(tokens) + 1)


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(10, 300), st.randoms(use_true_random=False))
def test_even_a_counter_without_sense_never_leads_over_the_budget(tokens, budget, random):
    answers = {}

    def count(kept):
        ids = tuple(item.id for item in kept)
        return answers.setdefault(ids, random.randint(0, 400) if ids else 10)

    allocation = _allocate(_items(*tokens), budget, count)
    assert allocation.used_tokens <= budget
    assert allocation.used_tokens == answers[tuple(_ids(allocation))]
    assert {decision.reason for decision in allocation.decisions} <= set(REASONS)
