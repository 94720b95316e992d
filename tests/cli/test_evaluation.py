"""`llmapp eval` from the command line."""

import json

import pytest
from typer.testing import CliRunner

from llmapp.cli.main import app

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
    assert "retrieval.candidates: 30 → 5" in run(project, *arguments)


def test_every_question_is_written_to_a_table(project):
    run(project, "retrieval", str(project / "questions.jsonl"), "--per-query", str(project / "q.csv"))
    assert len((project / "q.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_a_broken_data_set_has_an_exit_code_of_its_own(project):
    (project / "questions.jsonl").write_text("{", encoding="utf-8")
    assert "questions.jsonl, line 1" in run(project, "retrieval", str(project / "questions.jsonl"), code=15)
