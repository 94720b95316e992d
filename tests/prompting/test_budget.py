import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.errors import TokenBudgetExceededError
from llmapp.prompting.budget import Item, Section, allocate

FIRST = Section("first", tier=1, max_share=0.5, contiguous=True)
SECOND = Section("second", tier=2)


def _items(*tokens, section=SECOND, texts=None):
    texts = texts or [None] * len(tokens)
    return [
        Item(f"{section.name}{n}", section, size, text=text)
        for n, (size, text) in enumerate(zip(tokens, texts, strict=True))
    ]


def _sum(kept, floor=10):
    return floor + sum(item.tokens for item in kept)


def _allocate(items, budget, count=_sum):
    return allocate(items, budget_tokens=budget, pinned={"system": 6, "question": 4}, count_request=count)


def _ids(allocation):
    return [item.id for item in allocation.kept]


def test_what_does_not_fit_is_skipped_and_the_next_is_tried():
    allocation = _allocate(_items(50, 60, 30), budget=95)
    assert _ids(allocation) == ["second0", "second2"]
    assert allocation.used_tokens == 90
    assert [(d.item, d.reason) for d in allocation.dropped] == [("second1", "over budget")]


def test_a_contiguous_section_has_no_gap():
    assert _ids(_allocate(_items(20, 60, 5, section=FIRST), budget=110)) == ["first0"]


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
    assert (len(allocation.kept), allocation.used_tokens) == (2, 45)


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(10, 400), st.integers(0, 9))
def test_joints_that_cost_extra_never_lead_over_the_budget(tokens, budget, joint):
    calls = []

    def count(kept):
        calls.append(len(kept))
        return _sum(kept) + joint * len(kept)

    allocation = _allocate(_items(*tokens), budget, count)
    assert allocation.used_tokens == _sum(allocation.kept) + joint * len(allocation.kept) <= budget
    assert len(allocation.kept) + len(allocation.dropped) == len(tokens)
    assert len(calls) <= 3 + math.log2(len(tokens) + 1)


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(10, 300), st.randoms(use_true_random=False))
def test_even_a_counter_without_sense_never_leads_over_the_budget(tokens, budget, random):
    answers = {}

    def count(kept):
        ids = tuple(item.id for item in kept)
        return answers.setdefault(ids, random.randint(0, 400) if ids else 10)

    allocation = _allocate(_items(*tokens), budget, count)
    assert allocation.used_tokens <= budget
    assert allocation.used_tokens == answers[tuple(_ids(allocation))]


def test_what_is_given_back_is_the_last_of_the_highest_tier():
    items = [*_items(20, 20), *_items(20, section=FIRST)]
    loose = _allocate(items, budget=100, count=lambda kept: _sum(kept) + 10 * len(kept))
    assert _ids(loose) == ["first0", "second0", "second1"]
    tight = _allocate(items, budget=95, count=lambda kept: _sum(kept) + 10 * len(kept))
    assert _ids(tight) == ["first0", "second0"]
    assert [d.reason for d in tight.dropped] == ["over budget"]
