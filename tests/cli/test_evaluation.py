"""`llmapp eval` from the command line."""

import json

import pytest
from typer.testing import CliRunner

from llmapp.cli.main import app
from llmapp.errors import EvaluationError

runner = CliRunner()


@pytest.fixture
def project(tmp_path):
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "water.md").write_text("# Water\n\nWater damage is reported within seven days.\n", encoding="utf-8")
    (documents / "bike.md").write_text("# Bicycles\n\nA stolen bicycle is insured up to EUR 3,500.\n", encoding="utf-8")
    (tmp_path / "llmapp.toml").write_text(
        '[[sources]]\nname = "files"\nacl = ["public"]\n[sources.settings]\npath = "documents"\n', encoding="utf-8"
    )
    lines = [
        {"question": "When is water damage reported?", "document": "water.md", "answer": "seven days"},
        {"question": "Up to what amount is a stolen bicycle insured?", "quote": "EUR 3,500"},
        {"question": "Who is the head of marketing?", "unanswerable": True},
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert runner.invoke(app, ["ingest", "-c", str(tmp_path)]).exit_code == 0
    return tmp_path


def run(project, *arguments, code=0):
    done = runner.invoke(app, ["eval", *arguments, "-c", str(project)])
    assert done.exit_code == code, done.output
    return done.output


def test_a_table_shows_measures_with_their_intervals(project):
    printed = run(project, "retrieval", str(project / "questions.jsonl"))
    assert "2 questions over 2 documents" in printed
    assert "nDCG@10" in printed
    assert "95 % interval" in printed


def test_json_is_one_object_with_settings_and_fingerprints(project):
    shape = json.loads(
        run(project, "retrieval", str(project / "questions.jsonl"), "--json", "--set", "retrieval.candidates=5")
    )
    assert shape["measures"]["nDCG@10"]["mean"] == 1.0
    assert shape["settings"]["retrieval.candidates"] == 5
    assert set(shape["fingerprints"]) == {"corpus", "questions"}


def test_two_settings_are_compared(project):
    arguments = ("retrieval", str(project / "questions.jsonl"), "--against", "retrieval.candidates=5")
    shape = json.loads(run(project, *arguments, "--json"))
    assert shape["comparison"]["nDCG@10"]["p"] == 1.0
    assert shape["against"]["settings"]["retrieval.candidates"] == 5
    assert "→ 5" in run(project, *arguments)


def test_every_question_is_written_to_a_table(project):
    run(project, "retrieval", str(project / "questions.jsonl"), "--per-query", str(project / "q.csv"))
    assert len((project / "q.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_a_broken_data_set_has_an_exit_code_of_its_own(project):
    (project / "questions.jsonl").write_text("{", encoding="utf-8")
    assert "questions.jsonl, line 1" in run(project, "retrieval", str(project / "questions.jsonl"), code=15)


def test_answers_are_measured_and_the_worst_cost_is_said_first(project):
    printed = run(project, "answers", str(project / "questions.jsonl"))
    assert "asking 3 questions of extractive costs nothing" in printed
    assert "cannot be answered" in printed
    assert "citation recall" in printed


def test_answers_as_json_and_as_a_table(project):
    done = runner.invoke(
        app,
        [
            "eval",
            "answers",
            str(project / "questions.jsonl"),
            "--json",
            "--per-query",
            str(project / "a.csv"),
            "-c",
            str(project),
        ],
    )
    shape = json.loads(done.stdout)
    assert shape["abstention"]["refused"] + shape["abstention"]["wrongly_answered"] == 1
    assert shape["cost_usd"] == 0.0
    assert "seven days" in (project / "a.csv").read_text(encoding="utf-8")


def test_the_gate_writes_its_baseline_holds_and_stops_a_drop(project):
    arguments = ("gate", str(project / "questions.jsonl"), "--baseline", str(project / "baseline.json"))
    assert "there is no baseline" in run(project, *arguments, code=15)
    assert "holds 8 measures of 3 questions" in run(project, *arguments, "--update", "--answers")
    assert "held (tolerance 0.01)" in run(project, *arguments)
    assert "the baseline has contains" in run(project, *arguments, "--no-answers", code=15)
    printed = run(project, *arguments, "--set", "prompt.budget_tokens=60", "--json", code=9)
    assert "token_budget_exceeded" in printed
    stored = json.loads((project / "baseline.json").read_text())
    stored["values"]["contains"] = dict.fromkeys(stored["values"]["contains"], 2.0)
    (project / "baseline.json").write_text(json.dumps(stored))
    shape = json.loads(run(project, *arguments, "--json", code=1).splitlines()[-1])
    assert shape["measures"]["contains"]["drop"] == "over tolerance"
    assert "over tolerance" in run(project, *arguments, code=1)


def test_writing_a_baseline_anew_narrows_nothing_unless_told(project):
    arguments = ("gate", str(project / "questions.jsonl"), "--baseline", str(project / "baseline.json"), "--update")
    assert "holds 8 measures of 3 questions, tolerance 0.2" in run(project, *arguments, "--answers", "--tolerance", "0.2")
    assert "holds 8 measures of 3 questions, tolerance 0.2" in run(project, *arguments)
    assert "holds 3 measures of 3 questions, tolerance 0" in run(project, *arguments, "--no-answers", "--tolerance", "0")
    (project / "baseline.json").write_text("{}")
    assert "delete it" in run(project, *arguments, code=15)


@pytest.mark.parametrize("option", ["--report", "--per-query"])
@pytest.mark.parametrize("verb", ["retrieval", "answers"])
def test_a_mistyped_folder_is_said_before_anything_is_asked(project, verb, option):
    printed = run(project, verb, str(project / "questions.jsonl"), option, str(project / "none" / "file"), code=15)
    assert "there is no folder" in printed
    assert "asking" not in printed


def test_a_baseline_in_no_folder_is_said_before_anything_is_asked(project):
    arguments = (
        "gate",
        str(project / "questions.jsonl"),
        "--baseline",
        str(project / "none" / "b.json"),
        "--update",
        "--answers",
    )
    printed = run(project, *arguments, code=15)
    assert "there is no folder" in printed
    assert "asking" not in printed


@pytest.mark.parametrize("verb", ["retrieval", "answers"])
def test_the_figures_are_printed_before_files_are_written(project, monkeypatch, verb):
    def full(*_):
        raise EvaluationError("the disk is full")

    monkeypatch.setattr("llmapp.evaluation.files.write_file", full)
    printed = run(project, verb, str(project / "questions.jsonl"), "--report", str(project / "r.html"), code=15)
    assert printed.index("95 % interval") < printed.index("the disk is full")


def test_the_second_setting_is_laid_over_the_first(project):
    arguments = ("--set", "retrieval.candidates=7", "--set", "retrieval.fusion=rrf", "--against", "retrieval.candidates=5")
    shape = json.loads(run(project, "retrieval", str(project / "questions.jsonl"), "--json", *arguments))
    names = ("retrieval.candidates", "retrieval.fusion")
    assert [shape["settings"][name] for name in names] == [7, "rrf"]
    assert [shape["against"]["settings"][name] for name in names] == [5, "rrf"]


def test_what_a_search_costs_and_what_was_left_out_is_said(project):
    with (project / "llmapp.toml").open("a") as settings:
        settings.write("[prices.rerank-x]\ninput_usd_per_million = 0\nusd_per_thousand_searches = 2.0\n")
        settings.write('[retrieval]\nreranker = "api:rerank-x"\nreranker_url = "http://127.0.0.1:9/rerank"\n')
    questions, gate = str(project / "questions.jsonl"), ("--baseline", str(project / "b.json"), "--update")
    for verb, options, code in (("retrieval", (), 0), ("gate", gate, 15)):
        printed = run(project, verb, questions, *options, code=code)
        assert "each of 3 searches is paid for: a call of the reranker rerank-x" in printed
        assert "2 of 2 questions were not searched for as the settings say" in " ".join(printed.split())
    assert not (project / "b.json").exists()
    printed = " ".join(run(project, "answers", questions).split())
    assert "of extractive costs nothing; beside that each is paid for: a call of the reranker rerank-x" in printed
    assert "3 of 3 questions were not searched for as the settings say" in printed


def test_the_gate_refuses_other_documents(project):
    arguments = ("gate", str(project / "questions.jsonl"), "--baseline", str(project / "baseline.json"))
    run(project, *arguments, "--update")
    (project / "documents" / "new.md").write_text("# New\n\nSomething else.\n")
    assert runner.invoke(app, ["ingest", "-c", str(project)]).exit_code == 0
    assert "the documents are not those of the baseline" in run(project, *arguments, code=15)
