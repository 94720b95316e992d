"""What keeps the documents of an application: sync, plan, manifest, quarantine, purge, forget."""

import io
import multiprocessing
import time

import pytest
from rich.console import Console

from llmapp.application import App
from llmapp.catalog.lock import FileLock
from llmapp.cli.reports import print_purge, print_reports, print_runs
from llmapp.config import IngestionSettings, PriceSettings, Settings, SourceSettings
from llmapp.errors import (
    ConfigError,
    DocumentNotFoundError,
    EmbedderError,
    EmbedderMismatchError,
    EmbedderUnavailableError,
    LockedError,
    MassDeletionError,
    SourceEmptyError,
    SourceMovedError,
)
from llmapp.prompting.examples import Example, add_examples
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import Principal

FREE = {f"hash/{dim}": PriceSettings(input_usd_per_million=0) for dim in (32, 64)}
PAID = {"hash/64": PriceSettings(input_usd_per_million=20)}


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in ("water", "glass", "storm"):
        (folder / f"{name}.md").write_text(f"# {name}\n\nAll that is known about {name} damage, in a few words.\n")
    return folder


@pytest.fixture
def build(tmp_path, notes):
    opened = []

    def make(*, embedder=None, prices=FREE, acl=("public",), **settings):
        source = SourceSettings(name="notes", acl=acl, settings={"path": "notes"})
        whole = Settings(**{"root": tmp_path, "sources": (source,), "prices": prices, **settings})
        app = App(whole, embedder=embedder or HashEmbedder())
        opened.append(app)
        return app

    yield make
    for app in opened:
        app.close()


def fill(notes, count):
    for number in range(count):
        (notes / f"n{number:03}.md").write_text(f"# Note {number}\n\nThe words of note {number}.\n")


# ---- sync


def test_a_sync_reports_counts_bytes_tokens_cost_and_stages(build, notes):
    (report,) = build(prices=PAID).sync()
    assert (report.added, report.status, report.error) == (3, "completed", None)
    assert report.bytes == sum(file.stat().st_size for file in notes.iterdir())
    assert report.cost_usd == pytest.approx(report.embedded_tokens * 20 / 1e6)
    assert set(report.stages_s) == {"read", "parse", "embed", "commit", "total"}


def test_what_a_run_did_is_in_the_status(build):
    app = build(prices=PAID)
    app.sync()
    (run,) = app.status().last_runs
    assert (run.source, run.status, run.counts["added"], run.embedder) == ("notes", "completed", 3, "hash/64")
    assert run.cost_nano_usd > 0
    assert app.status().shape()["last_runs"][0]["seconds"]["total"] >= 0


def test_a_source_without_an_access_list_is_visible_to_nobody(build):
    app = build(acl=())
    (report,) = app.sync()
    assert report.hidden == 3
    assert app.search("water damage", principal=Principal("local")) == []


def test_a_path_that_is_named_is_for_the_local_user_alone(tmp_path, notes, build):
    app = build(sources=())
    app.sync([notes])
    assert app.search("water damage")
    assert app.search("water damage", principal=Principal("somebody")) == []


def test_a_mass_deletion_stops_until_it_is_confirmed(build, notes):
    fill(notes, 30)
    app = build()
    app.sync()
    for file in sorted(notes.iterdir())[:20]:
        file.unlink()
    (report,) = app.sync()
    assert isinstance(report.error, MassDeletionError)
    assert (app.catalog.counts().documents, report.status) == (33, "failed")
    (report,) = app.sync(confirm_deletions=["notes"])
    assert (report.deleted, app.catalog.counts().documents) == (20, 13)


def test_an_emptied_folder_is_an_error_until_it_is_confirmed(build, notes):
    app = build()
    app.sync()
    for file in notes.iterdir():
        file.unlink()
    (report,) = app.sync()
    assert isinstance(report.error, SourceEmptyError)
    assert app.catalog.counts().documents == 3
    (report,) = app.sync(confirm_deletions=["notes"])
    assert (report.error, report.deleted, app.catalog.counts().documents) == (None, 3, 0)


def test_a_source_that_is_empty_and_known_to_be_is_no_error(build, notes):
    app = build()
    for file in notes.iterdir():
        file.unlink()
    assert isinstance(app.sync()[0].error, SourceEmptyError)
    assert app.status().last_runs[0].status == "failed"
    assert app.sync(confirm_deletions=["notes"])[0].error is None


def test_a_plan_knows_an_empty_source_and_a_confirmed_one_can_be_followed(build, notes):
    app = build()
    app.sync()
    for file in notes.iterdir():
        file.unlink()
    assert "holds no documents" in app.plan().sources[0].error
    plan = app.plan(confirm_deletions=["notes"])
    assert plan.sources[0].count("delete") == 3
    (report,) = app.follow(plan, confirm_deletions=["notes"])
    assert (report.error, report.deleted) == (None, 3)


def test_a_run_whose_process_died_is_told_as_interrupted_by_the_next(build):
    app = build()
    app.catalog.start_run("died")
    assert app.status().last_runs[0].status == "running"
    app.sync()
    died = next(run for run in app.status().last_runs if run.source == "died")
    assert (died.status, died.error) == ("interrupted", "the process died")


def test_deletions_are_confirmed_for_sources_that_there_are(build):
    with pytest.raises(ConfigError, match="nots"):
        build().sync(confirm_deletions=["nots"])


def test_a_path_that_a_source_takes_over_is_kept_until_that_source_was_read(build, notes, tmp_path):
    embedder = HashEmbedder()
    build(sources=()).sync([notes])
    app = build(embedder=embedder)
    hidden = notes.rename(tmp_path / "not mounted")
    app.sync()
    assert app.catalog.counts().documents == 3
    hidden.rename(notes)
    app.sync()
    assert (app.catalog.sources(), app.catalog.counts().documents, embedder.embedded) == (["notes"], 3, [])


def test_another_embedder_embeds_everything_again_at_the_next_sync(build):
    build().sync()
    app = build(embedder=HashEmbedder(dim=32))
    with pytest.raises(EmbedderMismatchError) as error:
        app.search("water damage")
    assert "llmapp ingest" in error.value.hint
    assert app.plan().upgrade.documents == 3
    app.sync()
    assert app.search("water damage")[0].chunk.title == "water"
    assert app.plan().upgrade.documents == 0


def test_what_it_took_to_embed_everything_again_is_reported_recorded_and_shown(build):
    build().sync()
    app = build(embedder=HashEmbedder(dim=32), prices={"hash/32": PAID["hash/64"]})
    plan = app.plan()
    renewed, notes = app.sync()
    assert (renewed.source, renewed.upgraded, renewed.embedded_texts) == ("", 3, 3)
    assert renewed.embedded_tokens == plan.upgrade.embedded_tokens
    assert plan.cost_usd > 0
    assert renewed.cost_usd == pytest.approx(plan.cost_usd)
    assert (notes.unchanged, notes.cost_usd) == (3, 0)
    assert app.status().last_runs[0].cost_nano_usd == renewed.cost_nano_usd
    assert app.catalog.sources() == ["notes"], "it is no source"
    for show, runs in ((print_reports, [renewed, notes]), (print_runs, app.status().last_runs)):
        console = Console(file=io.StringIO(), width=120)
        show(console, runs)
        assert "all sources" in console.file.getvalue()
        assert "3 cut and embedded anew" in " ".join(console.file.getvalue().split())


def test_what_an_upgrade_has_cost_that_broke_off_is_recorded(build):
    class Failing(HashEmbedder):
        def embed_documents(self, texts):
            if self.embedded:
                raise EmbedderError("gone")
            return super().embed_documents(texts)

    build().sync()
    settings = {"prices": {"hash/32": PAID["hash/64"]}, "ingestion": IngestionSettings(batch_chunks=1)}
    app = build(embedder=Failing(dim=32), **settings)
    with pytest.raises(EmbedderError):
        app.sync()
    run = app.status().last_runs[0]
    assert (run.source, run.status, run.error, run.counts["embedded_texts"]) == ("", "failed", "gone", 1)
    assert run.counts["upgraded"] == 0
    assert run.cost_nano_usd > 0


def hold(path, ready, done):
    with FileLock(path, purpose="ingestion"):
        ready.set()
        done.wait(20)


def test_a_second_ingest_says_who_holds_it_or_waits(build):
    app = build()
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(app.settings.state / "ingest.lock", ready, done))
    process.start()
    assert ready.wait(30)
    with pytest.raises(LockedError, match=str(process.pid)):
        app.sync()
    started = time.monotonic()
    with pytest.raises(LockedError):
        app.sync(wait_s=0.3)
    assert time.monotonic() - started >= 0.3
    done.set()
    assert app.sync(wait_s=30)[0].added == 3
    process.join()


# ---- plan and manifest


def test_a_plan_changes_nothing_and_says_what_a_sync_does(build, notes):
    app = build(prices=PAID)
    app.sync()
    (notes / "water.md").write_text("# water\n\nNew words about water.\n")
    (notes / "new.md").write_text("# new\n\nA document that has just come.\n")
    (notes / "glass.md").unlink()
    (notes / "blank.md").write_text(" \n")
    digest = app.catalog.digest()
    plan = app.plan()
    assert app.catalog.digest() == digest
    (source,) = plan.sources
    assert [source.count(action) for action in ("add", "change", "delete", "quarantine", "access")] == [1, 1, 1, 1, 0]
    assert (source.unchanged, source.needs_confirmation) == (1, False)
    (report,) = app.sync()
    assert (report.embedded_tokens, report.embedded_texts) == (plan.embedded_tokens, plan.embedded_texts)
    assert report.cost_usd == pytest.approx(plan.cost_usd)


def test_a_plan_says_that_deletions_need_confirmation(build, notes):
    fill(notes, 30)
    app = build()
    app.sync()
    for file in sorted(notes.iterdir())[:20]:
        file.unlink()
    (source,) = app.plan().sources
    assert (source.needs_confirmation, source.count("delete"), source.held, source.error) == (True, 20, 33, "")


def test_a_manifest_with_too_many_deletions_needs_confirmation_too(build, notes):
    fill(notes, 30)
    app = build()
    app.sync()
    for file in sorted(notes.iterdir())[:20]:
        file.unlink()
    plan = app.plan()
    assert isinstance(app.follow(plan)[0].error, MassDeletionError)
    assert app.catalog.counts().documents == 33
    (report,) = app.follow(plan, confirm_deletions=["notes"])
    assert (report.error, report.deleted) == (None, 20)


def test_a_plan_counts_a_text_once_though_an_upgrade_needs_it_too(build, notes):
    build().sync()
    (notes / "copy.md").write_text((notes / "water.md").read_text())
    embedder = HashEmbedder(dim=32)
    app = build(embedder=embedder)
    planned = app.plan().embedded_texts
    embedder.embedded.clear()
    app.sync()
    assert planned == len(embedder.embedded) == 3


def test_a_plan_of_a_source_that_cannot_be_read_says_why(build, notes):
    app = build()
    notes.rename(notes.with_name("elsewhere"))
    (source,) = app.plan().sources
    assert "does not exist" in source.error


def test_the_rate_of_a_plan_was_measured(build, notes):
    app = build()
    assert app.plan().tokens_per_s > 0, "measured on a sample, for the embedder is free"
    assert build(prices=PAID).plan().seconds is None, "measuring would cost money"
    fill(notes, 400)
    app.sync()
    run = app.status().last_runs[0]
    expected = run.counts["embedded_tokens"] / run.seconds["total"]
    assert app.plan().tokens_per_s == pytest.approx(expected, rel=0.01)


def test_a_plan_is_made_without_a_time_while_the_embedder_is_down(build):
    class Down(HashEmbedder):
        def embed_documents(self, texts):
            raise EmbedderUnavailableError("nobody answers")

    plan = build(embedder=Down()).plan()
    assert (plan.tokens_per_s, plan.seconds) == (None, None)
    assert plan.embedded_tokens > 0


def test_a_manifest_is_followed_and_what_has_moved_is_left_alone(build, notes):
    app = build()
    plan = app.plan()
    (notes / "water.md").write_text("# water\n\nSomebody was here after the plan.\n")
    (report,) = app.follow(plan)
    assert isinstance(report.error, SourceMovedError)
    assert "water.md" in report.error.message
    assert app.catalog.document_ids("notes") == {"glass.md", "storm.md"}
    (report,) = app.follow(app.plan())
    assert (report.error, report.added) == (None, 1)
    assert app.follow(app.plan())[0].unchanged == 3


def test_a_manifest_for_another_embedder_is_refused(build):
    plan = build().plan()
    with pytest.raises(ConfigError, match="another embedder"):
        build(embedder=HashEmbedder(dim=32)).follow(plan)


# ---- quarantine


def test_documents_in_quarantine_are_retried_or_let_go_of_by_name(build, notes):
    (notes / "blank.md").write_text(" \n")
    app = build()
    app.sync()
    assert app.quarantined_named(["blank.md"]) == [("notes", "blank.md")]
    with pytest.raises(DocumentNotFoundError, match="water"):
        app.retry_quarantined(["water.md"])
    (notes / "other.md").write_text("\t\n")
    app.sync()
    assert app.retry_quarantined(["notes:blank.md"])[0].quarantined == 1
    assert {record.document_id: record.attempts for record in app.catalog.quarantined()} == {"blank.md": 2, "other.md": 1}
    (notes / "other.md").unlink()
    app.sync()
    assert app.drop_quarantined(["notes/blank.md"]) == 1
    assert app.catalog.quarantined() == []
    assert app.sync()[0].status == "completed"
    (notes / "blank.md").write_text("# Now\n\nIt says something.\n")
    assert app.sync()[0].added == 1


def test_a_setting_that_lets_a_document_in_has_it_tried_again(build, notes):
    (notes / "large.md").write_text("word " * 1000)
    app = build(ingestion={"max_bytes": 1000})
    assert app.sync()[0].quarantined == 1
    assert app.sync()[0].still_quarantined == 1
    assert build(ingestion={"max_bytes": 100_000}).sync()[0].added == 1


def test_a_source_that_has_left_the_settings_does_not_keep_the_others_from_being_tried_again(build, notes, tmp_path):
    (notes / "blank.md").write_text(" \n")
    other = SourceSettings(name="aa", acl=("public",), settings={"path": "notes"})
    mine = SourceSettings(name="notes", acl=("public",), settings={"path": "notes"})
    build(sources=(other, mine)).sync()
    gone, tried = build().retry_quarantined()
    assert (gone.source, gone.status, tried.source, tried.quarantined) == ("aa", "failed", "notes", 1)


# ---- purge and forget


def test_a_purged_document_is_gone_from_everywhere_and_stays_out(build, notes):
    app = build()
    app.sync()
    words = "All that is known about water damage"
    report = app.purge("notes/water.md")
    assert [trace for trace in report.traces if trace.found] == []
    assert report.is_gone
    places = {trace.place for trace in report.traces}
    assert {"catalog: full text", "vectors in memory", "vector index: chroma", "bytes of catalog.db"} <= places
    assert all(trace.looked_for for trace in report.traces if trace.place.startswith("bytes"))
    for file in app.settings.state.rglob("*"):
        assert file.is_dir() or words.encode() not in file.read_bytes(), file
    assert "water" not in {hit.chunk.title for hit in app.search("water damage")}
    assert app.sync()[0].purged == 1
    assert app.lift_purge("notes:water.md")
    assert app.sync()[0].added == 1


def test_a_purge_names_the_examples_that_quote_the_document_and_fails_over_no_file_of_them(build, notes):
    app = build()
    app.sync()
    quoted = Example("What is said?", "All THAT is known — about *water damage* [1].")
    add_examples(app.settings.examples, [Example("And glass?", "At once."), quoted])
    report = app.purge("notes/water.md")
    assert report.quoting_examples == (2,)
    assert report.shape()["quoting_examples"] == [2]
    out = Console(file=io.StringIO(), width=200)
    print_purge(out, report)
    assert "Examples may quote it, and stay until you take them out of their file: 2." in out.file.getvalue()
    app.settings.examples.write_text("no JSON\n", encoding="utf-8")
    broken = app.purge("notes/glass.md")
    assert broken.is_gone
    assert "examples.jsonl, line 1" in broken.not_searched[0]


def test_a_purge_empties_what_other_stores_hold_too(build, notes):
    app = build()
    app.sync()
    app.reindex("exact", keep_former=True)
    assert app.catalog.other_stores() == {"chroma": "kept"}
    assert app.purge("notes/water.md").is_gone
    assert app.catalog.other_stores() == {}
    assert not (app.settings.state / "chroma").exists()


def test_a_purge_waits_for_no_move(build, tmp_path, notes):
    app = build()
    app.sync()
    with FileLock(tmp_path / ".llmapp/move.lock", purpose="a move"), pytest.raises(LockedError):
        app.purge("notes/water.md")
    assert app.search("water damage")


def test_a_purge_of_what_is_not_there_or_not_clear_is_refused(build, tmp_path, notes):
    source = {"path": "notes"}
    twice = tuple(SourceSettings(name=name, acl=("public",), settings=source) for name in ("one", "two"))
    app = build(sources=twice)
    app.sync()
    with pytest.raises(DocumentNotFoundError, match="no document nothing"):
        app.purge("nothing.md")
    with pytest.raises(DocumentNotFoundError) as error:
        app.purge("water.md")
    assert "one:water.md, two:water.md" in error.value.hint
    report = app.purge("one:water.md")
    assert report.is_gone
    assert app.catalog.document_ids("two") == {"water.md", "glass.md", "storm.md"}


def test_a_trace_that_is_left_is_found_so_the_proof_can_fail(build, monkeypatch):
    app = build()
    app.sync()
    monkeypatch.setattr(type(app.catalog), "purge", lambda *_: None)
    report = app.purge("water.md")
    assert not report.is_gone
    found = {trace.place for trace in report.traces if trace.found}
    assert {"catalog: documents", "catalog: full text", "vectors in memory"} <= found
    assert any(place.startswith("bytes of") for place in found)


def test_a_source_that_has_left_the_settings_can_be_forgotten(build):
    build().sync()
    app = build(sources=())
    assert app.forget("notes") == 3
    assert (app.catalog.counts().documents, app.catalog.sources()) == (0, [])
    with pytest.raises(DocumentNotFoundError, match="notes"):
        app.forget("notes")
