"""What a data set is asked of: the application's own documents, or the data set's corpus in a state of its own.

The corpus of a data set never comes near the application's catalog. Its state lies under the application's, in a folder
named after everything that a vector depends on, and is used again as long as none of that changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmapp.application import App
from llmapp.catalog.lock import FileLock
from llmapp.config import Settings
from llmapp.connector import Change, Checkpoint, Cursor, Upsert
from llmapp.errors import NothingIngestedError
from llmapp.evaluation.beir import read_corpus
from llmapp.evaluation.questions import Dataset, fingerprint_of
from llmapp.protocols import Progress
from llmapp.types import PUBLIC, Document

SOURCE = "corpus"
"""The source that a corpus is taken in as."""
_ALIKE = (
    "root",
    "model",
    "models",
    "api_key",
    "reranker_api_key",
    "model_options",
    "embedder",
    "embedder_api_key",
    "embedder_options",
    "ingestion",
    "retrieval",
    "prompt",
    "budgets",
    "prices",
)
"""Settings that hold for a corpus too. Where things are kept is not among them: that is the application's own."""
_WAIT_S = 3600.0


class _CorpusSettings(Settings):
    """Settings whose state is elsewhere; the root stays, for paths are relative to it."""

    folder: Path

    @property
    def state(self) -> Path:
        return self.folder


class BeirCorpus:
    """A corpus as a connector."""

    snapshot = True

    def __init__(self, file: Path, name: str) -> None:
        """Name BEIR's ``corpus.jsonl`` and the data set."""
        self._file = file
        self._name = name

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        """Yield every document that is not blank; one without a text is its title."""
        del cursor  # the host skips what it holds
        for _, name, title, text in read_corpus(self._file):
            if title or text.strip():
                yield Upsert(
                    Document(name, f"{self._name}:{name}", text=text if text.strip() else title, title=title or name)
                )
        yield Checkpoint(None)


@contextmanager
def asked(app: App, dataset: Dataset, progress: Progress | None = None) -> Iterator[App]:
    """The application that a data set is asked of, with the settings of `app`.

    Args:
        app: The application.
        dataset: Where it brings a corpus, that is taken in first, once; embedding is paid from the budget of `app`.
        progress: Told of every document of the corpus.

    Raises:
        NothingIngestedError: The data set is about the application's own documents, and there are none.
        LockedError, EmbedderError, CostError, CatalogError: As `App.ingest`.
    """
    if dataset.corpus is None:
        if app.catalog.generation() == 0:
            raise NothingIngestedError("there are no documents to ask", hint="run llmapp ingest")
        yield app
        return
    parts = [corpus_fingerprint(app, dataset), app.embedder.identity, app.ingestor.preparer.chunker_version]
    name = f"{dataset.name.replace('/', '-')}-{fingerprint_of(parts)}"
    alike = {key: getattr(app.settings, key) for key in _ALIKE}
    folder = app.settings.state / "evaluation" / name
    with app.beside(_CorpusSettings.model_construct(folder=folder, **alike)) as corpus_app:
        _take_in(corpus_app, dataset, dataset.corpus, progress)
        yield corpus_app


def corpus_fingerprint(app: App, dataset: Dataset) -> str:
    """Hash of the texts that are searched: the file of the corpus, or all documents of the application."""
    if dataset.corpus is None:
        return app.catalog.fingerprint()[:16]
    with dataset.corpus.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _take_in(app: App, dataset: Dataset, corpus: Path, progress: Progress | None) -> None:
    with FileLock(app.settings.state / "ingest.lock", purpose="the corpus", wait_s=_WAIT_S):
        app.catalog.end_dead_runs()
        runs = app.catalog.runs(1, source=SOURCE)
        if not runs or runs[0].status not in {"completed", "completed_with_failures"}:
            app.ingestor.run(SOURCE, BeirCorpus(corpus, dataset.name), default_acl=(PUBLIC,), progress=progress)
            app.projection.apply_pending()
