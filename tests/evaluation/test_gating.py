"""The gate lets through what is as good, stops what is worse, and compares like with like only."""

import json
import shutil
from pathlib import Path

import pytest

from llmapp import open_app
from llmapp.errors import BaselineMismatchError, EvaluationError, ModelTimeoutError
from llmapp.evaluation.baselines import judge, make_baseline, read_baseline, write_baseline
from llmapp.evaluation.datasets import load_dataset
from llmapp.evaluation.gating import measure, plan
from llmapp.evaluation.questions import Dataset, Question

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "01_ask_your_files"
SAME = {"corpus": "c", "questions": "q"}


def baseline(*values, tolerance=0.01, fingerprints=SAME, **settings):
    named = {f"q{number:03}": value for number, value in enumerate(values)}
    return make_baseline("set", fingerprints, settings, {"nDCG@10": named}, tolerance=tolerance)


def verdict(before, after):
    return judge(before, after).verdicts["nDCG@10"]


def test_the_same_figures_hold():
    gate = judge(baseline(1.0, 0.5), baseline(1.0, 0.5))
    assert not gate.has_dropped
    assert gate.worse == ()


def test_a_drop_over_the_tolerance_is_stopped_however_few_the_questions():
    assert verdict(baseline(1.0, 1.0), baseline(1.0, 0.9)).drop == "over tolerance"


def test_a_drop_within_the_tolerance_is_stopped_when_it_is_more_than_chance():
    before, after = [0.9] * 60, [0.895] * 60
    assert verdict(baseline(*before), baseline(*after)).drop == "significant"


def test_a_drop_within_the_tolerance_that_may_be_chance_is_let_through():
    before, after = [0.9, 0.9] * 30, [0.96, 0.83] * 30
    assert verdict(baseline(*before), baseline(*after)).drop == ""


def test_a_gain_is_never_stopped():
    assert verdict(baseline(*[0.5] * 60), baseline(*[0.6] * 60)).drop == ""


def test_the_questions_that_lost_most_come_first_and_settings_that_differ_are_named():
    gate = judge(baseline(1.0, 1.0, 0.2, top_k=8), baseline(0.9, 0.3, 0.4, top_k=4))
    assert [each.question for each in gate.worse] == ["q001", "q000"]
    assert gate.changed_settings == {"top_k": (8, 4)}


@pytest.mark.parametrize("part", ["corpus", "questions"])
def test_other_documents_or_other_questions_are_not_compared(part):
    with pytest.raises(BaselineMismatchError) as caught:
        judge(baseline(1.0), baseline(1.0, fingerprints={**SAME, part: "other"}))
    assert "--update" in caught.value.hint


def test_a_measure_that_the_run_lacks_is_no_comparison():
    both = make_baseline("set", SAME, {}, {"nDCG@10": {"a": 1.0}, "contains": {"a": 1.0}, "refused": {}}, tolerance=0.01)
    searched = make_baseline("set", SAME, {}, {"nDCG@10": {"a": 1.0}, "contains": {}}, tolerance=0.01)
    with pytest.raises(EvaluationError, match="the baseline has contains, this run has not"):
        judge(both, searched)
    assert not judge(searched, both).has_dropped


def test_what_is_not_told_goes_by_the_baseline():
    answers = make_baseline("set", SAME, {}, {"nDCG@10": {"a": 1.0}, "answered": {"a": 1.0}}, tolerance=0.05)
    assert plan(None) == (False, 0.01)
    assert plan(answers) == (True, 0.05)
    assert plan(baseline(1.0, tolerance=0.02)) == (False, 0.02)
    assert plan(answers, with_answers=False, tolerance=0.0) == (False, 0.0)


QUESTIONS = (
    Question("water", "When is water damage reported?", documents={"water.md": 1}, answers=("seven days",)),
    Question("bike", "Up to what amount is a stolen bicycle insured?", documents={"bike.md": 1}),
)


def test_nothing_is_compared_when_a_stage_was_left_out(app, app_without_reranker):
    data = Dataset("own", QUESTIONS)
    assert measure(app, data, with_answers=False)
    with pytest.raises(EvaluationError, match="2 of 2 questions were not searched for as the settings say: rerank"):
        measure(app_without_reranker, data, with_answers=False)


def test_nothing_is_compared_when_a_question_failed(app, monkeypatch):
    answer = type(app).answer

    async def failing(self, question, **options):
        if "bicycle" in question:
            raise ModelTimeoutError("no answer in 60 s")
        return await answer(self, question, **options)

    monkeypatch.setattr(type(app), "answer", failing)
    with pytest.raises(EvaluationError, match="1 of 2 questions failed: no answer in 60 s"):
        measure(app, Dataset("own", QUESTIONS), with_answers=True)


def test_no_model_is_asked_where_the_comparison_will_be_refused(app, monkeypatch):
    async def unwanted(*_, **__):
        raise AssertionError("asked")

    monkeypatch.setattr(type(app), "answer", unwanted)
    with pytest.raises(BaselineMismatchError):
        measure(app, Dataset("own", QUESTIONS), with_answers=True, against=baseline(1.0))


def test_a_baseline_is_read_as_it_was_written(tmp_path):
    written = baseline(1 / 3, 1.0, tolerance=0.02, top_k=8)
    write_baseline(tmp_path / "b.json", written)
    assert read_baseline(tmp_path / "b.json") == written
    assert json.loads((tmp_path / "b.json").read_text())["measures"]["nDCG@10"]["count"] == 2


def test_a_missing_or_broken_baseline_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(EvaluationError, match="there is no baseline") as caught:
        read_baseline(tmp_path / "none.json")
    assert "--update" in caught.value.hint
    (tmp_path / "broken.json").write_text('{"version": 2}')
    with pytest.raises(EvaluationError, match="is no baseline"):
        read_baseline(tmp_path / "broken.json")


def test_the_example_is_as_good_as_its_baseline(tmp_path):
    """The project's own gate: searches and answers over the handbook; renewed with `llmapp eval gate … --answers --update`."""
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns(".llmapp", "__pycache__")))
    stored = read_baseline(folder / "baseline.json")
    with open_app(folder) as app:
        app.ingest()
        now = measure(app, load_dataset(folder / "questions.jsonl"), with_answers=True)
    gate = judge(stored, now)
    dropped = {name: each.comparison for name, each in gate.verdicts.items() if each.drop}
    assert not dropped, (dropped, gate.worse)
    assert set(gate.verdicts) == set(stored.values)
