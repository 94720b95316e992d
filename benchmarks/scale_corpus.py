"""Chunks by the hundred thousand for the benchmarks of speed: vectors in clusters, real sentences, the same whenever they are made.

Sentences are those of SciFact, SQuAD 2.0, ClapNQ, HotpotQA and MuSiQue, 68,000 different ones, in another order each time they are
used up. A word that only one of them has is another word in every second round: so 100,000 and 500,000 chunks have some 2 and 6
times the words of one round, as texts of that length do (Heaps, exponent about .55), and rare words stay rare.

Of the documents, five chunks each, one in 7, in 100 and in 10,000 has a field that says so and is open to a group of its own.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import chromadb
import numpy as np
from evaluation_data import CACHE, data_folder
from rich.progress import track

from llmapp.bootstrap import Parts
from llmapp.catalog.records import DocumentRecord
from llmapp.config import PriceSettings, Settings
from llmapp.retrieval.indexes.chroma.collection import ChromaCollection
from llmapp.retrieval.indexes.chroma.watchdog import Watchdog
from llmapp.testing.fakes import HashEmbedder
from llmapp.types import Chunk

if TYPE_CHECKING:
    from llmapp.protocols import Embedder, FloatArray

_T = TypeVar("_T")

DIM = 384
SHARES = (7, 100, 10_000)
QUERIES = 200
CHUNKS_A_DOCUMENT = 5
CHUNKS_A_CLUSTER = 100
SPREAD = 0.9
WORDS_A_CHUNK = 80
DOCUMENTS_A_COMMIT = 500
SOURCES = ("scifact/beir", "squad/beir-v2.0", "clapnq/beir", "multihop/beir-hotpotqa", "multihop/beir-musique")
ASKED = SOURCES[:3]
WORD = re.compile(r"\w+")


class GivenVectors(HashEmbedder):
    """Knows the vectors of the questions beforehand: what is measured is the search."""

    def __init__(self, vectors: dict[str, FloatArray], *, beside: Embedder | None = None) -> None:
        """Know these, by question; and let another embedder work on each of them, for the time that it takes."""
        super().__init__(dim=DIM, max_tokens=512)
        self._given = vectors
        self._beside = beside

    def embed_query(self, text: str) -> FloatArray:
        """The vector of a question. Shape (DIM,)."""
        if self._beside is not None:
            self._beside.embed_query(text)
        return self._given[text]


class FilledStore(ChromaCollection):
    """Our own adapter over a collection that has the fields of the documents as well: bare Chroma needs them for its `where`."""

    name = "chroma"
    is_shared = True

    def __init__(self, client: Any) -> None:
        """Open the collection."""
        configuration = {"hnsw": {"space": "ip"}}
        self.bare = client.get_or_create_collection("bare", embedding_function=None, configuration=configuration)
        super().__init__(client, self.bare, Watchdog(), read_deadline_s=60, write_deadline_s=600)

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        """Put vectors with the fields of their documents."""
        facts = [fields(int(name[1:]) // CHUNKS_A_DOCUMENT) for name in ids]
        for part in batched(range(len(ids)), 5_000):
            kept = slice(part[0], part[-1] + 1)
            self.bare.upsert(ids=list(ids[kept]), embeddings=vectors[kept], metadatas=facts[kept])

    def mend(self) -> None:
        """Nothing."""

    settle = close = clear = mend

    def fault(self) -> str | None:
        """None."""


@dataclass(frozen=True)
class Corpus:
    """So many chunks."""

    size: int

    @property
    def folder(self) -> Path:
        """Where what is made of it is kept."""
        folder = CACHE / "scale" / str(self.size)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def _drawn(self) -> tuple[FloatArray, FloatArray]:
        chance = np.random.default_rng(self.size)
        centres = chance.normal(size=(self.size // CHUNKS_A_CLUSTER, DIM)).astype(np.float32)

        def near(wanted: int) -> FloatArray:
            drawn = centres[chance.integers(0, len(centres), size=wanted)]
            drawn += SPREAD * chance.standard_normal(size=(wanted, DIM), dtype=np.float32)
            drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
            return drawn

        asked = near(QUERIES)
        return near(self.size), asked

    @property
    def vectors(self) -> FloatArray:
        """Unit vectors of the chunks. Shape (size, DIM)."""
        return self._drawn[0]

    @cached_property
    def questions(self) -> dict[str, FloatArray]:
        """Real questions, each with a vector of the same clusters; kept, so that who only asks need not make the vectors."""
        kept = self.folder / "asked.npy"
        if not kept.exists():
            np.save(kept, self._drawn[1])
        return dict(zip(questions(), np.load(kept), strict=True))

    def texts(self) -> Iterator[str]:
        """The texts of the chunks, in order."""
        return islice(_chunks(), self.size)

    def store(self) -> FilledStore:
        """The collection of Chroma that is asked bare, and by the application: filled once, and both walk the same graph."""
        client = chromadb.PersistentClient(str(self.folder / "bare"), settings=chromadb.Settings(anonymized_telemetry=False))
        return FilledStore(client)

    def ours(self, store: FilledStore, *, is_indexed: bool = True, beside: Embedder | None = None) -> Parts:
        """The application over these chunks, filled at the first time; without the vector index where that is not needed."""
        embedder = GivenVectors(self.questions, beside=beside)
        settings = Settings(root=self.folder, prices={embedder.identity: PriceSettings(input_usd_per_million=0)})
        parts = Parts(settings, embedder=embedder, index=store)
        if parts.catalog.counts().chunks < self.size:
            total = self.size // CHUNKS_A_DOCUMENT // DOCUMENTS_A_COMMIT
            for batch in track(batched(self._records(), DOCUMENTS_A_COMMIT), f"catalog of {self.size:,}", total=total):
                vectors = {key: vector for _, given in batch for key, vector in given.items()}
                parts.catalog.replace([record for record, _ in batch], vectors)
        if is_indexed and parts.catalog.pending(limit=1):
            print("writing the vector index", flush=True)
            parts.projection.apply_pending()
        return parts

    def _records(self) -> Iterator[tuple[DocumentRecord, dict[str, FloatArray]]]:
        numbered = enumerate(self.texts())
        for number, rows in enumerate(batched(numbered, CHUNKS_A_DOCUMENT)):
            name = f"d{number}"
            chunks = tuple(Chunk(chunk_id(row), "bench", name, name, "", text, 0, len(text)) for row, text in rows)
            keys = tuple(f"k{row}" for row, _ in rows)
            acl = ("user:all", *(f"group:{share}" for share in SHARES if number % share == 0))
            record = DocumentRecord(
                source="bench",
                document_id=name,
                uri=name,
                title="",
                text="",
                page_starts=(),
                media_type=None,
                metadata=fields(number),
                acl=acl,
                revision=None,
                content_hash=name,
                parser="none",
                chunks=chunks,
                embedding_keys=keys,
                chunker="bench",
            )
            yield record, dict(zip(keys, self.vectors[[row for row, _ in rows]], strict=True))


def chunk_id(row: int) -> str:
    return f"c{row:09}"


def fields(document: int) -> dict[str, bool]:
    """Metadata of a document."""
    return {f"in{share}": document % share == 0 for share in SHARES}


def batched(items: Iterable[_T], size: int) -> Iterator[tuple[_T, ...]]:
    """As Python 3.12 has it."""
    left = iter(items)
    while batch := tuple(islice(left, size)):
        yield batch


def questions() -> list[str]:
    """Real questions, the same share of each set."""
    asked = []
    for number, source in enumerate(ASKED):
        found = [row["text"] for row in _lines(data_folder(source) / "queries.jsonl") if len(row["text"].split()) > 2]
        wanted = QUERIES * (number + 1) // len(ASKED) - QUERIES * number // len(ASKED)
        asked += [found[place] for place in np.random.default_rng(number).permutation(len(found))[:wanted]]
    return asked


def sentences() -> list[str]:
    """The different sentences of all sources."""
    texts = (row["text"] for source in SOURCES for row in _lines(data_folder(source) / "corpus.jsonl"))
    return list(dict.fromkeys(part for text in texts for part in re.split(r"(?<=[.!?])\s+", text) if part))


def _chunks() -> Iterator[str]:
    """Without end."""
    whole = sentences()
    holders = Counter(word for sentence in whole for word in set(WORD.findall(sentence)))
    chunk: list[str] = []
    words = 0
    for turn in count():
        for place in np.random.default_rng(turn).permutation(len(whole)):
            chunk.append(_renewed(whole[place], turn // 2, holders) if turn > 1 else whole[place])
            words += chunk[-1].count(" ") + 1
            if words >= WORDS_A_CHUNK:
                yield " ".join(chunk)
                chunk, words = [], 0


def _renewed(sentence: str, turn: int, holders: Counter[str]) -> str:
    """Other words for those that no other sentence has."""
    return WORD.sub(lambda word: f"{word[0]}{turn}" if holders[word[0]] == 1 else word[0], sentence)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
