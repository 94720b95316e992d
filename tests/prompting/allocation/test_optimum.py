"""The choice against every other choice there is, each rendered and counted."""

import random
from itertools import combinations

import pytest

from llmapp.prompting.allocation import Item, Section, allocate
from llmapp.prompting.allocation.exact import MOST_CELLS, best_units
from llmapp.prompting.counting import BpeCounter

WORDS = [
    "water",
    "damage",
    "is",
    "reported",
    "within",
    "72",
    "hours",
    ",",
    "who",
    "calls",
    ";",
    "水害は",
    "報告されます",
    "{}",
    "[",
    "8812",
    "0x1f",
]
SOURCES = Section("sources")


def _rendered(kept):
    parts = [f'<part number="{n}">\n{item.text}\n</part>' for n, item in enumerate(kept, start=1)]
    return "\n\n".join(["You answer from the parts.", *parts, "Question: when?"])


def _subsets(items):
    for size in range(len(items) + 1):
        yield from combinations(items, size)


def _best_value(items, fits):
    return max(sum(item.value for item in subset) for subset in _subsets(items) if fits(subset))


def _case(drawn, most_items):
    count = BpeCounter("cl100k_base")._tokens
    items = []
    for n in range(drawn.randint(4, most_items)):
        text = " ".join(drawn.choices(WORDS, k=drawn.randint(2, 30)))
        tokens = count(f'<part number="{n}">\n{text}\n</part>\n\n')
        items.append(Item(f"i{n}", "sources", tokens, value=drawn.random(), text=text))
    items.sort(key=lambda item: -item.value)
    least, most = count(_rendered([])), count(_rendered(items))
    return items, drawn.randint(least, most), lambda kept: count(_rendered(kept))


@pytest.mark.parametrize("optimizer", ["greedy", "exact"])
def test_what_is_chosen_is_worth_995_thousandths_of_the_best_there_is_on_average_and_never_half(optimizer):
    drawn = random.Random(20)
    ratios = []
    for most_items in [8] * 100 + [10] * 300 + [12] * 20:
        items, budget, count = _case(drawn, most_items)
        best = _best_value(items, lambda subset, count=count, budget=budget: count(subset) <= budget)
        allocation = allocate(items, sections=[SOURCES], budget_tokens=budget, count_request=count, optimizer=optimizer)
        ratios.append(sum(item.value for item in allocation.kept) / best if best else 1.0)
    assert sum(ratios) / len(ratios) >= 0.995
    assert min(ratios) >= 0.5


def test_where_costs_add_up_the_exact_optimizer_finds_the_optimum():
    drawn = random.Random(7)
    for _ in range(150):
        items = [
            Item(f"i{n}", "sources", drawn.randint(0, 40), value=drawn.randint(0, 9) / 10)
            for n in range(drawn.randint(1, 10))
        ]
        budget = drawn.randint(10, 200)
        allocation = allocate(items, sections=[SOURCES], budget_tokens=budget, count_request=_sum, optimizer="exact")
        best = _best_value(items, lambda subset, budget=budget: _sum(subset) <= budget)
        assert sum(item.value for item in allocation.kept) == pytest.approx(best)


def _sum(kept):
    return 10 + sum(item.tokens for item in kept)


def test_the_knapsack_is_solved_as_by_hand():
    assert best_units([50, 30, 30], [0.9, 0.8, 0.8], 70) == [1, 2]
    assert best_units([50, 30, 30], [0.9, 0.8, 0.8], 29) == []
    assert best_units([0, 10], [0.1, 0.2], 0) == [0]
    assert best_units([], [], 100) == []
    assert best_units([1], [1.0], -1) == []
    assert best_units([5, 5, 5], [1.0, 1.0, 1.0], 10) == [0, 1]


def test_a_large_knapsack_is_reckoned_in_steps_and_still_fits():
    drawn = random.Random(3)
    tokens = [drawn.randint(100, 400) for _ in range(500)]
    values = [drawn.random() for _ in range(500)]
    assert len(tokens) * 60_000 > MOST_CELLS
    chosen = best_units(tokens, values, 60_000)
    dense = sorted(range(500), key=lambda index: -values[index] / tokens[index])
    bound, room = 0.0, 60_000  # the relaxed optimum, the last item in part
    for index in dense:
        part = min(1.0, room / tokens[index])
        bound, room = bound + part * values[index], room - part * tokens[index]
    assert sum(tokens[index] for index in chosen) <= 60_000
    assert sum(values[index] for index in chosen) >= 0.98 * bound
