"""Intervals hold what they promise, and the paired test finds what is there and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmapp.evaluation.statistics import compare, interval_of_mean, paired_p


def test_the_interval_is_near_that_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(0.5, 0.2, 400)
    interval = interval_of_mean(values)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.003)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.003)


def test_of_a_hundred_samples_about_95_intervals_hold_the_truth():
    random = np.random.default_rng(2)
    intervals = [interval_of_mean(random.normal(0, 1, 50)) for _ in range(100)]
    assert 88 <= sum(each.low <= 0 <= each.high for each in intervals) <= 99


def test_the_same_values_give_the_same_figures():
    values = np.random.default_rng(3).random(30)
    assert interval_of_mean(values) == interval_of_mean(values)
    assert compare(values, values[::-1]) == compare(values, values[::-1])


def test_the_p_of_few_differences_is_that_of_all_their_signs():
    """Of the 8 labellings of three equal gains two are as extreme."""
    assert paired_p(np.array([0.1, 0.1, 0.1])) == pytest.approx(2 / 8, abs=0.02)


def test_p_is_uniform_where_nothing_differs():
    random = np.random.default_rng(4)
    found = [paired_p(random.normal(0, 1, 40)) for _ in range(200)]
    assert 2 <= sum(p < 0.05 for p in found) <= 20


def test_a_small_gain_on_every_question_is_significant_and_a_large_one_on_one_is_not():
    before = np.random.default_rng(5).random(50)
    assert compare(before, before + 0.01).p < 0.001
    after = before.copy()
    after[0] += 0.5
    assert compare(before, after).p > 0.9


def test_a_comparison_counts_who_gains_and_loses():
    found = compare([0.0, 0.5, 1.0, 0.2], [1.0, 0.5, 0.5, 0.2])
    assert (found.better, found.worse, found.count) == (1, 1, 4)
    assert found.difference == pytest.approx(0.125)


def test_equal_settings_do_not_differ():
    found = compare([0.1 + 0.2], [0.3])
    assert (found.p, found.better, found.worse) == (1.0, 0, 0)


def test_nothing_and_unequal_lengths_are_mistakes():
    with pytest.raises(ValueError, match="no values"):
        interval_of_mean([])
    with pytest.raises(ValueError, match="same questions"):
        compare([1.0], [1.0, 0.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_the_mean_lies_in_its_interval_and_p_is_a_probability(values):
    interval = interval_of_mean(values)
    assert interval.low - 1e-9 <= interval.mean <= interval.high + 1e-9
    assert 0 < paired_p(np.array(values) - 0.5) <= 1
