"""Whatever happens on the way, the catalog ends as a fresh ingest of the final state would have left it.

A model source is edited, cut short, delivered twice and out of order, has its access changed and its documents fail for a
while; after every step that ran to its end the digest is compared. Both kinds of source are tried, with large documents too.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from llmapp.catalog.catalog import Catalog
from llmapp.connector import Checkpoint, ConnectorError, Delete, Document, Failure, Listed, Upsert
from llmapp.errors import EmbedderError
from llmapp.ingestion import preparing
from llmapp.ingestion.access import AccessRules
from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.embedding_text import chunk_tokens
from llmapp.ingestion.ingestor import Ingestor
from llmapp.ingestion.pipeline import Bounds
from llmapp.ingestion.retrying import RetryPolicy
from llmapp.ingestion.source_run import RunOptions
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import PUBLIC

WORDS = ["alpha", "beta", "gamma", "delta", "one two three four five", "a much longer sentence about nothing at all. " * 30]


class World:
    """What the source holds, and every change that it has seen, so that both kinds of connector can tell of it."""

    def __init__(self):
        self.documents, self.acls, self.failing, self.log = {}, {}, set(), []
        self.version = 0

    def put(self, name, text, acl):
        self.version += 1
        self.documents[name] = (text, str(self.version))
        self.acls[name] = acl
        self.log.append(name)

    def grant(self, name, acl, *, is_new_version):
        if name in self.documents:
            text, version = self.documents[name]
            self.version += is_new_version
            self.documents[name] = (text, str(self.version) if is_new_version else version)
            self.acls[name] = acl
            self.log.append(name)

    def remove(self, name):
        self.documents.pop(name, None)
        self.log.append(name)

    def change(self, name, style):
        if name not in self.documents:
            return Delete(name)
        if name in self.failing:
            return Failure(name, "locked")
        text, version = self.documents[name]
        document = Document(id=name, uri=f"{name}.md", text=text, revision=version, acl=self.acls[name])
        if style == "listed":
            return Listed(name, f"{version}/{self.acls[name]}", lambda: document)
        return Upsert(document)


class Source(BaseModel, frozen=True, arbitrary_types_allowed=True):
    """The world as a connector sees it; may stop in the middle, repeat itself, and tell things in another order."""

    world: World = Field(exclude=True)
    stops_after: int | None = Field(default=None, exclude=True)
    seed: int = Field(default=0, exclude=True)

    def told(self, names, cursor, style):
        rng = random.Random(self.seed)
        names = list(names)
        if self.seed:
            rng.shuffle(names)
            names += rng.sample(names, len(names) // 3)
        for number, name in enumerate(names):
            if self.stops_after is not None and number >= self.stops_after:
                raise ConnectorError("cut short")
            yield self.world.change(name, style)
            if cursor is not None and number % 3 == 2:
                yield Checkpoint(cursor)
        yield Checkpoint(len(self.world.log))


class Snapshot(Source, frozen=True):
    snapshot: ClassVar[bool] = True
    style: str = "upsert"

    def read(self, cursor) -> Iterator:
        return self.told(list(self.world.documents), None, self.style)


class Feed(Source, frozen=True):
    def read(self, cursor) -> Iterator:
        if cursor is None:
            return self.told(list(self.world.documents), None, "upsert")
        return self.told(list(dict.fromkeys(self.world.log[cursor:])), cursor, "upsert")


class Stopping(HashEmbedder):
    """Stops a run after some batches."""

    left = 10**9

    def embed_documents(self, texts):
        self.left -= 1
        if self.left < 0:
            raise EmbedderError("gone")
        return super().embed_documents(texts)


class NeverCrashing:
    version = "none"

    def parse(self, content, *, media_type, name):
        raise AssertionError("the source brings text")

    def close(self):
        pass


def build(catalog, embedder, max_tokens=None):
    chunker = StructureChunker(embedder.tokenizer, max_tokens or chunk_tokens(embedder))
    policy = RetryPolicy(first_s=0, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    return Ingestor(catalog, NeverCrashing(), chunker, embedder, bounds=Bounds(batch_chunks=3), policy=policy)


ACLS = [None, ("user:ann",), (), (PUBLIC,)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 4), st.integers(0, 5), st.sampled_from(ACLS)),
        st.tuples(st.just("grant"), st.integers(0, 4), st.sampled_from(ACLS), st.booleans()),
        st.tuples(st.just("remove"), st.integers(0, 4)),
        st.tuples(st.just("fail"), st.integers(0, 4)),
        st.tuples(st.just("heal")),
        st.tuples(st.just("sync"), st.integers(0, 3)),
        st.tuples(st.just("cut"), st.integers(0, 6)),
        st.tuples(st.just("stop"), st.integers(0, 3)),
        st.tuples(st.just("access"), st.sampled_from([(PUBLIC,), ("group:hr",), ()]), st.booleans()),
        st.tuples(st.just("chunker"), st.sampled_from([None, 12, 40])),
        st.tuples(st.just("embedder"), st.sampled_from([16, 32])),
    ),
    min_size=4,
    max_size=30,
)
KINDS = [Feed, Snapshot, lambda **fields: Snapshot(style="listed", **fields)]


class Run:
    """One history of one source."""

    def __init__(self, folder, kind, place=None):
        self.folder, self.kind, self.world = folder, kind, World()
        self.catalog = Catalog(place or folder / "long.db")
        self.rules, self.max_tokens, self.dim = AccessRules((PUBLIC,)), None, 32
        self.fresh = 0

    def sync(self, *, seed=0, stops_after=None, batches=10**9):
        embedder = Stopping(dim=self.dim)
        embedder.left = batches
        ingestor = build(self.catalog, embedder, self.max_tokens)
        if ingestor.upgrade.is_needed():
            ingestor.upgrade.run()
        self.catalog.drop_staged()
        connector = self.kind(world=self.world, seed=seed, stops_after=stops_after)
        ingestor.run("s", connector, options=RunOptions(self.rules, confirm_deletions=True))

    def digest_of_a_fresh_ingest(self):
        self.fresh += 1
        catalog = Catalog(self.folder / f"fresh{self.fresh}.db")
        ingestor = build(catalog, HashEmbedder(dim=self.dim), self.max_tokens)
        ingestor.run("s", Snapshot(world=self.world), options=RunOptions(self.rules))
        digest = catalog.digest()
        catalog.close()
        return digest

    def step(self, what, *details):
        match what:
            case "put":
                self.world.put(f"d{details[0]}", f"# Title {details[0]}\n\n{WORDS[details[1]]}", details[2])
            case "grant":
                self.world.grant(f"d{details[0]}", details[1], is_new_version=details[2])
            case "remove":
                self.world.remove(f"d{details[0]}")
            case "fail":
                self.world.failing.add(f"d{details[0]}")
            case "heal":
                self.world.failing.clear()
            case "access":
                self.rules = AccessRules(details[0], {"d1*": ("tenant:x",)} if details[1] else {})
            case "chunker":
                (self.max_tokens,) = details
            case "embedder":
                (self.dim,) = details
            case _:
                self.tried(what, details[0])

    def tried(self, what, number):
        arguments = {"sync": {"seed": number}, "cut": {"stops_after": number}, "stop": {"batches": number}}[what]
        try:
            self.sync(**arguments)
        except (ConnectorError, EmbedderError):
            return
        if not self.world.failing:
            assert self.catalog.digest() == self.digest_of_a_fresh_ingest()


@pytest.mark.parametrize("kind", KINDS, ids=["cursor", "snapshot", "listing"])
@pytest.mark.parametrize("large_chars", [10**9, 200], ids=["whole", "streamed"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_any_history_ends_as_a_fresh_ingest_of_its_end(tmp_path_factory, kind, large_chars, steps):
    check(Run(tmp_path_factory.mktemp("world"), kind), steps, large_chars)


@pytest.mark.parametrize("kind", KINDS, ids=["cursor", "snapshot", "listing"])
@pytest.mark.parametrize("large_chars", [10**9, 200], ids=["whole", "streamed"])
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_a_history_in_postgresql_ends_as_a_fresh_ingest_into_sqlite(
    tmp_path_factory, new_database, kind, large_chars, steps
):
    check(Run(tmp_path_factory.mktemp("world"), kind, new_database()), steps, large_chars)


def check(history, steps, large_chars):
    preparing.LARGE_CHARS, before = large_chars, preparing.LARGE_CHARS
    try:
        for step in steps:
            history.step(*step)
        history.world.failing.clear()
        history.sync()
        assert history.catalog.digest() == history.digest_of_a_fresh_ingest()
        counts = history.catalog.counts()
        assert counts.quarantined == 0
        assert counts.embeddings <= counts.chunks
    finally:
        history.catalog.close()
        preparing.LARGE_CHARS = before
