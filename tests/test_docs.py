"""What the documents say is what the code does."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path

import pytest

from llmapp import errors
from llmapp.cli.errors import exit_code
from llmapp.config import Settings, _table_of, known_keys
from llmapp.server.errors import http_status

ROOT = Path(__file__).resolve().parent.parent
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "architecture").rglob("*.md"))]


def error_classes():
    found = [errors.LLMAppError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return [kind for kind in found if kind.__module__.startswith("llmapp.errors")]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def docstring(key):
    """What stands below the key in its class, or in one that this inherits from."""
    *tables, name = key.split(".")
    table = Settings
    for each in tables:
        table = _table_of(table.model_fields[each])
    owner = next(kind for kind in table.__mro__ if name in inspect.get_annotations(kind))
    body = ast.parse(inspect.getsource(owner)).body[0].body
    below = next(after for line, after in pairwise(body) if isinstance(line, ast.AnnAssign) and line.target.id == name)
    return below.value.value if isinstance(below, ast.Expr) else ""


def test_every_setting_is_in_the_table_with_its_meaning():
    text = read("architecture/settings.md")
    for key in known_keys():
        row = next((line for line in text.splitlines() if line.startswith(f"| `{key}` |")), None)
        assert row, f"{key} is not documented"
        meaning = " ".join(docstring(key).split()).replace("``", "`").replace("|", "\\|")
        assert meaning, f"{key} has no docstring"
        assert meaning in row, f"the meaning of {key} has changed"


def test_the_table_of_settings_names_no_key_that_is_gone():
    named = re.findall(r"^\| `([\w.]+)` \|", read("architecture/settings.md"), re.MULTILINE)
    assert set(named) == set(known_keys())


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_is_documented_with_its_codes(kind):
    made = kind.__new__(kind)
    row = f"| `{kind.code}` | {http_status(made)} | {exit_code(made)} | {'yes' if kind.retryable else 'no'} |"
    assert row in read("architecture/errors.md")


def test_error_codes_are_unique():
    codes = [kind.code for kind in error_classes()]
    assert len(codes) == len(set(codes))


def test_the_tree_in_the_docstring_names_every_error():
    for kind in error_classes():
        assert kind.__name__ in (errors.__doc__ or "")


def test_every_verb_is_in_the_readme():
    text = read("README.md")
    for verb in (
        "new",
        "ingest",
        "ask",
        "summarize",
        "search",
        "fields",
        "status",
        "doctor",
        "index verify",
        "index rebuild",
        "index digest",
        "reindex",
        "serve",
        "quarantine list",
        "quarantine retry",
        "quarantine drop",
        "purge",
        "forget",
        "connector list",
        "connector new",
        "connector test",
        "prompt list",
        "prompt show",
        "prompt copy",
        "prompt diff",
        "prompt preview",
        "examples add",
        "examples list",
        "examples test",
        "models fit",
        "models list",
        "models show",
        "models check",
        "costs forecast",
        "costs compare",
        "costs",
        "costs budgets list",
        "costs budgets set",
        "costs ledger",
        "costs reconcile",
        "eval retrieval",
        "eval answers",
        "eval gate",
    ):
        assert f"llmapp {verb}" in text


def test_every_verb_and_option_that_there_is_is_documented():
    import typer

    from llmapp.cli.main import app

    text = "".join(document.read_text(encoding="utf-8") for document in DOCS)
    command = typer.main.get_command(app)
    for name, verb in command.commands.items():
        for part in getattr(verb, "commands", {"": verb}):
            assert f"llmapp {name} {part}".strip() in text
    for option in command.commands["ingest"].params:
        assert option.name == "paths" or any(name in text for name in option.opts), option.name


def test_every_connector_is_documented():
    text = read("architecture/connectors.md")
    for point in entry_points(group="llmapp.connectors"):
        assert f"| `{point.name}` |" in text
        assert f"(connectors/{point.name}.md)" in text


@pytest.mark.parametrize("page", sorted((ROOT / "architecture/connectors").glob("*.md")), ids=lambda page: page.stem)
def test_the_page_of_a_connector_names_every_setting_and_its_examples_are_made(page, monkeypatch):
    from llmapp.config import Settings, SourceSettings
    from llmapp.sources import SourceBook

    text = page.read_text(encoding="utf-8")
    point = next(point for point in entry_points(group="llmapp.connectors") if point.name == page.stem)
    for field in point.load().model_fields:
        assert f"`{field}" in text, f"{page.name} does not name {field}"
    examples = [tomllib.loads(block) for block in blocks(text, "toml")]
    sources = [source for example in examples for source in example.get("sources", [])]
    assert sources, f"{page.name} has no example"
    for name in re.findall(r'env = "(\w+)"', text):
        monkeypatch.setenv(name, "https://user:secret@host/x" if "URL" in name else "secret")
    for source in sources:
        given = SourceSettings(**source)
        assert SourceBook(Settings()).connector(given.connector, given.settings)


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_links_inside_the_repository_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_readme_program_runs_and_cites(tmp_path):
    (program,) = (block for block in blocks(read("README.md"), "python") if "open_app" in block)
    assert len([line for line in program.splitlines() if line.strip()]) <= 12
    import shutil

    shutil.copytree(ROOT / "examples/01_ask_your_files", tmp_path / "examples/01_ask_your_files")
    shutil.rmtree(tmp_path / "examples/01_ask_your_files/.llmapp", ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\[\d\]", done.stdout)


def test_the_program_on_summaries_runs_and_cites(tmp_path):
    import shutil

    (program,) = (block for block in blocks(read("architecture/prompting.md"), "python") if "app.summarize" in block)
    shutil.copytree(ROOT / "examples/01_ask_your_files", tmp_path / "examples/01_ask_your_files")
    shutil.rmtree(tmp_path / "examples/01_ask_your_files/.llmapp", ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\[\d\]", done.stdout)


def test_the_connector_of_the_tutorial_passes_its_own_test(tmp_path):
    code = "\n\n".join(blocks(read("architecture/connectors.md"), "python"))
    (tmp_path / "test_journal.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_journal.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_verbs_of_make_are_those_of_its_help():
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for verb in ("demo", "test", "check", "bench", "lock"):
        assert f"make {verb}" in done.stdout


def test_no_document_names_a_path_of_a_machine():
    for document in DOCS:
        assert not re.search(r"(?<![\w.])/(?:home|root|work|Users)/", document.read_text(encoding="utf-8"))
