"""From the names that a data set uses to the documents of the catalog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmapp.errors import DatasetError
from llmapp.evaluation.corpora import SOURCE
from llmapp.evaluation.questions import Dataset, Question

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmapp.application import App
    from llmapp.types import Chunk, Principal


class Names:
    """Finds the documents that questions expect."""

    def __init__(self, app: App, dataset: Dataset) -> None:
        """Look into the catalog of `app`, which holds the corpus of `dataset` where that has one."""
        self._app = app
        self._has_corpus = dataset.corpus is not None
        self._unknown: list[str] = []
        self._texts: dict[tuple[str, Principal], frozenset[str]] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was looked for and is not there."""
        if not self._unknown:
            return ()
        listed = ", ".join(self._unknown[:3]) + (", …" if len(self._unknown) > 3 else "")  # noqa: PLR2004 - as many as fit
        return (f"{len(self._unknown):,} expected documents are not in the catalog, and count as not found: {listed}",)

    def documents(self, question: Question) -> dict[str, int]:
        """Grades by ``source:id`` of what a question expects; a document that is not there keeps its name.

        Raises:
            DatasetError: Several documents have the name.
        """
        return {self._key(name, question): grade for name, grade in question.documents.items()}

    def meant(self, chunk: Chunk, documents: Collection[str], question: Question) -> list[str]:
        """The documents that a chunk stands for: those expected ones that have its very text, else its own.

        Of chunks with one text a search brings the first, whichever copy that is of. A corpus has judgements of its own copies.
        """
        if self._has_corpus:
            return [chunk.key]
        return [key for key in documents if chunk.text in self._texts_of(key, question.principal)] or [chunk.key]

    def _texts_of(self, key: str, principal: Principal) -> frozenset[str]:
        if (key, principal) not in self._texts:
            source, _, document_id = key.partition(":")
            self._texts[key, principal] = self._app.catalog.chunk_texts(source, document_id, principal=principal)
        return self._texts[key, principal]

    def _key(self, name: str, question: Question) -> str:
        if self._has_corpus:
            return f"{SOURCE}:{name}"
        catalog = self._app.catalog
        found = [each for each in catalog.named(name) if catalog.stored(*each)]  # what is only set aside is not found
        if len(found) > 1:
            listed = ", ".join(f"{source}:{document_id}" for source, document_id in found[:3])
            raise DatasetError(f"question {question.id}: several documents are named {name}", hint=f"name one of {listed}")
        if not found:
            self._unknown.append(name)
            return name
        return ":".join(found[0])


def plain(text: str) -> str:
    """A text as quotes are compared: white space as one blank, case folded."""
    return re.sub(r"\s+", " ", text).strip().casefold()
