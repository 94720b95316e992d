"""The measures are those of the literature."""

import math
import subprocess
import sys

import numpy as np
import pytest

from llmapp.errors import MissingDependencyError
from llmapp.evaluation.measures import score_rankings


def test_ndcg_is_that_of_the_formula():
    scores = score_rankings({"q": {"a": 2, "b": 1}}, {"q": ["x", "b", "a"]})
    gain = 1 / math.log2(3) + 2 / math.log2(4)
    best = 2 / math.log2(2) + 1 / math.log2(3)
    assert scores.values["nDCG@10"][0] == pytest.approx(gain / best)
    assert scores.values["MRR@10"][0] == pytest.approx(1 / 2)
    assert scores.values["MAP@100"][0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert [scores.values[f"recall@{depth}"][0] for depth in (1, 3, 5)] == [0.0, 1.0, 1.0]


def test_what_found_nothing_counts_as_nothing():
    scores = score_rankings({"q1": {"a": 1}, "q2": {"b": 1}}, {"q1": ["a"]})
    assert scores.questions == ("q1", "q2")
    assert list(scores.values["nDCG@10"]) == [1.0, 0.0]


def test_the_order_of_the_ranking_decides_and_not_the_names():
    first = score_rankings({"q": {"a": 1}}, {"q": ["a", "z"]})
    second = score_rankings({"q": {"z": 1}}, {"q": ["z", "a"]})
    assert np.array_equal(first.values["MRR@10"], second.values["MRR@10"])


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingDependencyError) as caught:
        score_rankings({"q": {"a": 1}}, {"q": ["a"]})
    assert caught.value.hint == "pip install 'llmapp[eval]'"


def test_the_command_line_does_not_load_the_measures():
    code = "import sys, llmapp.cli.main; print([name for name in ('ir_measures', 'numpy', 'scipy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
