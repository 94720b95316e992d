"""Several processes share one catalog in PostgreSQL: what one takes in, the others find, and only one takes in at a time."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import psycopg
import pytest

from llmapp.application import App
from llmapp.catalog.catalog import Catalog
from llmapp.config import IndexSettings, PriceSettings, Settings, SourceSettings
from llmapp.costs.ledger import Ledger
from llmapp.costs.limits import Limit
from llmapp.costs.windows import Span
from llmapp.errors import BudgetExceededError, ConfigError, LockedError
from llmapp.testing.fakes import HashEmbedder, ScriptedChatModel
from llmapp.types import Usage

FREE = {
    name: PriceSettings(input_usd_per_million=0, output_usd_per_million=0) for name in (HashEmbedder().identity, "scripted")
}
INGEST = """
import os, sys, time
from pathlib import Path
from llmapp.application import App
from llmapp.config import IndexSettings, IngestionSettings, PriceSettings, Settings, SourceSettings
from llmapp.testing.fakes import HashEmbedder

root, url, pause_s = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])

class Slow(HashEmbedder):
    def embed_documents(self, texts):
        print("embedding", flush=True)
        time.sleep(pause_s)
        return super().embed_documents(texts)

free = {HashEmbedder().identity: PriceSettings(input_usd_per_million=0, output_usd_per_million=0)}
source = SourceSettings(name="docs", acl=("public",), settings={"path": str(root / "docs")})
settings = Settings(
    root=root / "own", catalog_url=url, index=IndexSettings(store="exact"), sources=(source,), prices=free,
    ingestion=IngestionSettings(batch_chunks=4),
)
with App(settings, embedder=Slow()) as app:
    print("done", app.ingest()[0].status, flush=True)
"""


@pytest.fixture
def url(new_database):
    return new_database()


@pytest.fixture
def root(tmp_path):
    (tmp_path / "docs").mkdir()
    for number in range(24):
        (tmp_path / f"docs/note{number:02}.md").write_text(
            f"# Note {number}\n\nThe lighthouse number {number} burns at night.\n"
        )
    return tmp_path


@pytest.fixture
def open_app(root, url):
    opened = []

    def open_it(machine="one", *, catalog_url=url, **settings):
        source = SourceSettings(name="docs", acl=("public",), settings={"path": str(root / "docs")})
        given = {"index": IndexSettings(store="exact"), "sources": (source,), "prices": FREE, **settings}
        opened.append(
            App(
                Settings(root=root / machine, catalog_url=catalog_url, **given),
                model=ScriptedChatModel(answers=["It burns at night [1]."] * 3),
                embedder=HashEmbedder(),
            )
        )
        return opened[-1]

    yield open_it
    for app in opened:
        app.close()


def test_machines_share_one_ledger_and_bring_what_they_have_spent(root, url, open_app):
    paid = {**FREE, "scripted": PriceSettings(input_usd_per_million=10, output_usd_per_million=20)}
    for machine in ("one", "two"):
        with closing(Ledger(root / machine / ".llmapp/ledger.db")) as own:
            hold = own.reserve("scripted", kind="chat", amount_nano_usd=1_000_000, price={})
            own.mark_sent(hold)
            own.settle(hold, cost_nano_usd=1_000_000, usage=Usage(1, 1))
    one, two = open_app("one", prices=paid), open_app("two", prices=paid)
    one.ingest()
    assert two.ask("Which lighthouse burns?").cost_usd > 0
    spent = two.status().spent_today_usd
    assert one.status().spent_today_usd == spent > 0.002
    two.ledger.set_limit(Limit("application", "*", Span("total"), 0))
    with pytest.raises(BudgetExceededError):
        one.ask("Which lighthouse burns?")
    assert one.ledger.verify().is_right


def start_ingest(root, url, *, pause_s):
    command = [sys.executable, "-c", INGEST, str(root), url, str(pause_s)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


SEVERAL = "write-ahead log, replicas and backups of the server of "


@pytest.mark.parametrize(
    ("database_kind", "store", "not_searched"),
    [
        ("sqlite", "exact", ()),
        ("sqlite", "pgvector", (f"{SEVERAL}pgvector",)),
        ("postgres", "exact", (f"{SEVERAL}the catalog",)),
        ("postgres", "pgvector", (f"{SEVERAL}the catalog", f"{SEVERAL}pgvector")),
    ],
)
def test_documents_are_taken_in_found_cited_and_removed_on_either_database(
    open_app, root, url, database_kind, store, not_searched
):
    index = IndexSettings(store=store, pgvector_url=url if store == "pgvector" else None)
    app = open_app(catalog_url=url if database_kind == "postgres" else None, index=index)
    assert app.ingest()[0].status == "completed"
    hits = app.search("lighthouse number 7")
    assert hits[0].chunk.text.endswith("The lighthouse number 7 burns at night.")
    assert {hit.retriever for hit in hits}
    answer = app.ask("When does lighthouse number 7 burn?")
    assert answer.citations
    (root / "docs/note07.md").unlink()
    app.ingest()
    assert "note07.md" not in {hit.chunk.document_id for hit in app.search("lighthouse number 7", top_k=24)}
    assert app.index.name == store
    assert app.projection.verify().ok
    report = app.purge("docs:note08.md")
    assert report.is_gone
    assert report.not_searched == not_searched
    app.projection.apply_pending()
    assert app.projection.verify().ok


def test_both_databases_end_in_the_same_digest(open_app):
    there, here = open_app(), open_app("two", catalog_url=None)
    there.ingest()
    here.ingest()
    assert there.catalog.digest() == here.catalog.digest()


def test_a_server_of_another_machine_finds_what_an_ingester_takes_in_and_no_longer_what_it_removes(open_app, root, url):
    server = open_app("server")
    server.catalog.generation()
    with start_ingest(root, url, pause_s=0) as ingester:
        assert ingester.stdout.read().endswith("done completed\n")
    assert server.search("lighthouse number 3")[0].chunk.document_id == "note03.md"
    (root / "docs/note03.md").unlink()
    with start_ingest(root, url, pause_s=0) as ingester:
        assert ingester.stdout.read().endswith("done completed\n")
    assert "note03.md" not in {hit.chunk.document_id for hit in server.search("lighthouse number 3", top_k=24)}


def test_an_ingester_that_is_killed_leaves_no_lock_and_the_next_ends_as_a_clean_run_does(open_app, root, url, new_database):
    with start_ingest(root, url, pause_s=0.3) as ingester:
        committed = Catalog(url)
        deadline = time.monotonic() + 60
        while committed.counts().documents < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        ingester.send_signal(signal.SIGKILL)
    assert 0 < committed.counts().documents < 24
    committed.close()
    app = open_app()
    assert app.sync(wait_s=30)[0].status == "completed"
    assert {run.status for run in app.catalog.runs()} == {"completed", "interrupted"}
    clean = open_app("clean", catalog_url=new_database())
    clean.ingest()
    assert app.catalog.digest() == clean.catalog.digest()


def test_of_two_ingesters_on_two_machines_the_second_is_told_of_the_first_or_waits_for_it(open_app, root, url):
    with start_ingest(root, url, pause_s=0.3) as first:
        assert first.stdout.readline() == "embedding\n"
        second = open_app("second")
        with pytest.raises(LockedError, match=f"held by llmapp .* {first.pid}"):
            second.sync()
        (report,) = second.sync(wait_s=60)
        assert report.status == "completed"
        assert first.stdout.read().endswith("done completed\n")
    assert second.catalog.counts().documents == 24
    assert [run.status for run in second.catalog.runs()] == ["completed", "completed"]


def test_status_and_doctor_name_the_server_and_never_the_password(open_app, root, url, monkeypatch):
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
        server.execute("DROP ROLE IF EXISTS locked")
        server.execute("CREATE ROLE locked SUPERUSER LOGIN PASSWORD 'open-sesame'")
    secret = url.replace("postgres@", "locked:open-sesame@")
    app = open_app(catalog_url=secret)
    told = f"{app.status().shape()} {list(app.status().rows())} {app.settings!r} {app.catalog.place}"
    assert "postgresql://locked@" in told
    assert "open-sesame" not in told


@pytest.mark.parametrize("store", ["chroma", "chroma-server"])
def test_a_store_of_one_machine_is_refused_beside_a_catalog_of_many(root, url, store):
    settings = Settings(root=root, catalog_url=url, index=IndexSettings(store=store))
    with pytest.raises(ConfigError, match="belongs to one machine") as caught:
        App(settings, embedder=HashEmbedder())
    assert "pgvector" in caught.value.hint
