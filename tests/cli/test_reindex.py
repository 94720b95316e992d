"""``llmapp reindex`` as a user meets it, a real PostgreSQL included."""

import json
import sys

import pytest
from typer.testing import CliRunner

from llmapp import open_app
from llmapp.cli.main import app
from llmapp.errors import ConfigError
from llmapp.retrieval.indexes.chroma.embedded import ChromaIndex


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


ACME = """
from llmapp.retrieval.indexes.chroma.embedded import ChromaIndex

class MyIndex(ChromaIndex):
    name = "acme_store:MyIndex"

    def __init__(self, folder, *, key):
        assert key.get_secret_value() == "open-sesame"
        super().__init__(folder)

class Misnamed(MyIndex):
    name = "mine"
"""
SETTINGS = '[index]\nsettings.key = { env = "ACME_KEY" }\n'


@pytest.fixture
def acme(project, tmp_path, monkeypatch):
    """A package of a team, with a store of its own."""
    monkeypatch.setenv("ACME_KEY", "open-sesame")
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "acme_store.py").write_text(ACME)
    monkeypatch.syspath_prepend(str(folder))
    settings = tmp_path / "llmapp.toml"
    settings.write_text(settings.read_text() + SETTINGS)
    yield folder / "acme_store.py"
    sys.modules.pop("acme_store", None)


class Mine(ChromaIndex):
    name = "mine"


def test_a_store_of_a_teams_own_is_filled_and_every_verb_follows(project, acme, tmp_path):
    own, before = "acme_store:MyIndex", found(project)
    assert read("reindex", "--to", own, "--dry-run", "-c", project)["to_put"] == 5
    assert read("reindex", "--to", own, "-c", project)["put"] == 5
    assert found(project) == before
    assert (tmp_path / ".llmapp/acme_store.MyIndex").is_dir()
    (tmp_path / "notes/new.txt").write_text("The deductible of the castle is 9 euros.")
    assert read("ingest", "-c", project)["sources"][0]["added"] == 1
    status = read("status", "-c", project)
    assert (status["store"], status["pending"], status["degraded"]) == (own, 0, None)
    assert read("index", "verify", "-c", project)["ok"]
    with open_app(project) as application:
        assert application.verify_index().ok
        assert len(application.index.ids()) == 6


def test_a_new_application_begins_with_a_store_of_a_teams_own(tmp_path, acme):
    folder = tmp_path / "second"
    folder.mkdir()
    (folder / "llmapp.toml").write_text(f'{SETTINGS}store = "acme_store:MyIndex"\n')
    read("ingest", str(tmp_path / "notes"), "-c", str(folder))
    status = read("status", "-c", str(folder))
    assert (status["store"], status["store_note"], status["degraded"]) == ("acme_store:MyIndex", "", None)
    assert read("index", "verify", "-c", str(folder))["ok"]


def test_a_store_whose_package_is_gone_says_so_and_can_be_left(project, acme):
    read("reindex", "--to", "acme_store:MyIndex", "-c", project)
    acme.unlink()
    del sys.modules["acme_store"]
    done = invoke("status", "-c", project)
    assert done.exit_code == 3
    assert "cannot be imported" in done.stderr
    assert "llmapp reindex --to" in done.stderr
    assert read("reindex", "--to", "chroma", "-c", project)["store"] == "chroma"
    assert read("index", "verify", "-c", project)["ok"]


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("acme_store:Misnamed", "calls itself mine"),
        ("acme_store:Nothing", "cannot be imported"),
        ("json:JSONDecoder", "cannot be made"),
    ],
)
def test_a_class_that_is_no_store_is_refused(project, acme, store, words):
    done = invoke("reindex", "--to", store, "-c", project)
    assert done.exit_code == 3
    assert words in done.stderr


def test_a_given_index_that_would_never_be_filled_is_refused(project, tmp_path):
    with pytest.raises(ConfigError, match="in chroma, and the given index is mine") as error:
        open_app(project, index=Mine(tmp_path / "mine"))
    assert "reindex --to package.module:Class" in error.value.hint


def test_a_given_index_serves_a_new_application_and_the_command_line_leads_away(tmp_path, project):
    folder = tmp_path / "third"
    folder.mkdir()
    (folder / "llmapp.toml").write_text("")
    with open_app(folder, index=Mine(tmp_path / "mine")) as application:
        application.ingest([tmp_path / "notes"])
        assert application.verify_index().ok
        assert application.status().store_note == ""
    assert "reindex --to" in invoke("status", "-c", str(folder)).stderr
    assert read("reindex", "--to", "chroma", "-c", str(folder))["put"] == 5
    assert read("index", "verify", "-c", str(folder))["ok"]
