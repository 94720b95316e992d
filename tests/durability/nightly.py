"""A small application that is synced every night: two sources, fakes for model and index, and a history of acts.

Every act can be run again as a whole, as an operator would after a crash. Imported by the programs of this folder, which
tests run in processes of their own.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field

from llmapp.application import App
from llmapp.catalog.sqlite import SQLiteDatabase
from llmapp.config import IngestionSettings, PriceSettings, Settings
from llmapp.connector import Checkpoint, Delete, Document, Failure, Listed, Upsert
from llmapp.errors import DocumentNotFoundError, EmbedderError, IndexUnavailableError
from llmapp.ingestion import preparing
from llmapp.sources import DocumentSource
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import PUBLIC
from llmapp.words.analysis import Words

preparing.LARGE_CHARS = 2_000  # so that a small text takes the path of a large one


def _connect(database: SQLiteDatabase, connect=SQLiteDatabase._connect) -> sqlite3.Connection:
    connection = connect(database)
    connection.execute("PRAGMA secure_delete = OFF")  # Debian's SQLite overwrites what is deleted, others do not
    return connection


SQLiteDatabase._connect = _connect
FREE = PriceSettings(input_usd_per_million=0, output_usd_per_million=0)
PURGED = "d21 version1 sentence3 tells"
TOPICS = ("harbour", "orchard", "railway", "glacier", "library", "kitchen")


def prose(name: str, version: int, sentences: int) -> str:
    """A text whose every chunk says its name and version, and is like no other chunk."""
    topic = TOPICS[sum(name.encode()) % len(TOPICS)]
    lines = (f"{name} version{version} sentence{number} tells of a {topic}." for number in range(sentences))
    return f"# {name} version{version}\n\n" + " ".join(lines)


# ---------------------------------------------------------------- what the sources hold


@dataclass
class World:
    """What one source holds, and the order in which it changed."""

    documents: dict[str, tuple[str, str, tuple[str, ...] | None]] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)

    def put(self, name, version, *, sentences=12, acl=None, revision=None):
        self.documents[name] = (prose(name, version, sentences), revision or str(version), acl)
        self.log.append(name)

    def touch(self, name):
        text, revision, acl = self.documents[name]
        self.documents[name] = (text, f"{revision}+", acl)
        self.log.append(name)

    def grant(self, name, acl):
        text, revision, _ = self.documents[name]
        self.documents[name] = (text, f"{revision}!", acl)
        self.log.append(name)

    def remove(self, name):
        self.documents.pop(name, None)
        self.log.append(name)

    def change(self, name, *, listed):
        if name not in self.documents:
            return Delete(name)
        if name in self.failing:
            return Failure(name, "locked")
        text, revision, acl = self.documents[name]
        document = Document(id=name, uri=f"{name}.md", text=text, revision=revision, acl=acl)
        return Listed(name, f"{revision}/{acl}", lambda: document) if listed else Upsert(document)


class Feed(BaseModel, frozen=True, arbitrary_types_allowed=True):
    """Tells what has changed since the cursor, with a checkpoint after every few changes."""

    world: World = Field(exclude=True)

    def read(self, cursor) -> Iterator:
        last: dict[str, int] = {name: number for number, name in enumerate(self.world.log)}
        for number, name in enumerate(self.world.log[cursor or 0 :], start=cursor or 0):
            if last[name] == number:
                yield self.world.change(name, listed=False)
            if number % 9 == 8:
                yield Checkpoint(number + 1)
        yield Checkpoint(len(self.world.log))


class Listing(BaseModel, frozen=True, arbitrary_types_allowed=True):
    """Lists all it holds, and is then asked for what is new."""

    snapshot: ClassVar[bool] = True
    world: World = Field(exclude=True)

    def read(self, cursor) -> Iterator:
        for name in self.world.documents:
            yield self.world.change(name, listed=True)
        yield Checkpoint(None)


@dataclass
class Book:
    """In the place of `llmapp.sources.SourceBook`."""

    sources: list[DocumentSource]

    def all(self):
        return self.sources

    def superseded_by(self, source):
        return []


# ---------------------------------------------------------------- what stands for model and index


class PaidEmbedder(HashEmbedder):
    """Writes every call into a file before it answers, as a provider would into its bill."""

    def __init__(self, bill: Path, *, dim: int, max_tokens: int, left: int):
        super().__init__(dim=dim, max_tokens=max_tokens)
        self.bill, self.left = bill, left

    def embed_documents(self, texts):
        self.left -= 1
        if self.left < 0:
            raise EmbedderError("the provider is down")
        with self.bill.open("a") as bill:
            bill.write(json.dumps(list(texts)) + "\n")
        return super().embed_documents(texts)


def read_bill(bill: Path) -> list[list[str]]:
    return [json.loads(line) for line in bill.read_text().splitlines()] if bill.exists() else []


class FileIndex:
    """A `VectorIndex` in one file, which is replaced as a whole."""

    name = "file"
    is_shared = False

    def __init__(self, path: Path):
        self.path = path
        self.close()

    def _load(self) -> dict[str, np.ndarray]:
        if self.entries is None:
            self.entries = {}
            if self.path.exists():
                with np.load(self.path) as stored:
                    self.entries = dict(zip(stored["ids"].tolist(), stored["vectors"], strict=True))
        return self.entries

    def _store(self, entries):
        temporary = self.path.with_suffix(".new.npz")
        vectors = np.stack(list(entries.values())) if entries else np.zeros((0, 1), np.float32)
        try:
            np.savez(temporary, ids=np.array(list(entries), dtype="U"), vectors=vectors)
            temporary.replace(self.path)
        except OSError as error:
            raise IndexUnavailableError(f"the index cannot be written: {error}") from error
        finally:
            self.close()

    def upsert(self, ids, vectors):
        self._store({**self._load(), **dict(zip(ids, vectors, strict=True))})

    def delete(self, ids):
        self._store({name: vector for name, vector in self._load().items() if name not in set(ids)})

    def query(self, vector, *, top_k):
        names = list(self._load())
        if self.matrix is None:
            self.matrix = np.stack(list(self._load().values()))
        scores = self.matrix @ vector
        return [(names[row], float(scores[row])) for row in np.argsort(-scores)[:top_k]]

    def ids(self):
        return set(self._load())

    def fault(self):
        return None if self.path.exists() else "nothing was ever written"

    def clear(self):
        self.path.unlink(missing_ok=True)
        self.close()

    def vectors(self, ids):
        return {name: vector for name, vector in self._load().items() if name in set(ids)}

    def mend(self):
        """The file is replaced as a whole."""

    def settle(self):
        """Nothing is put off."""

    def close(self):
        self.entries: dict[str, np.ndarray] | None = None
        self.matrix: np.ndarray | None = None


# ---------------------------------------------------------------- the application


@dataclass(frozen=True)
class Scene:
    """What the world is like, and with which parts it is taken in."""

    feed: World = field(default_factory=World)
    listing: World = field(default_factory=World)
    acl: tuple[str, ...] = (PUBLIC,)
    dim: int = 32
    max_tokens: int = 80
    sources: tuple[str, ...] = ("feed", "listing")

    def open(self, root: Path, *, batches: int = 10**9, index=None, bill: Path | None = None) -> App:
        """The application in a folder; its embedder fails after so many batches."""
        embedder = PaidEmbedder(bill or root / "bill", dim=self.dim, max_tokens=self.max_tokens, left=batches)
        ingestion = IngestionSettings(batch_chunks=4, max_failed=50)
        prices = {embedder.identity: FREE}
        index = index or FileIndex(root / ".llmapp/index.npz")
        app = App(Settings(root=root, ingestion=ingestion, prices=prices), embedder=embedder, index=index)
        made = {"feed": Feed(world=self.feed), "listing": Listing(world=self.listing)}
        sources = [DocumentSource(name, lambda name=name: made[name], self.acl) for name in self.sources]
        app.__dict__["source_book"] = Book(sources)
        return app


def sync(app: App) -> None:
    """The job of every night; an error of a source ends it."""
    for report in app.sync(confirm_deletions=[source.name for source in app.source_book.all()]):
        if report.error is not None:
            raise report.error


@dataclass(frozen=True)
class Act:
    """A part of the history."""

    name: str
    scene: Scene
    play: Callable[[App], None] = sync
    before: tuple[Scene, int] | None = None
    """A sync that comes before and fails, and the batches after which its embedder is down."""
    keeps_texts: bool = False
    """Whether only chunks and vectors change, all at once."""
    gone: str = ""
    """Words that are in no file afterwards."""


def history() -> list[Act]:
    """The acts; worlds are made anew for each, so that an act can be played by itself."""
    return [
        Act("the first sync", _scene(0), play=begin),
        Act("a night of changes", _scene(1)),
        Act("a long text that was given up half-way is gone", _scene(3), before=(_scene(2), 3)),
        Act("another chunker", replace(_scene(3), max_tokens=60), keeps_texts=True),
        Act("another embedder", replace(_scene(3), max_tokens=60, dim=48), keeps_texts=True),
        Act(
            "an operator cleans up", replace(_scene(4), max_tokens=60, dim=48, sources=("feed",)), play=clean_up, gone=PURGED
        ),
    ]


def begin(app: App) -> None:
    """A sync into a catalog that has got its name."""
    app.catalog.identity()
    sync(app)


def clean_up(app: App) -> None:
    """Everything that an operator does by hand, then a sync; what an earlier try has done is no obstacle."""
    app.catalog.start_run("feed")  # of a process that has died since
    app.lift_purge("feed:d20")
    with contextlib.suppress(DocumentNotFoundError):
        app.drop_quarantined(["feed:locked1"])
    app.purge("feed:d21")
    with contextlib.suppress(DocumentNotFoundError):
        app.forget("listing")
    app.rebuild_index()
    app.catalog.serve_from(FileIndex.name, held=app.catalog.chunk_ids(), former="exact", keep_former=True)
    app.catalog.note_other_store("exact", None)
    sync(app)


def _scene(night: int) -> Scene:
    feed, listing = World(), World()
    for number in range(40):
        feed.put(f"d{number}", 1, acl=("user:ann",) if number % 7 == 0 else None)
    feed.put("long", 1, sentences=90)
    feed.put("long2", 1, sentences=60)
    feed.put("nul", 1)
    for name in ("locked1", "locked2", "locked3"):
        feed.put(name, 1)
    for number in range(14):
        listing.put(f"l{number}", 1)
    feed.failing = {"locked1", "locked2", "locked3"}
    listing.failing = {"l13"}
    feed.documents["nul"] = ("a\0b", "1", None)
    if night >= 1:
        _change(feed, listing)
    if night == 2:
        feed.put("long3", 1, sentences=120)
    if night >= 3:
        feed.put("d1", 3)
        feed.remove("long3")
        listing.put("l1", 3)
    if night >= 4:
        feed.remove("d21")  # it is purged
        feed.put("d20", 4)  # it was purged, and may come in again
        feed.put("d5", 4)
    return Scene(feed, listing, acl=(PUBLIC,) if night == 0 else ("group:staff",))


def _change(feed: World, listing: World) -> None:
    for number in range(0, 16, 2):
        feed.put(f"d{number}", 2, acl=("user:ann",) if number % 7 == 0 else None)
    for number in (17, 18, 19):
        feed.touch(f"d{number}")
    for number in (22, 23, 24):
        feed.remove(f"d{number}")
    for number in (25, 26):
        feed.grant(f"d{number}", ("group:hr",))
    feed.grant("d28", ("user:ann", "user:bob"))
    feed.put("d35", 2, acl=("group:hr",))
    feed.put("long", 2, sentences=80)
    feed.failing.remove("locked2")
    feed.put("locked2", 2)
    feed.remove("locked3")
    listing.failing.clear()
    for name in ("l0", "l3"):
        listing.put(name, 2)
    for name in ("l5", "l6"):
        listing.remove(name)
    listing.grant("l7", ("group:hr",))


# ---------------------------------------------------------------- what is looked at


def documents(root: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every document with all that belongs to it, and who may read it."""
    found: dict[str, list] = {}
    grants: dict[str, tuple[str, ...]] = {}
    with contextlib.closing(sqlite3.connect(root / ".llmapp/catalog.db")) as connection:
        rows = connection.execute(
            """
            SELECT d.source || ':' || d.document_id, d.id,
                   (SELECT json_group_array(text) FROM (SELECT text FROM texts WHERE document = d.id ORDER BY part)), d.title, d.content_hash, d.chunker, c.chunk_id, c.text, e.vector
            FROM documents d LEFT JOIN chunks c ON c.document = d.id LEFT JOIN embeddings e ON e.id = c.embedding
            ORDER BY d.id, c.start_char
            """
        )
        for name, number, *values in rows:
            found.setdefault(name, []).append(values)
            if name not in grants:
                granted = connection.execute("SELECT name FROM grants WHERE document = ? ORDER BY name", (number,))
                grants[name] = tuple(row[0] for row in granted)
    return {name: (preparing.hash_of(repr(rows)), grants[name]) for name, rows in found.items()}


def has_tables(root: Path) -> bool:
    """Whether the catalog was ever made."""
    if not (root / ".llmapp/catalog.db").exists():
        return False
    with contextlib.closing(sqlite3.connect(root / ".llmapp/catalog.db")) as connection:
        return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'documents'").fetchone())


def faults_of_files(root: Path) -> list[str]:
    """What SQLite itself finds wrong."""
    with contextlib.closing(sqlite3.connect(root / ".llmapp/catalog.db", isolation_level=None)) as connection:
        faults = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        faults += [f"foreign key: {tuple(row)}" for row in connection.execute("PRAGMA foreign_key_check")]
        faults += faults_of_full_text(connection)
    return faults


def faults_of_full_text(connection: sqlite3.Connection) -> list[str]:
    """Live chunks without postings, chunks with two, and chunks whose terms are others than those of their words."""
    named = connection.execute("SELECT value FROM meta WHERE key = 'words'").fetchone()
    words = Words.named(named[0]) if named else Words()  # killed before the first chunk came
    held: dict[int, set[str]] = {}
    faults = []
    for number, blob in connection.execute("SELECT id, rows FROM segments").fetchall():
        rows = np.frombuffer(blob, dtype="<i8").tolist()
        faults += [f"row {row} is in two segments" for row in rows if row in held]
        held |= {row: set() for row in rows}
        for term, positions in connection.execute("SELECT term, positions FROM postings WHERE segment = ?", (number,)):
            for position in np.frombuffer(positions, dtype="<u4").tolist():
                held[rows[position]].add(term)
    for row, *fields in connection.execute("SELECT id, title, heading, text FROM chunks"):
        if held.get(row) != {term for field in fields for term in words.terms(field)}:
            faults.append(f"the postings of row {row} are not those of its words")
    return faults


def leftovers(root: Path) -> dict[str, int]:
    """Rows that nobody needs once a sync has come to its end."""
    counted = {
        "unused vectors": "SELECT count(*) FROM embeddings WHERE id NOT IN (SELECT embedding FROM chunks)",
        "staged chunks": "SELECT count(*) FROM staged_chunks",
        "pending": "SELECT count(*) FROM pending",
    }
    with contextlib.closing(sqlite3.connect(root / ".llmapp/catalog.db")) as connection:
        return {name: n for name, sql in counted.items() if (n := connection.execute(sql).fetchone()[0])}


def files_with(root: Path, words: str) -> list[str]:
    """Names of the files of the application that hold these bytes."""
    files = (file for file in (root / ".llmapp").rglob("*") if file.is_file())
    return [file.name for file in files if words and words.encode() in file.read_bytes()]


def state(app: App) -> dict:
    """All that must be equal after a crash and a rerun to what it is without a crash."""
    records = app.catalog.quarantined(dropped=True)
    aside = [[each.source, each.document_id, each.stage, each.is_dropped] for each in records]
    return {
        "digest": app.catalog.digest(),
        "quarantine": aside,
        "cursors": {name: app.catalog.cursor(name) for name in ("feed", "listing")},
        "index": sorted(app.index.ids()) == sorted(app.catalog.chunk_ids()) and app.verify_index().ok,
        "leftovers": leftovers(app.settings.root),
    }
