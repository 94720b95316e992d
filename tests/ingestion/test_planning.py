"""A plan says what a run does and changes nothing; a manifest is followed to the letter."""

import json
from collections.abc import Iterator
from typing import ClassVar

import pytest
from pydantic import BaseModel, Field

from llmapp.connector import Checkpoint, Document, Failure, Upsert
from llmapp.errors import ConfigError, SourceMovedError
from llmapp.ingestion.access import AccessRules
from llmapp.ingestion.planning import FollowedEffects, IngestPlan, PlannedEffects, SourcePlan, read_manifest
from llmapp.ingestion.source_run import RunOptions
from llmapp.ingestion.upgrading import UpgradePlan
from llmapp.types import PUBLIC, Principal

RULES = RunOptions(AccessRules((PUBLIC,)))


class Folder(BaseModel, frozen=True):
    snapshot: ClassVar[bool] = True
    texts: dict = Field(exclude=True)
    acls: dict = Field(default={}, exclude=True)

    def read(self, cursor) -> Iterator:
        for name, text in self.texts.items():
            if text is None:
                yield Failure(name, "cannot be opened")
            else:
                yield Upsert(Document(id=name, uri=f"{name}.txt", text=text, acl=self.acls.get(name)))
        yield Checkpoint(None)


def sync(ingestor, texts, **options):
    return ingestor.run("notes", Folder(texts=texts, **options), options=RULES)


def plan(ingestor, catalog, texts, **options):
    effects = PlannedEffects("notes", catalog, ingestor.embedder.tokenizer.special_tokens, set())
    run = ingestor.plan("notes", Folder(texts=texts, **options), effects=effects, options=RULES)
    return SourcePlan("notes", tuple(effects.changes), unchanged=run.counts["unchanged"], held=3)


def follow(ingestor, planned, texts, **options):
    effects = FollowedEffects(ingestor.effects("notes"), planned, ingestor.catalog)
    report = ingestor.run("notes", Folder(texts=texts, **options), options=RULES, effects=effects)
    return effects, report


BEFORE = {"same": "stays as it is", "edited": "old words", "gone": "soon gone", "open": "for all"}
AFTER = {"same": "stays as it is", "edited": "new words", "open": "for all", "new": "just come", "broken": None}


def test_a_plan_names_every_change_and_changes_nothing(ingestor, catalog, embedder):
    sync(ingestor, BEFORE)
    digest, embedded = catalog.digest(), list(embedder.embedded)
    planned = plan(ingestor, catalog, AFTER, acls={"open": ("group:hr",)})
    assert {(change.action, change.document_id) for change in planned.changes} == {
        ("add", "new"), ("change", "edited"), ("delete", "gone"), ("access", "open"), ("quarantine", "broken")
    }  # fmt: skip
    assert planned.unchanged == 1
    assert (catalog.digest(), embedder.embedded, catalog.quarantined()) == (digest, embedded, [])
    assert len(catalog.runs()) == 1


def test_a_new_rule_of_access_is_planned_once_for_each_document_and_followed(ingestor, catalog):
    sync(ingestor, BEFORE)
    options = RunOptions(AccessRules(("group:hr",)))
    effects = PlannedEffects("notes", catalog, 2, set())
    ingestor.plan("notes", Folder(texts=BEFORE), effects=effects, options=options)
    assert sorted((change.action, change.document_id) for change in effects.changes) == [
        ("access", name) for name in sorted(BEFORE)
    ]
    followed = FollowedEffects(ingestor.effects("notes"), SourcePlan("notes", tuple(effects.changes)), catalog)
    ingestor.run("notes", Folder(texts=BEFORE), options=options, effects=followed)
    followed.check()
    assert catalog.text("notes", "same", principal=Principal("x", ("hr",)))


def test_the_tokens_of_a_plan_are_those_of_the_run(ingestor, catalog):
    texts = {f"d{n}": "word " * (n * 60) for n in range(1, 9)} | {"same 1": "equal", "same 2": "equal"}
    sync(ingestor, {"other": "word " * 60})
    planned = plan(ingestor, catalog, texts)
    report = sync(ingestor, texts)
    assert sum(change.embedded_tokens for change in planned.changes) == report.embedded_tokens
    assert sum(change.embedded_texts for change in planned.changes) == report.embedded_texts
    assert sum(change.chunks for change in planned.changes) == report.chunks


def test_a_manifest_that_still_holds_ends_in_what_a_plain_run_ends_in(
    tmp_path, ingestor, catalog, parser, chunker, embedder
):
    from llmapp.catalog.catalog import Catalog
    from llmapp.ingestion.ingestor import Ingestor

    sync(ingestor, BEFORE)
    planned = plan(ingestor, catalog, AFTER)
    effects, _ = follow(ingestor, planned, AFTER)
    effects.check()
    other = Catalog(tmp_path / "other.db")
    sync(Ingestor(other, parser, chunker, embedder), AFTER)
    assert catalog.digest() == other.digest()
    other.close()


@pytest.mark.parametrize(
    ("now", "moved"),
    [
        ({**AFTER, "edited": "words that nobody has seen"}, {"edited"}),
        ({**AFTER, "late": "came after the plan"}, {"late"}),
        ({name: text for name, text in AFTER.items() if name != "new"}, {"new"}),
        ({**AFTER, "gone": "soon gone"}, {"gone"}),
        ({name: text for name, text in AFTER.items() if name != "same"}, {"same"}),
        ({**AFTER, "same": None}, {"same"}),
    ],
    ids=["edited again", "added since", "gone since", "back again", "deleted since", "failing since"],
)
def test_what_has_moved_since_the_plan_is_left_alone_and_named(ingestor, catalog, now, moved):
    sync(ingestor, BEFORE)
    planned = plan(ingestor, catalog, AFTER)
    effects, _ = follow(ingestor, planned, now)
    with pytest.raises(SourceMovedError) as error:
        effects.check()
    assert all(name in error.value.message for name in moved)
    expected = {**BEFORE, **AFTER}
    for name in {*BEFORE, *AFTER} - {"broken"}:
        text = catalog.text("notes", name, principal=Principal("x"))
        if name in moved:
            assert text == BEFORE.get(name), f"{name} was not left alone"
        else:
            assert text == (expected[name] if name in AFTER else None)


def test_a_grant_that_was_taken_away_since_the_plan_is_taken_away(ingestor, catalog):
    sync(ingestor, BEFORE)
    planned = plan(ingestor, catalog, BEFORE)
    follow(ingestor, planned, BEFORE, acls={"open": ("group:hr",)})
    assert catalog.text("notes", "open", principal=Principal("x")) is None


def test_a_plan_survives_its_file(ingestor, catalog):
    sync(ingestor, BEFORE)
    source = plan(ingestor, catalog, AFTER)
    whole = IngestPlan("e", "c", (source,), UpgradePlan(1, 2, 3, 4), cost_usd=0.5, tokens_per_s=10.0)
    text = json.dumps(whole.shape())
    assert read_manifest(text) == whole
    assert json.loads(text)["embedded_tokens"] == whole.embedded_tokens
    assert whole.seconds == whole.embedded_tokens / 10


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}', '{"version": 1, "sources": 3}', "null"])
def test_what_is_no_manifest_is_refused(text):
    with pytest.raises(ConfigError):
        read_manifest(text)
