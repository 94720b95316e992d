"""How well and how fast retrieval finds: SciFact's 300 test questions over 5,183 abstracts, through the catalog.

Prints nDCG@10 and recall@100 of full-text, dense and fused search, and the time of a whole search as a ratio to the bare
embedder and bare Chroma in the same run. Ratios only: seconds depend on the machine. A document scores as its best chunk.

The first run embeds every abstract, which takes minutes; the catalog is then kept under ``.cache/scifact/``.

    python benchmarks/retrieval_quality.py
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import ir_measures
from ir_measures import Qrel, R, ScoredDoc, nDCG

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.lock import FileLock
from llmapp.config import RetrievalSettings
from llmapp.connector import Change, Checkpoint, Cursor, Upsert
from llmapp.ingestion.chunking import StructureChunker
from llmapp.ingestion.embedding_text import chunk_tokens
from llmapp.ingestion.ingestor import Ingestor
from llmapp.ingestion.parsing import ProcessParser
from llmapp.protocols import Retriever
from llmapp.retrieval.dense import DenseRetriever
from llmapp.retrieval.embedders.minilm import MiniLMEmbedder
from llmapp.retrieval.fusion import convex
from llmapp.retrieval.hybrid import HybridRetriever
from llmapp.retrieval.indexes.chroma.embedded import ChromaIndex
from llmapp.retrieval.lexical import LexicalRetriever
from llmapp.retrieval.planning import Costs
from llmapp.retrieval.projection import IndexProjection
from llmapp.retrieval.serving import ServingIndex
from llmapp.types import LOCAL_USER, PUBLIC, Document

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / ".cache" / "scifact"
TOP_K_CHUNKS = 200
"""Chunks to fetch so that 100 different documents are among them: an abstract has one or two."""
TIMED_QUERIES = 100
DEFAULTS = RetrievalSettings()
FUSE = partial(convex, weights=(DEFAULTS.dense_weight, 1 - DEFAULTS.dense_weight))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--train", action="store_true", help="use the 809 training questions: for tuning")
    arguments = options.parse_args()
    data = data_folder() / "scifact" / "beir"
    if not data.is_dir():
        print("retrieval quality: skipped, the evaluation data folder is absent (set LLMAPP_DATA)")
        return
    embedder = MiniLMEmbedder()
    catalog = Catalog(STATE / "catalog.db")
    ingest(catalog, embedder, data / "corpus.jsonl")
    print(f"SciFact, {catalog.counts().documents:,} abstracts in {catalog.counts().chunks:,} chunks, {embedder.identity}")
    judgements = list(read_judgements(data / ("qrels_train.tsv" if arguments.train else "qrels.tsv")))
    judged = {judgement.query_id for judgement in judgements}
    questions = {name: text for name, text in read_questions(data / "queries.jsonl") if name in judged}
    measure_quality(catalog, embedder, questions, judgements)
    measure_speed(catalog, embedder, list(questions.values())[:TIMED_QUERIES])
    catalog.close()


def data_folder() -> Path:
    return Path(os.environ.get("LLMAPP_DATA", ROOT.parent / "shared" / "data"))


def read_questions(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            yield row["_id"], row["text"]


def read_judgements(path: Path) -> Iterator[Qrel]:
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        question, document, relevance = line.split("\t")
        yield Qrel(question, document, int(relevance))


def measure_quality(
    catalog: Catalog, embedder: MiniLMEmbedder, questions: dict[str, str], judgements: Sequence[Qrel]
) -> None:
    lexical = LexicalRetriever(catalog)
    dense = DenseRetriever(catalog, embedder)
    hybrid = HybridRetriever(dense, lexical, fuse=FUSE, candidates=DEFAULTS.candidates)
    print(f"{len(questions)} questions      nDCG@10  recall@100")
    for name, retriever in (("full text", lexical), ("dense", dense), ("fused", hybrid)):
        found = [hit for question, text in questions.items() for hit in documents(retriever, question, text)]
        measures = ir_measures.calc_aggregate([nDCG @ 10, R @ 100], judgements, found)
        print(f"{name:18} {measures[nDCG @ 10]:7.3f} {measures[R @ 100]:11.3f}")


def documents(retriever: Retriever, question: str, text: str) -> Iterator[ScoredDoc]:
    """Each document once, at the place of its best chunk."""
    hits = retriever.retrieve(text, principal=LOCAL_USER, top_k=TOP_K_CHUNKS)
    for rank, document in enumerate(dict.fromkeys(hit.chunk.document_id for hit in hits)):
        yield ScoredDoc(question, document, 1.0 / (1 + rank))


def measure_speed(catalog: Catalog, embedder: MiniLMEmbedder, questions: Sequence[str]) -> None:
    index = ChromaIndex(STATE / "chroma")
    lexical = LexicalRetriever(catalog)
    with FileLock(STATE / "index.lock", purpose="the index") as lock:
        serving = ServingIndex(catalog, lambda _: index, initial=index.name, lock=lock)
        projection = IndexProjection(catalog, serving, lock)
        if projection.apply_pending() == 0 and not projection.verify().ok:
            projection.rebuild()
        print(f"index verify: {projection.verify()}")

        def bare(question: str) -> None:
            index.query(embedder.embed_query(question), top_k=10)

        def search_with(dense: DenseRetriever) -> Callable[[str], object]:
            hybrid = HybridRetriever(dense, lexical, fuse=FUSE, candidates=DEFAULTS.candidates)
            return lambda question: hybrid.retrieve(question, principal=LOCAL_USER, top_k=10)

        exact = search_with(DenseRetriever(catalog, embedder))
        through_chroma = search_with(
            DenseRetriever(catalog, embedder, index=serving, exact_up_to=0, costs=Costs(number_s=1.0))
        )
        times = timed(questions, [bare, exact, through_chroma])
        print("warm search, p50 over bare embedder + bare Chroma (at most 1.5)")
        print(f"planned (exact)    {times[1] / times[0]:7.2f}")
        print(f"through Chroma     {times[2] / times[0]:7.2f}")
        index.close()


def timed(questions: Sequence[str], searches: Sequence[Callable[[str], object]]) -> list[float]:
    """Median seconds of each search; the searches take turns, so that the load of the machine meets all alike."""
    seconds: list[list[float]] = [[] for _ in searches]
    for search in searches:
        search(questions[0])
    for question in questions:
        for number, search in enumerate(searches):
            start = time.perf_counter()
            search(question)
            seconds[number].append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


def ingest(catalog: Catalog, embedder: MiniLMEmbedder, corpus: Path) -> None:
    """Bring the catalog up to date; abstracts that it holds cost a comparison."""
    if not catalog.counts().documents:
        print("embedding 5,183 abstracts, once: takes minutes, kept in .cache/scifact/", flush=True)
    parser = ProcessParser()
    chunker = StructureChunker(embedder.tokenizer, chunk_tokens(embedder))
    report = Ingestor(catalog, parser, chunker, embedder).run("scifact", Abstracts(corpus), default_acl=(PUBLIC,))
    parser.close()
    print(
        f"ingested: {report.added} added, {report.changed} changed, {report.unchanged} unchanged, {report.quarantined} quarantined",
        flush=True,
    )


class Abstracts:
    """The corpus as a connector."""

    def __init__(self, corpus: Path) -> None:
        """Name the file, in the layout of BEIR."""
        self._corpus = corpus

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        """Yield every abstract."""
        del cursor  # the host skips what it holds
        with self._corpus.open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                uri = f"scifact:{row['_id']}"
                yield Upsert(Document(row["_id"], uri, text=row["text"], title=row["title"], revision="1"))
        yield Checkpoint(None)


if __name__ == "__main__":
    main()
