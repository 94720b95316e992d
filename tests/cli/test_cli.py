"""The command line as a user meets it: real processes where it matters, the runner elsewhere."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmapp.cli import errors as cli_errors
from llmapp.cli.main import app
from llmapp.errors import LLMAppError, PromptError
from llmapp.types import Found

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/01_ask_your_files"
ANSWER_KEYS = {
    "question",
    "follows_up",
    "answer",
    "citations",
    "model",
    "usage",
    "cost_usd",
    "prompt",
    "queries",
    "notes",
    "timings_s",
}
PROMPT_KEYS = {
    "budget_tokens", "used_tokens", "reserved_output_tokens", "static_prefix_tokens", "reusable_prefix_tokens", "is_exact", "counter", "template",
    "kept", "dropped", "sections", "decisions",
}  # fmt: skip
CITATION_KEYS = {"number", "uri", "title", "page", "start_char", "end_char", "quote"}
HIT_KEYS = {"rank", "score", "uri", "document_id", "chunk_id", "start_char", "end_char", "page", "text"}
ERROR_KEYS = {"code", "message", "hint", "retryable"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "app"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".llmapp", "__pycache__"))
    done = invoke("ingest", "--config", str(folder), "--json")
    assert done.exit_code == 0, done.output
    return folder


def invoke(*arguments, **options):
    return CliRunner().invoke(app, list(arguments), **options)


def read(*arguments):
    done = invoke(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_an_answer_has_the_documented_shape(project):
    answer = read("ask", "What is the deductible for natural hazards in Saxony?", "-c", str(project))
    assert set(answer) == ANSWER_KEYS
    assert set(answer["prompt"]) == PROMPT_KEYS
    assert {share["name"] for share in answer["prompt"]["sections"]} >= {"history", "sources"}
    assert [d["item"] for d in answer["prompt"]["decisions"] if d["section"] == "question"] == ["question"]
    assert answer["citations"]
    assert all(set(citation) == CITATION_KEYS for citation in answer["citations"])
    assert answer["prompt"]["used_tokens"] <= answer["prompt"]["budget_tokens"]
    assert answer["cost_usd"] == 0


def test_a_summary_has_the_documented_shape_and_says_first_what_it_takes(project):
    task = "What is the deductible for natural hazards?"
    done = invoke("summarize", task, "--words", "50", "-c", str(project), "--json")
    summary, said = json.loads(done.stdout), done.stderr
    assert set(summary) == {
        "summary", "citations", "model", "documents", "rounds", "usage", "cost_usd", "requests", "notes", "timings_s"
    }  # fmt: skip
    assert summary["citations"]
    assert all(set(citation) == CITATION_KEYS for citation in summary["citations"])
    assert all(each["used_tokens"] <= each["budget_tokens"] for each in summary["requests"])
    assert summary["notes"] == [
        "the extractive model quotes passages near the task and summarizes nothing; choose a model that writes"
    ]
    plan = read("summarize", task, "--plan", "-c", str(project))
    assert plan["requests"] == sum(each["round"] == 1 for each in summary["requests"])
    assert f"{plan['documents']} documents, {plan['tokens']:,} tokens, {plan['requests']} requests" in said
    assert "asking extractive costs nothing" in said


def test_a_summary_is_printed_with_its_citations_and_what_it_took(project):
    one = 'uri = "documents/claims/claims-deadlines.html"'
    shown = invoke("summarize", "When does a claim expire?", "-w", one, "-c", str(project)).stdout
    assert "[1] Claims deadlines" in shown
    assert "1 document · 1 request · " in shown
    assert "cost $0.000000" in shown


def test_a_summary_of_nothing_is_an_error(project):
    done = invoke("summarize", "Sum it up", "-w", 'uri = "nothing"', "-c", str(project))
    assert done.exit_code == cli_errors.EXIT_CODES[PromptError]
    assert "there is no document to summarize" in done.stderr
    assert invoke("summarize", " ", "-c", str(project)).exit_code == cli_errors.EXIT_CODES[PromptError]
    assert invoke("summarize", "Sum it up", "--words", "0", "-c", str(project)).exit_code == 2


def test_hits_have_the_documented_shape(project):
    found = read("search", "water damage", "-k", "3", "-c", str(project))
    hits = found["hits"]
    assert (found["notes"], found["cost_usd"]) == ([], 0)
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert all(set(hit) == HIT_KEYS for hit in hits)


def test_a_search_says_what_was_left_out(project, tmp_path):
    shutil.copytree(project, tmp_path / "app")
    settings = tmp_path / "app" / "llmapp.toml"
    reranker = '[retrieval]\nreranker = "api:rerank-x"\nreranker_url = "http://127.0.0.1:9/rerank"'
    price = "[prices.rerank-x]\ninput_usd_per_million = 0\nusd_per_thousand_searches = 2.0\n"
    settings.write_text(settings.read_text().replace("[retrieval]", reranker) + price)
    (note,) = read("search", "water damage", "-c", str(tmp_path / "app"))["notes"]
    assert note.startswith("rerank was left out: api:rerank-x")
    assert "rerank was left out" in invoke("search", "water damage", "-c", str(tmp_path / "app")).output


def test_what_a_search_has_cost_is_said_where_it_cost_something(capsys):
    from rich.console import Console

    from llmapp.cli.render import print_found

    print_found(Console(), Found((), cost_usd=0.00012))
    assert "cost $0.000120" in capsys.readouterr().out
    print_found(Console(), Found(()))
    assert "cost" not in capsys.readouterr().out


def test_a_second_ingest_reports_everything_as_unchanged(project):
    (report,) = read("ingest", "-c", str(project))["sources"]
    assert report["unchanged"] == len(list((project / "documents").rglob("*.*")))
    assert report["added"] == report["changed"] == report["embedded_texts"] == 0


def test_status_says_what_there_is(project):
    status = read("status", "-c", str(project))
    assert status["documents"] == 22
    assert status["pending"] == status["quarantined"] == 0
    assert status["degraded"] is None


def test_doctor_finds_nothing_broken(project):
    checks = {check["name"]: check["outcome"] for check in read("doctor", "-c", str(project))["checks"]}
    assert set(checks) == {
        "python", "sqlite", "settings", "disk", "connectors", "catalog", "embedder", "model", "price", "template", "examples",
        "index"
    }  # fmt: skip
    assert "failed" not in checks.values()


def test_doctor_fails_where_a_setting_is_wrong(tmp_path):
    (tmp_path / "llmapp.toml").write_text("modle = 'x'")
    done = invoke("doctor", "-c", str(tmp_path))
    assert done.exit_code == 1
    assert "did you mean model?" in done.stdout


_SERVED = """
embedder = "openai-compatible:m"
[embedder_options]
base_url = "http://127.0.0.1:9/v1"
dimensions = 8
[prices."openai-compatible:m"]
input_usd_per_million = 1
"""


def _checked(folder, code):
    done = invoke("doctor", "-c", str(folder), "--json")
    assert done.exit_code == code, done.output
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_doctor_asks_no_embedder_that_is_paid_for(tmp_path):
    (tmp_path / "llmapp.toml").write_text(_SERVED)  # nobody listens there
    assert _checked(tmp_path, 0)["embedder"]["detail"].endswith("not asked")


def test_doctor_fails_where_the_vectors_are_those_of_another_embedder(project, tmp_path):
    shutil.copytree(project, tmp_path / "app")
    settings = tmp_path / "app/llmapp.toml"
    _, tables = settings.read_text().split("\n[", 1)
    settings.write_text(f"{_SERVED}\n[{tables}")
    embedder = _checked(tmp_path / "app", 1)["embedder"]
    assert embedder["outcome"] == "failed"
    assert "was embedded with" in embedder["detail"]
    assert "llmapp ingest" in embedder["hint"]


def test_looking_at_the_index_does_not_change_it(project):
    for _ in range(3):
        assert read("index", "verify", "-c", str(project))["ok"]
    assert read("index", "digest", "-c", str(project)) == read("index", "digest", "-c", str(project))


@pytest.mark.parametrize("verb", [["ask", "What is the deductible for glass?"], ["search", "glass"], ["status"], ["ingest"]])
def test_every_verb_prints_for_people_too(project, verb):
    done = invoke(*verb, "-c", str(project))
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) > 3
    assert "{" not in done.stdout


def test_a_question_can_come_from_standard_input(project):
    done = invoke("ask", "-", "-c", str(project), "--json", input="What is the deductible for glass?\n")
    assert json.loads(done.stdout)["answer"]


def test_an_empty_folder_is_an_error_of_its_own_and_loses_nothing(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("Something to keep.")
    config = str(_toml(tmp_path))
    assert invoke("ingest", str(folder), "-c", config).exit_code == 0
    (folder / "a.txt").unlink()
    done = invoke("ingest", str(folder), "-c", config, "--json")
    assert json.loads(done.stdout)["error"]["code"] == "source_empty"
    assert read("status", "-c", config)["documents"] == 1


def test_doctor_names_a_catalog_that_is_no_database(tmp_path):
    (tmp_path / ".llmapp").mkdir()
    (tmp_path / ".llmapp/catalog.db").write_bytes(b"no database" * 100)
    done = invoke("doctor", "-c", str(_toml(tmp_path)))
    assert done.exit_code == 1
    assert "move it away" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (["ingest", "no/such/path"], "source_not_found", 4),
        (["ingest"], "config_invalid", 3),
        (["ask", ""], "prompt_failed", 9),
        (["ask", "x" * 100_000], "question_too_long", 9),
        (["search", " "], "prompt_failed", 9),
    ],
)
def test_bad_input_is_one_line_with_a_hint_and_its_own_exit_code(tmp_path, arguments, code, exit_code):
    config = str(_toml(tmp_path))
    done = invoke(*arguments, "-c", config, "--json")
    assert done.exit_code == exit_code
    error = json.loads(done.stdout)["error"]
    assert set(error) == ERROR_KEYS
    assert error["code"] == code
    plain = invoke(*arguments, "-c", config)
    assert plain.exit_code == exit_code
    assert plain.stderr.startswith("error: ")
    assert "Traceback" not in plain.output
    assert len(plain.stderr.strip().splitlines()) == 2


@pytest.mark.parametrize(
    ("model", "code"),
    [("gpt-unknown", "unknown_model"), ("openai:gpt-4o", "model_auth_failed"), ("nobody:x", "unknown_model")],
)
def test_a_model_that_cannot_be_had_is_a_clear_error(tmp_path, model, code):
    done = invoke("ask", "Anything?", "-c", str(_toml(tmp_path, f'model = "{model}"')), "--json")
    assert json.loads(done.stdout)["error"]["code"] == code


def test_a_missing_settings_file_is_a_clear_error(tmp_path):
    done = invoke("status", "-c", str(tmp_path / "no.toml"))
    assert done.exit_code == 3
    assert "llmapp new NAME" in done.stderr


def test_a_bug_is_one_line_too(project, monkeypatch):
    monkeypatch.setattr("llmapp.application.App.status", lambda self: 1 / 0)
    done = invoke("status", "-c", str(project))
    assert done.exit_code == 1
    assert "report it" in done.stderr
    assert "Traceback" not in done.output


def test_ctrl_c_has_the_exit_code_of_shells(project, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr("llmapp.application.App.status", interrupt)
    assert invoke("status", "-c", str(project)).exit_code == 130


def test_exit_codes_are_unique_and_clear_of_those_of_the_shell():
    codes = list(cli_errors.EXIT_CODES.values())
    assert len(codes) == len(set(codes))
    assert all(3 <= code < 64 for code in codes)
    assert cli_errors.exit_code(LLMAppError("x")) == 1


def test_every_verb_has_help():
    for verb in (
        [],
        ["new"],
        ["ingest"],
        ["ask"],
        ["search"],
        ["status"],
        ["doctor"],
        ["serve"],
        ["index"],
        ["index", "verify"],
    ):
        done = invoke(*verb, "--help")
        assert done.exit_code == 0
        assert "Usage" in done.stdout


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert invoke("--version").stdout.strip() == f"llmapp {version('llmapp')}"


def test_new_lays_down_an_application_that_runs_at_once(tmp_path):
    done = invoke("new", "my-app", "--in", str(tmp_path))
    assert done.exit_code == 0, done.output
    made = tmp_path / "my-app"
    assert (made / ".gitignore").is_file()
    assert not [path for path in made.rglob("*") if path.is_file() and "__NAME__" in path.read_text(errors="ignore")]
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(tests, cwd=made, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert read("ingest", "-c", str(made))["sources"][0]["added"] > 0
    assert read("ask", "How many days of leave do I have?", "-c", str(made))["citations"]


@pytest.mark.parametrize("name", ["../outside", "1st", "a b", ""])
def test_a_name_that_cannot_be_a_project_is_refused(tmp_path, name):
    assert invoke("new", name, "--in", str(tmp_path)).exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_new_does_not_write_over_what_is_there(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("precious")
    assert invoke("new", "mine", "--in", str(tmp_path)).exit_code == 3
    assert (tmp_path / "mine/file").read_text() == "precious"


def _toml(folder, text=""):
    (folder / "llmapp.toml").write_text(text)
    return folder


def test_a_filter_narrows_a_search_and_an_answer(project):
    hits = read("search", "water damage", "--where", 'document_id = "claims/claims-procedure.md"', "-c", str(project))[
        "hits"
    ]
    assert {hit["document_id"].partition(":")[2] for hit in hits} == {"claims/claims-procedure.md"}
    answer = read("ask", "When must water damage be reported?", "--where", '{"document_id": "none"}', "-c", str(project))
    assert not answer["citations"]


def test_a_filter_that_is_wrong_is_shown_with_its_place(project):
    done = invoke("search", "water damage", "--where", "year >= and", "-c", str(project))
    assert done.exit_code == 8
    assert done.stderr.splitlines() == [
        "error: the filter, character 9: a value is expected",
        "  year >= and",
        "          ^",
        "  see architecture/filters.md for the grammar",
    ]


def test_the_fields_that_a_filter_may_name_are_listed(project):
    fields = {field["name"]: field["documents"] for field in read("fields", "-c", str(project))["fields"]}
    assert fields["title"] == {"text": 22}
    assert fields["committed_at"] == {"text": 22, "time": 22}
    assert "committed_at" in invoke("fields", "-c", str(project)).stdout
    done = invoke("search", "water", "--where", "titel = 'x'", "-c", str(project), "--json")
    assert done.exit_code == 8
    assert json.loads(done.stdout)["error"]["code"] == "unknown_field"
