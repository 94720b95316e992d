"""Verbs on prompts, as a user meets them."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from llmapp.application import App
from llmapp.cli.main import app
from llmapp.prompting.templates import load_template


@pytest.fixture
def project(tmp_path):
    (tmp_path / "llmapp.toml").write_text('[prompt]\ntemplate = "answer_with_sources@acme-1"\n', encoding="utf-8")
    (tmp_path / "prompts").mkdir()
    words = load_template().text.replace('version = "1"', 'version = "acme-1"').replace("a few sentences", "rhyme")
    (tmp_path / "prompts/answer_with_sources.md").write_text(words, encoding="utf-8")
    return tmp_path


def invoke(project, *arguments):
    return CliRunner().invoke(app, ["prompt", *arguments, "-c", str(project)])


def read(project, *arguments):
    done = invoke(project, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_templates_are_listed_with_where_they_are_from_and_which_is_used(project):
    listed = read(project, "list")["templates"]
    own, built_in = (each for each in listed if each["name"] == "answer_with_sources")
    assert (own["version"], own["built_in"], own["used"]) == ("acme-1", False, True)
    assert (built_in["version"], built_in["built_in"], built_in["used"]) == ("1", True, False)
    assert own["sections"][0]["name"] == "history"
    shown = invoke(project, "list").output
    assert "answer_with_sources@acme-1" in shown
    assert shown.count("in use") == 1
    assert "summary_whole@2" in shown


def test_a_template_is_shown_as_its_file_has_it_so_that_it_can_be_changed(project):
    assert invoke(project, "show", "sql").output == load_template("sql").text
    shown = read(project, "show", "answer_with_sources")
    assert shown["slots"] == {"system": ["refusal"], "user": ["sources", "question"]}
    assert shown["text"] == (project / "prompts/answer_with_sources.md").read_text(encoding="utf-8")
    assert read(project, "show", "answer_with_sources@1")["built_in"]


def shell(project, line):
    """What a person types in the project's folder."""
    verb = f'"{sys.executable}" -m llmapp.cli'
    return subprocess.run(
        ["sh", "-c", line.replace("llmapp", verb)], cwd=project, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_documented_way_to_a_template_of_one_s_own_works_in_a_shell(tmp_path):
    (tmp_path / "llmapp.toml").write_text("", encoding="utf-8")
    copied = shell(
        tmp_path, "llmapp prompt copy answer_with_sources --version acme-1 && llmapp prompt diff answer_with_sources"
    )
    assert copied.returncode == 0, copied.stderr
    assert '+version = "acme-1"' in copied.stdout
    assert load_template().text == shell(tmp_path, "llmapp prompt show answer_with_sources@1").stdout


def test_a_file_that_a_shell_has_emptied_is_told_of_with_a_way_out(project):
    lost = shell(project, "llmapp prompt show answer_with_sources > prompts/answer_with_sources.md")
    assert lost.returncode == 9
    assert "llmapp prompt show answer_with_sources@1" in lost.stderr
    assert shell(project, "llmapp prompt show answer_with_sources@1").returncode == 0
    listed = read(project, "list")
    assert [problem["line"] for problem in listed["problems"]] == [1]
    assert not any(each["used"] for each in listed["templates"])
    assert "answer_with_sources.md, line 1" in invoke(project, "list").output


def test_a_template_is_copied_once(project):
    assert read(project, "copy", "sql", "--version", "acme-3")["version"] == "acme-3"
    assert "(own-1)" in invoke(project, "copy", "route").output
    again = invoke(project, "copy", "sql")
    assert (again.exit_code, "cannot be written" in again.stderr) == (9, True)


def test_a_list_tells_of_a_template_that_is_not_there_or_cannot_be_read_to_its_end(project):
    (project / "llmapp.toml").write_text('[prompt]\ntemplate = "poem"\n', encoding="utf-8")
    file = project / "prompts/answer_with_sources.md"
    file.write_text(file.read_text(encoding="utf-8").replace("{{ sources }}", "{{ sources"), encoding="utf-8")
    unclosed, missing = read(project, "list")["problems"]
    assert (unclosed["file"], unclosed["line"]) == (str(file), 33)
    assert "named poem" in missing["message"]


def test_the_built_in_template_is_compared_with_the_project_s(project):
    found = read(project, "diff", "answer_with_sources")
    assert (found["first"], found["second"]) == ("answer_with_sources@1", "answer_with_sources@acme-1")
    assert '-version = "1"\n+version = "acme-1"\n' in found["diff"]
    assert '+version = "acme-1"' in invoke(project, "diff", "answer_with_sources").output
    turned = read(project, "diff", "answer_with_sources@acme-1", "answer_with_sources@1")
    assert '-version = "acme-1"\n+version = "1"\n' in turned["diff"]


def test_a_template_that_is_not_the_project_s_does_not_differ(project):
    assert read(project, "diff", "sql")["diff"] == ""
    assert "sql@1 is as sql@1 is" in invoke(project, "diff", "sql").output


def test_a_wrong_template_is_told_with_its_file_and_line(project):
    (project / "prompts/answer_with_sources.md").write_text("+++\nname = x\n+++\n", encoding="utf-8")
    done = invoke(project, "show", "answer_with_sources")
    assert done.exit_code == 9
    assert "answer_with_sources.md, line 2: the head is not TOML" in done.stderr


def test_an_unknown_template_is_told_with_the_nearest(project):
    done = invoke(project, "show", "sqll")
    assert done.exit_code == 9
    assert "did you mean sql?" in done.stderr


@pytest.fixture
def handbook(project):
    (project / "llmapp.toml").write_text('[[sources]]\nname = "docs"\nacl = ["public"]\nsettings.path = "documents"\n')
    (project / "documents").mkdir()
    (project / "documents/water.md").write_text("# Water\n\nWater damage is reported within seven days.\n", encoding="utf-8")
    assert CliRunner().invoke(app, ["ingest", "-c", str(project)]).exit_code == 0
    return project


def test_a_preview_shows_every_part_and_asks_no_model(handbook, monkeypatch):
    monkeypatch.setattr(App, "model", property(lambda _: pytest.fail("the model was asked for")))
    found = read(handbook, "preview", "When is water damage reported?", "--messages")
    assert [(d["section"], d["outcome"]) for d in found["prompt"]["decisions"]] == [
        ("system", "kept"), ("sources", "kept"), ("question", "kept")
    ]  # fmt: skip
    assert found["hits"][0]["chunk_id"] == found["prompt"]["decisions"][1]["item"]
    assert "in rhyme" in found["messages"][0]["content"]
    assert "messages" not in read(handbook, "preview", "When?")
    assert found["cost_usd"] == 0


def test_a_preview_is_a_waterfall_on_a_terminal(handbook, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    shown = invoke(handbook, "preview", "When is water damage reported?").output
    for words in ("sources", "asked", "Water", "✓ pinned", "of 3,000", "█", "free ·"):
        assert words in shown
    assert "seven days" not in shown
    assert "seven days" in invoke(handbook, "preview", "When is water damage reported?", "--messages").output


def test_a_preview_is_written_as_a_page(handbook):
    done = invoke(handbook, "preview", "When is water damage reported?", "--html", str(handbook / "prompt.html"))
    assert done.exit_code == 0
    html = (handbook / "prompt.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "Water" in html
    refused = invoke(handbook, "preview", "When?", "--html", str(handbook / "no/prompt.html"))
    assert refused.exit_code == 3
    assert "cannot be written" in refused.stderr


def test_a_preview_of_nothing_is_refused(handbook):
    assert invoke(handbook, "preview", " ").exit_code == 9


def test_doctor_tells_of_a_template_that_is_wrong(handbook):
    file = handbook / "prompts/answer_with_sources.md"
    file.write_text(file.read_text(encoding="utf-8").replace("{{ sources }}", "{{ sources * 2 }}"), encoding="utf-8")
    done = CliRunner().invoke(app, ["doctor", "-c", str(handbook), "--json"])
    (check,) = (check for check in json.loads(done.stdout)["checks"] if check["name"] == "template")
    assert (done.exit_code, check["outcome"]) == (1, "failed")
    assert "answer_with_sources.md, line 31: Mul" in check["detail"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{{ refusal }}", "{{ schema }}", "nothing fills the slot schema"),
        ("=== system ===", "=== system ===\n{{ sources }}", "nothing fills the slot sources"),
        ('name = "history"', 'name = "tools"', "has a section tools"),
    ],
)
def test_doctor_tells_of_a_template_that_a_project_does_not_fill(handbook, old, new, message):
    file = handbook / "prompts/answer_with_sources.md"
    file.write_text(file.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    done = CliRunner().invoke(app, ["doctor", "-c", str(handbook), "--json"])
    (check,) = (check for check in json.loads(done.stdout)["checks"] if check["name"] == "template")
    assert (done.exit_code, check["outcome"]) == (1, "failed")
    assert message in check["detail"]
