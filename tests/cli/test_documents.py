"""Verbs on documents, as they are typed."""

import json
import os
import subprocess
import sys

import pytest

SETTINGS = """
[[sources]]
name = "notes"
acl = ["public"]
[sources.settings]
path = "notes"
"""


def llmapp(folder, *arguments, code=0):
    command = [sys.executable, "-m", "llmapp.cli", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def project(tmp_path):
    (tmp_path / "llmapp.toml").write_text(SETTINGS)
    (tmp_path / "notes").mkdir()
    for name in ("water", "glass"):
        (tmp_path / f"notes/{name}.md").write_text(f"# {name}\n\nAll that is known about {name} damage.\n")
    return tmp_path


def test_a_dry_run_shows_and_a_manifest_does(project):
    shown = llmapp(project, "ingest", "--dry-run", "--manifest", "plan.json").stdout
    assert "Nothing was changed" in shown
    assert "2 texts" in shown
    assert json.loads(llmapp(project, "status", "--json").stdout)["documents"] == 0
    plan = json.loads((project / "plan.json").read_text())
    assert [change["action"] for change in plan["sources"][0]["changes"]] == ["add", "add"]
    assert plan["cost_usd"] == 0
    assert plan["seconds"] > 0
    (project / "notes/late.md").write_text("# late\n\nCame after the plan.\n")
    done = llmapp(project, "ingest", "--manifest", "plan.json", code=4)
    assert "late.md" in done.stderr
    assert json.loads(llmapp(project, "status", "--json").stdout)["documents"] == 2


def test_a_dry_run_as_json_is_the_manifest(project):
    shown = json.loads(llmapp(project, "ingest", "--dry-run", "--json").stdout)
    assert shown["version"] == 1
    assert shown["embedded_texts"] == 2


@pytest.mark.parametrize("content", [None, "no json"])
def test_a_manifest_that_cannot_be_read_is_one_line(project, content):
    if content:
        (project / "plan.json").write_text(content)
    assert "hint" not in llmapp(project, "ingest", "--manifest", "plan.json", code=3).stderr


def test_quarantine_from_the_command_line(project):
    (project / "notes/blank.md").write_text(" \n")
    done = llmapp(project, "ingest")
    assert "quarantined notes/blank.md" in done.stdout
    (record,) = json.loads(llmapp(project, "quarantine", "list", "--json").stdout)["quarantine"]
    assert (record["code"], record["attempts"], record["retry"], record["next_try_at"]) == ("parse_failed", 1, "never", None)
    assert "when it changes" in llmapp(project, "quarantine", "list").stdout
    llmapp(project, "quarantine", "retry", "blank.md")
    llmapp(project, "quarantine", "drop", "nothing.md", code=6)
    assert "1 let go of" in llmapp(project, "quarantine", "drop", "blank.md").stdout
    assert "nothing is in quarantine" in llmapp(project, "quarantine", "list").stdout


def test_purge_and_forget_from_the_command_line(project):
    llmapp(project, "ingest")
    done = json.loads(llmapp(project, "purge", "notes:water.md", "--json").stdout)
    assert done["is_gone"]
    assert "purged" in llmapp(project, "ingest").stdout
    assert json.loads(llmapp(project, "purge", "--lift", "notes:water.md", "--json").stdout) == {"lifted": True}
    llmapp(project, "ingest")
    assert "It is gone" in llmapp(project, "purge", "water.md").stdout
    llmapp(project, "purge", "never-seen.md", code=6)
    llmapp(project, "purge", "--lift", "never-seen.md", code=6)
    assert "1 documents of notes are removed" in llmapp(project, "forget", "notes").stdout


def test_a_source_that_fails_is_told_with_the_table_and_decides_the_exit_code(project):
    text = SETTINGS + '\n[[sources]]\nname = "gone"\n[sources.settings]\npath = "nowhere"\n'
    (project / "llmapp.toml").write_text(text)
    done = llmapp(project, "ingest", code=4)
    assert "nowhere does not exist" in done.stderr
    assert "notes" in done.stdout
    shape = json.loads(llmapp(project, "ingest", "--json", code=4).stdout)
    assert [source["status"] for source in shape["sources"]] == ["completed", "failed"]
    assert shape["error"]["code"] == "source_not_found"


def test_what_a_connector_prints_does_not_get_into_the_json(project):
    (project / "talking.py").write_text(
        "from langchain_core.document_loaders import BaseLoader\nfrom langchain_core.documents import Document\n"
        "class Talking(BaseLoader):\n    def lazy_load(self):\n        print('Loading 3 items')\n"
        "        yield Document(page_content='words', metadata={'source': 'a'})\n"
    )
    text = (
        SETTINGS + '\n[[sources]]\nname = "talk"\nconnector = "langchain"\n[sources.settings]\nloader = "talking:Talking"\n'
    )
    (project / "llmapp.toml").write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(project), *sys.path])}
    command = [sys.executable, "-m", "llmapp.cli", "ingest", "--json"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert [source["added"] for source in json.loads(done.stdout)["sources"]] == [2, 1]
    assert "Loading 3 items" in done.stderr


def test_an_emptied_folder_is_planned_as_the_error_that_it_is(project):
    llmapp(project, "ingest")
    for file in (project / "notes").iterdir():
        file.unlink()
    assert "holds no documents" in llmapp(project, "ingest", "--dry-run", code=4).stdout
    llmapp(project, "ingest", "--dry-run", "--confirm-deletions", "notes", "--manifest", "plan.json")
    assert "2 deleted" in llmapp(project, "ingest", "--manifest", "plan.json", "--confirm-deletions", "notes").stdout


def test_a_manifest_is_for_its_owner_only_and_names_no_paths_beside_itself(project):
    llmapp(project, "ingest", "--dry-run", "--manifest", "plan.json")
    assert (project / "plan.json").stat().st_mode & 0o077 == 0
    llmapp(project, "ingest", "notes", "--manifest", "plan.json", code=3)
    llmapp(project, "ingest", "--dry-run", "--manifest", "no/such/folder/plan.json", code=3)


def test_status_shows_what_the_last_runs_did(project):
    llmapp(project, "ingest")
    shown = llmapp(project, "status").stdout
    assert "2 added" in shown
    assert "embed" in shown
