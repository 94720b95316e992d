import importlib
import sys
from pathlib import Path

import pytest

_BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def comparison(monkeypatch):
    monkeypatch.syspath_prepend(str(_BENCHMARKS))
    monkeypatch.syspath_prepend(str(_BENCHMARKS / "peers"))
    return importlib.import_module("peer_comparison")


@pytest.mark.data
def test_our_side_of_the_comparison_finds_what_the_questions_ask_for(comparison, data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMAPP_DATA", str(data_dir))
    monkeypatch.setattr(comparison, "STATE", tmp_path)
    documents, questions, judged = comparison.texts(10, 8)
    (ours,) = comparison.measure([comparison.System.of("llmapp")], documents, questions, rounds=1)
    assert ours.rankings.keys() == questions.keys()
    found = [name for name, ranking in ours.rankings.items() if judged[name].keys() & set(ranking[:10])]
    assert len(found) >= 7
    assert all(len(set(ranking)) == len(ranking) for ranking in ours.rankings.values())
    assert (len(ours.rates), len(ours.colds_s), len(ours.warm_s)) == (1, 3, 8)


def test_without_the_peers_the_comparison_is_skipped_with_one_line(comparison, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.modules["systems"], "CACHE", tmp_path)
    monkeypatch.setattr(sys, "argv", ["peer_comparison.py"])
    assert comparison.main() == 0
    assert capsys.readouterr().out.splitlines() == [
        "skipped: LangChain, LlamaIndex, Haystack, txtai not installed (python benchmarks/peer_comparison.py --install)"
    ]
