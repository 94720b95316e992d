"""``llmapp reindex`` as a user meets it, a real PostgreSQL included."""

import json

import pytest
from typer.testing import CliRunner

from llmapp.cli.main import app


def invoke(*arguments):
    return CliRunner().invoke(app, list(arguments))


def read(*arguments):
    done = invoke(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "notes").mkdir()
    for number in range(5):
        (tmp_path / "notes" / f"n{number}.txt").write_text(f"The deductible of house {number} is {number} euros.")
    (tmp_path / "llmapp.toml").write_text(
        '[[sources]]\nname = "notes"\nacl = ["public"]\nsettings.path = "notes"\n[retrieval]\nexact_up_to = 0\n'
    )
    assert read("ingest", "-c", str(tmp_path))["sources"][0]["added"] == 5
    return str(tmp_path)


def found(project):
    return [hit["uri"] for hit in read("search", "deductible of house 3", "-k", "2", "-c", project)["hits"]]


def test_vectors_move_to_postgresql_and_back_and_every_verb_follows(project, postgres, monkeypatch):
    monkeypatch.setenv("LLMAPP_INDEX__PGVECTOR_URL", postgres)
    digest, hits = read("index", "digest", "-c", project), found(project)

    plan = read("reindex", "--to", "pgvector", "--dry-run", "-c", project)
    assert plan == {"former": "chroma", "store": "pgvector", "chunks": 5, "to_put": 5, "to_remove": 0}
    assert read("status", "-c", project)["store"] == "chroma"

    report = read("reindex", "--to", "pgvector", "-c", project)
    assert (report["former"], report["store"], report["chunks"], report["put"]) == ("chroma", "pgvector", 5, 5)
    status = read("status", "-c", project)
    assert status["store"] == "pgvector"
    assert status["store_note"] == "llmapp.toml names chroma: run llmapp reindex --to chroma, or change it"
    assert status["degraded"] is None
    assert read("index", "verify", "-c", project)["ok"]
    assert read("index", "rebuild", "-c", project) == {"chunks": 5}
    assert found(project) == hits
    assert read("index", "digest", "-c", project) == digest

    done = invoke("reindex", "--to", "chroma", "-c", project)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("chroma serves now: 5 vectors, 5 of them put in ")
    assert "serves already" in invoke("reindex", "--to", "chroma", "-c", project).stdout
    assert (
        "5 vectors are to be put into pgvector" in invoke("reindex", "--to", "pgvector", "--dry-run", "-c", project).stdout
    )
    assert read("status", "-c", project)["store_note"] == ""
    assert found(project) == hits


def test_a_former_store_is_kept_on_request_and_status_says_so(project):
    read("reindex", "--to", "exact", "--keep", "-c", project)
    assert "chroma is kept" in read("status", "-c", project)["store_note"]
    assert "chroma is kept" in invoke("status", "-c", project).stdout


@pytest.mark.parametrize(("store", "code"), [("milvus", "config_invalid"), ("pgvector", "config_invalid")])
def test_a_store_that_cannot_be_is_one_line_and_an_exit_code(project, store, code):
    done = invoke("reindex", "--to", store, "--json", "-c", project)
    assert done.exit_code == 3
    assert json.loads(done.stdout)["error"]["code"] == code


def test_a_store_that_is_down_leaves_the_former_one_serving(project, monkeypatch):
    monkeypatch.setenv("LLMAPP_INDEX__PGVECTOR_URL", "postgresql://127.0.0.1:1/none")
    done = invoke("reindex", "--to", "pgvector", "-c", project)
    assert done.exit_code == 8
    assert "cannot be reached" in done.stderr
    assert read("status", "-c", project)["store"] == "chroma"
    assert read("index", "verify", "-c", project)["ok"]
