import importlib
import sys
from pathlib import Path

import pytest

_BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def comparison(monkeypatch):
    monkeypatch.syspath_prepend(str(_BENCHMARKS))
    monkeypatch.syspath_prepend(str(_BENCHMARKS / "peers"))
    return importlib.import_module("packer_comparison")


def rows(**changed):
    one = {"excess": -5, "used": 0.9, "whole": 0.5, "lost": False, "us": 1000.0}
    results = [one, one | {"excess": 7} | changed, {"refused": "TooSmall: no"}, one]
    row = {"name": "a", "release": "a 1", "task": "text", "how": "as it comes", "results": results}
    return [row | {"tokenizer": name, "hopeless": 4, "hopeless_sent": 1} for name in ("o200k", "bytes")]


def test_a_pack_over_the_budget_counts_and_one_that_is_refused_does_not(comparison):
    line = next(line for line in comparison.table("text", rows()) if line.startswith("| a |"))
    assert line == "| a | 25.0 | 7 | 25.0 / 25.0 | 25.0 | 90.0 | 50.0 | 25.0 | 1,000 |"


def test_our_own_packers_take_every_task_and_stay_within(comparison):
    inputs = importlib.import_module("packing_inputs")
    ours = importlib.import_module("packer_llmapp")
    counter, text = inputs.Bytes(), "Water damage is reported within 72 hours. 水害は72時間以内に。 " * 60
    for pack in inputs.packs("prose", text, counter, 6):
        if pack.task == "text":
            tokens = counter.count(ours.allocator_text(pack, counter))
        else:
            tokens = counter.count_request(ours.assembler_request(pack, counter))
        assert inputs.fixed_tokens(pack, counter) < tokens <= pack.budget_tokens


def test_a_packer_that_loses_the_question_is_no_peer(comparison):
    with pytest.raises(AssertionError, match="lost"):
        comparison.table("text", rows(lost=True))


def test_without_the_packers_the_comparison_is_skipped_with_one_line(comparison, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.modules["systems"], "CACHE", tmp_path)
    monkeypatch.setattr(sys, "argv", ["packer_comparison.py"])
    assert comparison.main() == 0
    assert capsys.readouterr().out.splitlines() == [
        "skipped: the packers are not installed (python benchmarks/packer_comparison.py --install)"
    ]
