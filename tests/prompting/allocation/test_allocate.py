import itertools
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


def _cut(item, tokens):
    """Cuts anywhere."""
    return Item(item.id, item.section, min(item.tokens, tokens), item.value) if tokens > 0 else None


def test_a_minimum_goes_before_a_maximum_where_no_item_is_small_enough_for_both():
    capped = Section("examples", min_tokens=10, max_tokens=30)
    assert _ids(_allocate(_items(40, section=capped), 100, sections=(capped,))) == ["examples0"]
    assert _ids(_allocate(_items(40, 20, section=capped), 100, sections=(capped,))) == ["examples1"]
    twice = Section("examples", min_tokens=50, max_tokens=60)
    assert _ids(_allocate(_items(40, 40, 5, section=twice), 200, sections=(twice,))) == [
        "examples0",
        "examples1",
    ]
    order = Section("examples", min_tokens=10, max_tokens=30, contiguous=True)
    assert _ids(_allocate(_items(40, 5, section=order), 100, sections=(order,))) == ["examples0"]


def test_a_minimum_that_must_go_over_its_maximum_is_cut_where_its_section_may_be():
    capped = Section("sources", min_tokens=10, max_tokens=30, shrink="sentences")
    allocation = _allocate(_items(40, section=capped), 100, sections=(capped,), shorten=_cut)
    assert [(item.id, item.tokens) for item in allocation.trimmed] == [("sources0", 30)]


def test_the_least_that_makes_a_minimum_is_found_before_the_budget_is_called_too_small():
    one = Section("one", min_tokens=100)
    assert _ids(_allocate(_items(300, 110, 60, 70, section=one), 120, sections=(one,))) == ["one1"]
    first, second = Section("first", min_tokens=50), Section("second", min_tokens=50)
    items = [*_items(50, 30, 29, section=first), *_items(90, 50, section=second)]
    assert _ids(_allocate(items, 110, sections=(first, second))) == ["first0", "second1"]
    with pytest.raises(TokenBudgetExceededError) as caught:
        _allocate(items, 109, sections=(first, second))
    assert caught.value.needed_tokens == 110


def test_a_minimum_that_no_whole_item_fits_is_made_by_a_part():
    sources = Section("sources", min_tokens=100, shrink="sentences")
    allocation = _allocate(_items(931, 50, section=sources), 600, sections=(sources,), shorten=_cut)
    assert [(item.id, item.tokens) for item in allocation.kept] == [("sources0", 590)]
    assert _reasons(allocation) == {"sources0": "cut", "sources1": "over budget"}
    with pytest.raises(TokenBudgetExceededError):
        _allocate(_items(931, 50, section=sources), 109, sections=(sources,), shorten=_cut)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.integers(1, 120),
    st.none() | st.integers(0, 60),
    st.integers(10, 250),
)
def test_a_minimum_holds_or_the_budget_is_truly_too_small(tokens, minimum, spare, budget):
    section = Section("one", min_tokens=minimum, max_tokens=None if spare is None else minimum + spare)
    sums = {sum(chosen) for size in range(len(tokens) + 1) for chosen in itertools.combinations(tokens, size)}
    enough = [total for total in sums if total >= min(minimum, sum(tokens))]
    try:
        allocation = _allocate(_items(*tokens, section=section), budget, sections=(section,))
    except TokenBudgetExceededError as error:
        needed_tokens = error.needed_tokens
    else:
        needed_tokens = None
    assert needed_tokens in {None, FLOOR_TOKENS + min(enough)}
    assert (needed_tokens is None) == (FLOOR_TOKENS + min(enough) <= budget)
    if needed_tokens is not None:
        return
    got = allocation.sections[0].got_tokens
    assert got in enough
    assert got + FLOOR_TOKENS <= budget
    if section.max_tokens is not None and got > section.max_tokens:
        assert not any(minimum <= total <= section.max_tokens for total in sums)
        assert got - max(item.tokens for item in allocation.kept) < minimum


def test_an_item_that_cannot_be_cut_does_not_keep_the_next_from_it():
    sources = Section("sources", shrink="sentences")
    items = _items(400, 300, section=sources, texts=["table", "prose"])
    allocation = _allocate(
        items, 200, sections=(sources,), shorten=lambda item, tokens: _cut(item, tokens) if item.text == "prose" else None
    )
    assert [(item.id, item.tokens) for item in allocation.kept] == [("sources1", 190)]


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda: _allocate(_items(1), -60), "the budget is -60 tokens"),
        (lambda: _allocate(_items(1), 60, optimizer="exakt"), "no optimizer 'exakt'"),
        (lambda: Section("a", stability="statik"), "stability 'statik'"),
        (lambda: Section("a", shrink="cut"), "shrink 'cut'"),
        (lambda: Item("a", "second", 5, requires="bc"), "requires what is no tuple"),
    ],
)
def test_what_is_misspelt_or_of_the_wrong_kind_is_refused(wrong, match):
    with pytest.raises(PromptError, match=match):
        wrong()


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
    "numbers",
    [{"tokens": -1}, {"frame_tokens": 9}, {"value": -0.1}, {"value": math.nan}, {"value": math.inf}, {"score": math.nan}],
)
def test_an_item_with_a_number_out_of_range_is_refused(numbers):
    with pytest.raises(PromptError, match="out of range"):
        Item("a", "second", **{"tokens": 5, **numbers})


@pytest.mark.parametrize(
    "claim",
    [{"weight": -1}, {"weight": math.inf}, {"weight": math.nan}, {"max_share": 1.1}, {"min_tokens": 9, "max_tokens": 8}],
)
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


@pytest.mark.parametrize(("both", "expected"), [(15, ["a", "b"]), (16, ["a"])])
def test_what_is_filled_up_fits_to_the_token(both, expected):
    found = allocate(
        [Item("a", "s", 10), Item("b", "s", 7)],
        sections=[Section("s")],
        budget_tokens=15,
        count_request=lambda kept: {"": 0, "a": 8, "ab": both}["".join(item.id for item in kept)],
    )
    assert [item.id for item in found.kept] == expected
    assert found.used_tokens <= 15


@pytest.mark.parametrize("frame_tokens", [10, 300])
def test_the_share_of_a_static_section_is_one_of_the_budget_whatever_else_stands(frame_tokens):
    found = allocate(
        [Item(name, "s", tokens) for name, tokens in (("a", 40), ("b", 40), ("c", 20))],
        sections=[Section("s", max_share=0.1, stability="static")],
        budget_tokens=1_000,
        count_request=lambda kept: frame_tokens + sum(item.tokens for item in kept),
    )
    assert [item.id for item in found.kept] == ["a", "b", "c"]
