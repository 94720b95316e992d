"""llmapp as it comes, and with the weights of the others; every document has an access list, and the asker is in one group of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from worker import TOP_K

from llmapp import App, Change, Checkpoint, Cursor, Document, Principal, Upsert, open_app

TEAMS = 7
ASKER = Principal("anna", ("readers",))


class Peer:
    """The defaults."""

    configuration = (
        "defaults (int8 MiniLM, convex fusion of 100 candidates each); read through access lists, asker in one group"
    )
    settings = ""

    def __init__(self, folder: Path, weights: Path) -> None:
        """Lay down the settings; nothing is loaded yet."""
        self._folder = folder
        self._settings = self.settings.format(weights=weights)

    @cached_property
    def app(self) -> App:
        """The application."""
        file = self._folder / "llmapp.toml"
        if not file.exists():
            file.write_text(self._settings, encoding="utf-8")
        return open_app(self._folder)

    def load(self) -> None:
        """Load the model; of foreign weights the fused graph is made here."""
        self.app.embedder.embed_query("a word")

    def build(self, documents: list[tuple[str, str, str]]) -> None:
        """Cut, embed and commit, and write the vector index."""
        self.app.ingestor.run("corpus", Corpus(documents), default_acl=())
        self.app.projection.apply_pending()

    def search(self, question: str) -> list[str]:
        """As an application searches."""
        return [hit.chunk.document_id for hit in self.app.search(question, top_k=TOP_K, principal=ASKER)]


class SameWeights(Peer):
    """The float32 weights that the others use."""

    configuration = "as above, with the float32 weights of the others as one fused ONNX graph"
    settings = 'embedder = "sentence-transformers:{weights}"\n[embedder_options]\ndevice = "cpu"\n'


class Corpus:
    """The documents as a connector."""

    def __init__(self, documents: list[tuple[str, str, str]]) -> None:
        """These."""
        self._documents = documents

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        """Yield them all, each open to all readers and to one team."""
        del cursor
        for number, (name, title, text) in enumerate(self._documents):
            acl = ("group:readers", f"group:team-{number % TEAMS}")
            yield Upsert(Document(name, f"corpus:{name}", text=text, title=title, acl=acl))
        yield Checkpoint(None)
