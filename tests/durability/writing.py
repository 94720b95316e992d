"""A process that writes or reads beside another one; prints a line of JSON for all that the test has to know."""

import json
import os
import re
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import nightly
from nightly import Scene, World, prose

from llmapp.errors import LockedError
from llmapp.ingestion.access import AccessRules
from llmapp.ingestion.source_run import RunOptions
from llmapp.types import LOCAL_USER, PUBLIC

SCENE = nightly.history()[1].scene
VERSIONS = 12
LENGTHS = {**{f"d{number}": 12 for number in range(12)}, "long": 70}
"""Sentences of each document that readers look at; the long one takes the path of large texts."""


def say(**facts) -> None:
    sys.stdout.write(json.dumps({"pid": os.getpid(), **facts}) + "\n")
    sys.stdout.flush()


def sync(root: Path, wait_s: float) -> None:
    """Sync, or say who holds the lock."""
    with SCENE.open(root) as app:
        app.ingestor, app.projection  # noqa: B018 - made now, so that only the waiting is timed
        say(doing="syncing")
        started = time.perf_counter()
        try:
            reports = app.sync(confirm_deletions=("feed", "listing"), wait_s=wait_s)
        except LockedError as error:
            say(locked=error.message, seconds=time.perf_counter() - started)
            return
        added = sum(report.added + report.changed for report in reports)
        say(added=added, embedded=sum(report.embedded_tokens for report in reports), **nightly.state(app))


def hold(root: Path) -> None:
    """Sync, but stop in the first batch until the test says a line."""
    with SCENE.open(root) as app:
        inner = app.embedder._inner
        embed = inner.embed_documents

        def waits(texts):
            inner.embed_documents = embed
            say(doing="holding")
            sys.stdin.readline()
            return embed(texts)

        inner.embed_documents = waits
        nightly.sync(app)
        say(**nightly.state(app))


def ingest_one(root: Path, source: str) -> None:
    """Read one source without taking the lock."""
    with SCENE.open(root) as app:
        say(doing="ready")
        sys.stdin.readline()
        connector = next(each for each in app.source_book.all() if each.name == source).connector
        app.ingestor.run(source, connector, options=RunOptions(AccessRules(SCENE.acl), confirm_deletions=True))
        say(done=source)


def rewrite(root: Path) -> None:
    """Replace all documents by new versions of themselves, again and again."""
    world = World()
    with Scene(world, World(), acl=(PUBLIC,), sources=("feed",)).open(root) as app:
        for version in range(1, VERSIONS + 1):
            for name, sentences in LENGTHS.items():
                world.put(name, version, sentences=sentences)
            nightly.sync(app)
            say(version=version)
            if version == 1:
                sys.stdin.readline()  # until somebody reads


def read(root: Path) -> None:
    """Search and read in two threads until the test says a line; every document must be of one version, and whole."""
    first, stop, faults, seen, looks = threading.Event(), threading.Event(), [], set(), []
    with Scene(sources=("feed",)).open(root) as app:
        app.retriever  # noqa: B018 - made before the threads start

        def look():
            is_last = False
            while not is_last:
                is_last = stop.is_set()  # one more look, at what is there in the end
                by_document = defaultdict(list)
                for hit in app.search("version sentence harbour orchard glacier", top_k=30):
                    by_document[hit.chunk.document_id].append(hit.chunk.text)
                faults.extend(f"a search finds {name} mixed" for name, texts in by_document.items() if _versions(texts) > 1)
                faults.extend(_mixed(app))
                seen.update(re.findall(r"version\d+", " ".join(text for texts in by_document.values() for text in texts)))
                looks.append(1)
                first.set()

        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        first.wait()
        say(doing="reading")
        sys.stdin.readline()
        stop.set()
        for thread in threads:
            thread.join()
    say(faults=faults[:5], looks=len(looks), versions=len(seen))


def _versions(texts) -> int:
    return len(set(re.findall(r"version\d+", " ".join(texts))))


def _mixed(app) -> list[str]:
    """Documents whose text, or whose chunks as they are read together, are of two versions or not whole."""
    faults, by_document = [], defaultdict(list)
    for chunk in app.catalog.chunks(sorted(app.catalog.chunk_ids()), principal=LOCAL_USER).values():
        by_document[chunk.document_id].append(chunk)
    for name, chunks in by_document.items():
        words = " ".join(chunk.text for chunk in sorted(chunks, key=lambda chunk: chunk.start_char))
        wanted = [str(number) for number in range(LENGTHS[name])]
        if _versions([words]) > 1 or re.findall(r"sentence(\d+)", words) != wanted:
            faults.append(f"the chunks of {name} are mixed or not whole: {words[:200]}")
    for name, sentences in LENGTHS.items():
        text = app.catalog.text("feed", name, principal=LOCAL_USER)
        version = re.search(r"version(\d+)", text or "")
        if version is None or text != prose(name, int(version[1]), sentences):
            faults.append(f"the text of {name} is mixed or not whole")
    return faults


if __name__ == "__main__":
    work, root, *rest = sys.argv[1:]
    folder = Path(root)
    match work:
        case "sync":
            sync(folder, float(rest[0]))
        case "hold":
            hold(folder)
        case "one":
            ingest_one(folder, rest[0])
        case "rewrite":
            rewrite(folder)
        case "read":
            read(folder)
