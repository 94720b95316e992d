"""The verbs of connectors, with real packages beside llmapp and real sources."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmapp.cli.main import app
from llmapp.testing.checks import CHECKS

ROOT = Path(__file__).resolve().parents[2]
LEAKY = '''
"""A connector of a third party."""
from pydantic import BaseModel, SecretStr
from llmapp.connector import Checkpoint, ConnectorError, Document, Upsert

class Leaky(BaseModel, frozen=True):
    """Says too much.

    And more."""

    token: SecretStr
    count: int = 1
    is_down: bool = False

    def read(self, cursor):
        if self.is_down:
            raise ConnectorError(f"401 for {self.token.get_secret_value()}", hint="renew the token")
        for number in range(self.count):
            yield Upsert(Document(id=str(number), uri=f"x?token={self.token.get_secret_value()}", text="words"))
        yield Checkpoint(None)
'''


def invoke(*arguments):
    return CliRunner().invoke(app, ["connector", *arguments])


def shape(*arguments):
    return json.loads(invoke(*arguments, "--json").stdout)


def outcomes(*arguments):
    return {check["name"]: check["outcome"] for check in shape("test", *arguments)["checks"]}


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    (folder / "notes").mkdir(parents=True)
    for number in range(3):
        (folder / "notes" / f"{number}.txt").write_text(f"note {number}")
    sources = (
        '[[sources]]\nname = "notes"\nsettings = { path = "notes" }\n[[sources]]\nname = "broken"\nconnector = "none"\n'
    )
    (folder / "llmapp.toml").write_text(sources)
    return folder


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Installs a package of one module in a folder of the search path."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    modules = set(sys.modules)

    def install(name, code, points):
        (site / f"{name}.py").write_text(code)
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_bytes(points)

    yield install
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def leaky(plugin):
    plugin("acme", LEAKY, b"[llmapp.connectors]\nleaky = acme:Leaky\n")


def test_list_names_each_connector_with_its_package_and_what_it_reads():
    listed = {one["name"]: one for one in shape("list")["connectors"]}
    assert listed["files"] == {
        "name": "files",
        "package": "llmapp",
        "summary": "Files below `path`, in the order of their names.",
        "problem": None,
    }
    assert set(listed) >= {
        point.name for point in metadata.distribution("llmapp").entry_points.select(group="llmapp.connectors")
    }
    assert "✓ files (llmapp): Files below" in invoke("list").stdout


def test_list_goes_on_past_everything_that_is_broken(plugin, leaky):
    plugin("bomb", "raise SystemExit('boom')", b"[llmapp.connectors]\nbomb = bomb:Bomb\n")
    plugin("twin", LEAKY, b"[llmapp.connectors]\nleaky = twin:Leaky\n")
    plugin("thief", LEAKY, b"[llmapp.connectors]\nfiles = thief:Leaky\n")
    plugin("shattered", "", b"\xff\xfe")
    listed = {(one["name"], one["package"]): one["problem"] for one in shape("list")["connectors"]}
    assert listed["files", "llmapp"] is None
    assert "SystemExit: boom" in listed["bomb", "bomb"]
    assert "acme and twin" in listed["leaky", "acme"]
    assert "acme and twin" in listed["leaky", "twin"]
    assert "llmapp has" in listed["files", "thief"]
    assert "cannot be read" in listed[None, "shattered"]
    plain = invoke("list")
    assert plain.exit_code == 0
    assert "✗ bomb (bomb): " in plain.stdout
    assert "✗ ? (shattered): " in plain.stdout


def test_new_writes_a_package_whose_test_passes_and_whose_code_is_clean(tmp_path):
    done = invoke("new", "my-notes", "--in", str(tmp_path))
    assert done.exit_code == 0, done.output
    made = tmp_path / "llmapp-connector-my-notes"
    files = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    assert files == {"pyproject.toml", "README.md", "src/llmapp_connector_my_notes/__init__.py", "tests/test_my_notes.py"}
    assert not [path for path in made.rglob("*") if path.is_file() and "__" in path.read_text().replace("__init__", "")]
    assert len((made / "src/llmapp_connector_my_notes/__init__.py").read_text().splitlines()) < 25
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error"]
    ran = subprocess.run(tests, cwd=made, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(CHECKS) + 1} passed" in ran.stdout
    for verb in (["check"], ["format", "--check"]):
        clean = subprocess.run(
            [sys.executable, "-m", "ruff", *verb, "--no-cache", "."], cwd=made, capture_output=True, check=False
        )
        assert clean.returncode == 0, clean.stdout


def test_the_new_connector_is_found_by_its_entry_point_when_it_is_installed(tmp_path, project):
    assert invoke("new", "none", "--in", str(tmp_path)).exit_code == 0
    made, site = tmp_path / "llmapp-connector-none", tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    built = subprocess.run(
        [*pip, "--target", str(site), str(made)], capture_output=True, text=True, timeout=120, check=False
    )
    assert built.returncode == 0, built.stderr
    run = [sys.executable, "-m", "llmapp.cli", "connector", "test", "none", "--set", "path=notes", "-c", str(project)]
    done = subprocess.run(run, env={"PYTHONPATH": str(site)}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["../outside", "1st", "a b", "", "Notes", "notes-", "a--b", "a.b", "ä", "x" * 65, "a\n"])
def test_a_name_that_cannot_be_a_connector_is_refused(tmp_path, name):
    done = invoke("new", name, "--in", str(tmp_path))
    assert done.exit_code == 3, done.output
    assert "small letters" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["none", "class", "document", "path", "a1-b2_c3"])
def test_a_name_may_be_a_word_of_the_language(tmp_path, name):
    assert invoke("new", name, "--in", str(tmp_path)).exit_code == 0
    (code,) = tmp_path.rglob("__init__.py")
    compile(code.read_text(), str(code), "exec")


def test_new_does_not_write_over_what_is_there(tmp_path):
    (tmp_path / "llmapp-connector-mine").mkdir()
    (tmp_path / "llmapp-connector-mine/file").write_text("precious")
    assert invoke("new", "mine", "--in", str(tmp_path)).exit_code == 3
    assert [path.name for path in tmp_path.rglob("*")] == ["llmapp-connector-mine", "file"]


def test_a_source_of_the_settings_is_tested_as_it_stands_whatever_the_others_are(project):
    assert set(outcomes("notes", "-c", str(project)).values()) == {"passed"}
    done = invoke("test", "notes", "-c", str(project))
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == len(CHECKS)
    assert all(line.startswith("✓ ") for line in done.stdout.splitlines())


def test_what_is_given_takes_the_place_of_a_setting(project):
    done = invoke("test", "notes", "--set", "glob=*.md", "-c", str(project))
    assert done.exit_code == 1
    assert "✗ can be read: the source holds no document" in done.stdout


def test_a_connector_is_tested_by_its_name_with_settings(project):
    assert set(outcomes("files", "--set", "path=notes", "--set", "max_bytes=1000", "-c", str(project)).values()) == {
        "passed"
    }


def test_a_large_source_is_sampled(project):
    found = outcomes("notes", "--limit", "2", "-c", str(project))
    assert {name for name, outcome in found.items() if outcome == "skipped"} == {
        check.name for check in CHECKS if check.needs_whole_source
    }
    plain = invoke("test", "notes", "--limit", "2", "-c", str(project))
    assert plain.exit_code == 0
    assert "- ends with a checkpoint: needs the whole source, which holds more than 2 documents" in plain.stdout
    assert "skipped" not in outcomes("notes", "--limit", "0", "-c", str(project)).values()


def test_a_broken_promise_is_told_without_the_secret_and_ends_with_exit_code_1(leaky, project, monkeypatch):
    monkeypatch.setenv("ACME_TOKEN", "s3cret!")
    arguments = ("leaky", "--set", 'token={"env": "ACME_TOKEN"}', "-c", str(project))
    done = invoke("test", *arguments)
    assert done.exit_code == 1
    assert "✗ shows no secret: the secret token is shown" in done.stdout
    assert outcomes(*arguments)["shows_no_secret"] == "failed"
    assert "s3cret!" not in done.output + json.dumps(shape("test", *arguments))


def test_a_secret_in_plain_words_is_refused_as_in_the_settings(leaky, project):
    done = invoke("test", "leaky", "--set", "token=s3cret!", "-c", str(project))
    assert done.exit_code == 3
    assert "env" in done.stderr
    assert "s3cret!" not in done.output


def test_a_secret_comes_from_the_environment_as_in_the_settings(leaky, project, monkeypatch):
    arguments = ("test", "leaky", "--set", 'token={"env": "ACME_TOKEN"}', "-c", str(project))
    assert "ACME_TOKEN is not set" in invoke(*arguments).stderr
    monkeypatch.setenv("ACME_TOKEN", "s3cret!")
    done = invoke(*arguments)
    assert "✗ shows no secret" in done.stdout
    assert "s3cret!" not in done.output


def test_a_source_that_is_down_is_told_without_the_secret(leaky, project, monkeypatch):
    monkeypatch.setenv("ACME_TOKEN", "s3cret!")
    arguments = ("leaky", "--set", 'token={"env": "ACME_TOKEN"}', "--set", "is_down=true", "-c", str(project))
    done = invoke("test", *arguments)
    assert done.exit_code == 1
    assert "✗ can be read: reading it from the start raises ConnectorError: 401 for ***: renew the token" in done.stdout
    assert "- describes every document: it cannot be read" in done.stdout
    assert "s3cret!" not in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "no source has that name"),
        (["notes", "--set", "path"], "KEY=VALUE"),
        (["notes", "--set", "pth=notes"], "did you mean 'path'"),
        (["notes", "--set", 'max_bytes="many"'], "max_bytes"),
        (["broken"], "none"),
    ],
)
def test_bad_input_is_one_line_with_a_hint(project, arguments, words):
    done = invoke("test", *arguments, "-c", str(project))
    assert done.exit_code == 3, done.output
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2
    assert json.loads(invoke("test", *arguments, "-c", str(project), "--json").stdout)["error"]["hint"]


def test_nothing_is_taken_in(project):
    invoke("test", "notes", "-c", str(project))
    status = CliRunner().invoke(app, ["status", "--json", "-c", str(project)])
    assert json.loads(status.stdout)["documents"] == 0


def test_a_name_that_llmapp_has_a_connector_of_is_refused(tmp_path):
    done = invoke("new", "files", "--in", str(tmp_path))
    assert done.exit_code == 3
    assert "of its own" in done.stderr
    assert not list(tmp_path.iterdir())
