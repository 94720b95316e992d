"""What a sync costs when nothing, or little, has changed.

An unchanged sync of 2,000 small files against the first one of the same run, with the default embedder (aim: at least 50 times
faster); and an edit of one section in each of 50 of 5,000 documents, which embeds these 50 sections and nothing else.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation_data import data_folder
from rich.console import Console
from rich.table import Table

from llmapp.application import App
from llmapp.config import PriceSettings, Settings, SourceSettings
from llmapp.retrieval.embedders.minilm import MiniLMEmbedder
from llmapp.testing.fakes import HashEmbedder

if TYPE_CHECKING:
    from llmapp.protocols import Embedder

FILES = 2_000
WORDS = 60
AGAIN = 3
AIM = 50
DOCUMENTS = 5_000
SECTIONS = 4
EVERY = 100
"""Every so many documents are edited: 1 %."""


def main() -> int:
    place = Path(tempfile.mkdtemp())
    try:
        return max(unchanged(place / "small"), edited(place / "edited"))
    finally:
        shutil.rmtree(place)


def synced(place: Path, embedder: Embedder) -> tuple[float, int]:
    """Seconds of a sync, and texts that it has embedded; opening and closing the application is not counted."""
    source = SourceSettings(name="notes", acl=("public",), settings={"path": str(place / "notes")})
    free = {HashEmbedder().identity: PriceSettings(input_usd_per_million=0)}
    with App(Settings(root=place / "root", sources=(source,), prices=free), embedder=embedder) as app:
        started = time.perf_counter()
        (report,) = app.sync()
        return time.perf_counter() - started, report.embedded_texts


def unchanged(place: Path) -> int:
    lines = (data_folder("scifact") / "beir/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    (place / "notes").mkdir(parents=True)
    for document in map(json.loads, lines[:FILES]):
        words = " ".join(document["text"].split()[:WORDS])
        (place / f"notes/{document['_id']}.md").write_text(f"# {document['title']}\n\n{words}\n", encoding="utf-8")
    embedder = MiniLMEmbedder()
    embedder.embed_query("load the model before anything is timed")
    first, texts = synced(place, embedder)
    again, none = min(synced(place, embedder) for _ in range(AGAIN))
    table = Table("sync", "seconds", "texts embedded", title=f"{FILES:,} small files")
    table.add_row("first", f"{first:.2f}", f"{texts:,}")
    table.add_row(f"unchanged, best of {AGAIN}", f"{again:.2f}", f"{none:,}")
    Console().print(table)
    print(f"ratio: {first / again:.0f} (aim: at least {AIM})")
    return int(first / again < AIM or none > 0)


def edited(place: Path) -> int:
    (place / "notes").mkdir(parents=True)
    embedder = HashEmbedder()
    for number in range(DOCUMENTS):
        write(place, number)
    first, texts = synced(place, embedder)
    for number in range(0, DOCUMENTS, EVERY):
        write(place, number, edited_section=number // EVERY % SECTIONS)
    embedder.embedded.clear()
    again, _ = synced(place, embedder)
    edits = len(range(0, DOCUMENTS, EVERY))
    exact = sorted(embedder.embedded) == sorted({text for text in embedder.embedded if "edited" in text})
    table = Table("sync", "seconds", "texts embedded", title=f"{DOCUMENTS:,} documents of {SECTIONS} sections")
    table.add_row("first", f"{first:.2f}", f"{texts:,}")
    table.add_row(f"{edits} sections edited", f"{again:.2f}", f"{len(embedder.embedded):,}")
    Console().print(table)
    print(
        f"embedded are exactly the {edits} edited sections: {'yes' if exact and len(embedder.embedded) == edits else 'NO'}"
    )
    return int(not exact or len(embedder.embedded) != edits)


def write(place: Path, number: int, *, edited_section: int | None = None) -> None:
    """A document, whose sections are cut apart."""
    sections = [
        f"## Section {section}\n\nDocument {number} says {'edited words' if section == edited_section else 'a thing'} here.\n"
        for section in range(SECTIONS)
    ]
    text = f"# Note {number}\n\n" + "\n".join(sections)
    (place / f"notes/{number:05}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
