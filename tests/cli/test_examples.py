"""Verbs on worked examples, as a user meets them."""

import json

import pytest
from typer.testing import CliRunner

from llmapp.cli.main import app


@pytest.fixture
def project(tmp_path):
    (tmp_path / "llmapp.toml").write_text(
        '[[sources]]\nname = "docs"\nacl = ["public"]\nsettings.path = "documents"\n', encoding="utf-8"
    )
    (tmp_path / "documents").mkdir()
    text = "# Water\n\nWater damage is reported within seven days.\n"
    (tmp_path / "documents/water.md").write_text(text, encoding="utf-8")
    return tmp_path


def invoke(project, *arguments):
    return CliRunner().invoke(app, ["examples", *arguments, "-c", str(project)])


def read(project, *arguments):
    done = invoke(project, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def add(project, question, answer, *tags):
    return invoke(project, "add", "--question", question, "--answer", answer, *(f"--tag={tag}" for tag in tags))


def test_an_example_is_added_and_listed_by_its_tags(project):
    assert invoke(project, "list").output.startswith("there are no examples; to add one")
    assert add(project, "When is water damage reported?", "Within seven days [1].", "water", "claims").exit_code == 0
    assert "1 added to" in add(project, "And glass?", "At once.").output
    assert [each["number"] for each in read(project, "list")["examples"]] == [1, 2]
    assert read(project, "list", "--tag", "water", "--tag", "claims")["examples"] == [
        {
            "number": 1,
            "question": "When is water damage reported?",
            "answer": "Within seven days [1].",
            "tags": ["water", "claims"],
        }
    ]
    shown = invoke(project, "list").output
    assert "And glass?" in shown
    assert "water, claims" in shown
    assert "with these tags" in invoke(project, "list", "--tag", "none").output


def test_the_same_question_is_refused_a_second_time(project):
    add(project, "And glass?", "At once.")
    again = add(project, "and  GLASS?", "Never.")
    assert again.exit_code == 9
    assert "examples.jsonl has an example of this question" in again.stderr


def rate(project, rows):
    file = project / "rated.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return "--rated", str(file), "--at-least", "4"


def ask(project, question):
    asked = CliRunner().invoke(app, ["ask", question, "--json", "-c", str(project)])
    assert asked.exit_code == 0, asked.output
    return json.loads(asked.stdout)


def test_an_answer_with_a_rating_beside_it_becomes_an_example(project):
    CliRunner().invoke(app, ["ingest", "-c", str(project)])
    answer = ask(project, "When is water damage reported?")
    added = read(project, "add", *rate(project, [answer | {"rating": 5}]), "--tag", "rated")
    assert added == {
        "added": [{"question": "When is water damage reported?", "answer": answer["answer"], "tags": ["rated"]}],
        "there_already": 0,
        "left_out": [],
    }
    assert "Water damage" in answer["answer"]


def test_an_answer_from_what_not_everybody_may_read_is_left_out_until_somebody_has_read_it(project):
    settings = project / "llmapp.toml"
    settings.write_text(settings.read_text("utf-8").replace('"public"', '"user:local"'), encoding="utf-8")
    CliRunner().invoke(app, ["ingest", "-c", str(project)])
    given = rate(project, [ask(project, "When is water damage reported?") | {"rating": 5}])
    left_out = read(project, "add", *given)
    assert left_out["added"] == []
    assert left_out["left_out"][0]["why"] == "1 of the 1 sources of its prompt are not for everybody, or are there no more"
    said = invoke(project, "add", *given).output
    assert "left out, line 1" in said
    assert "add it with --reviewed" in said
    assert len(read(project, "add", *given, "--reviewed")["added"]) == 1


def test_well_rated_answers_are_added_once(project):
    rows = [{"question": f"Q{n}?", "answer": f"A{n}.", "rating": n, "model": "m"} for n in (1, 4, 5, 5)]
    given = rate(project, rows)
    assert [each["line"] for each in read(project, "add", *given)["left_out"]] == [3, 4, 2]
    added = read(project, "add", *given, "--reviewed")
    assert [each["question"] for each in added["added"]] == ["Q5?", "Q4?"]
    assert added["there_already"] == 1
    assert "0 added to" in invoke(project, "add", *given, "--reviewed").output


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--question", "a"),
        ("--rated", "x"),
        ("--rated", "x", "--at-least", "1", "--answer", "b"),
        ("--at-least", "1"),
        ("--question", "a", "--answer", "b", "--reviewed"),
    ],
)
def test_half_an_example_is_wrong_usage(project, arguments):
    assert invoke(project, "add", *arguments).exit_code == 2


def test_a_wrong_line_is_told_by_the_list_and_by_a_question(project):
    (project / "examples.jsonl").write_text('{"question": "a"}\n', encoding="utf-8")
    assert "examples.jsonl, line 1: answer is missing" in invoke(project, "list").stderr
    CliRunner().invoke(app, ["ingest", "-c", str(project)])
    asked = CliRunner().invoke(app, ["ask", "When?", "-c", str(project)])
    assert asked.exit_code == 9
    assert "line 1" in asked.stderr
    checked = CliRunner().invoke(app, ["doctor", "--json", "-c", str(project)])
    assert "examples.jsonl, line 1: answer is missing" in checked.stdout


def test_examples_stand_in_a_preview_and_are_tested(project):
    assert CliRunner().invoke(app, ["ingest", "-c", str(project)]).exit_code == 0
    assert invoke(project, "test").exit_code == 9
    add(project, "When is water damage reported?", "Within seven days [1].")
    add(project, "When is a burglary reported?", "Within forty hours [1].")
    preview = CliRunner().invoke(app, ["prompt", "preview", "When is a flood reported?", "--json", "-c", str(project)])
    sections = [decision["section"] for decision in json.loads(preview.stdout)["prompt"]["decisions"]]
    assert sections == ["system", "examples", "examples", "sources", "question"]
    assert (project / ".llmapp" / "example_vectors.npz").is_file()
    tested = read(project, "test")
    assert (tested["examples"], tested["cost_usd"]) == (2, 0)
    assert [each["examples_shown"] for each in tested["by_example"]] == [1, 1]
    shown = invoke(project, "test")
    for words in (
        "2 examples, each left out once",
        "F1",
        "reads no examples",
        "asking 4 questions of extractive costs nothing",
    ):
        assert words in shown.output + shown.stderr
