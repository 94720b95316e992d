"""How well and how fast retrieval finds: SciFact's 300 test questions over 5,183 abstracts, through the catalog.

Prints nDCG@10 and recall@100 of full-text, dense and fused search, and the time of a whole search as a ratio to the bare
embedder and bare Chroma in the same run. Ratios only: seconds depend on the machine. A document scores as its best chunk.

The first run embeds every abstract, which takes minutes; the catalog is then kept under ``.cache/scifact/``.

    python benchmarks/retrieval_quality.py
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import ir_measures
from ir_measures import Qrel, R, ScoredDoc, nDCG

from llmapp.catalog.catalog import Catalog
from llmapp.catalog.lock import FileLock
from llmapp.catalog.records import DocumentRecord
from llmapp.protocols import Retriever
from llmapp.retrieval.chroma import ChromaIndex
from llmapp.retrieval.dense import DenseRetriever
from llmapp.retrieval.hybrid import HybridRetriever
from llmapp.retrieval.lexical import LexicalRetriever
from llmapp.retrieval.minilm import MiniLMEmbedder
from llmapp.retrieval.projection import IndexProjection
from llmapp.types import LOCAL_USER, PUBLIC, Chunk

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / ".cache" / "scifact"
BATCH_DOCUMENTS = 200
TOP_K_CHUNKS = 200
"""Chunks to fetch so that 100 different documents are among them: an abstract has one or two."""
TIMED_QUERIES = 100


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
    hybrid = HybridRetriever(dense, lexical)
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
        projection = IndexProjection(catalog, index, lock)
        if projection.apply_pending() == 0 and not projection.verify().ok:
            projection.rebuild()
        print(f"index verify: {projection.verify()}")

        def bare(question: str) -> None:
            index.query(embedder.embed_query(question), top_k=10)

        def search_with(dense: DenseRetriever) -> Callable[[str], object]:
            hybrid = HybridRetriever(dense, lexical)
            return lambda question: hybrid.retrieve(question, principal=LOCAL_USER, top_k=10)

        exact = search_with(DenseRetriever(catalog, embedder))
        through_chroma = search_with(DenseRetriever(catalog, embedder, index=index, lock=lock, exact_up_to=0))
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
    """Take in the abstracts that the catalog does not hold yet."""
    catalog.bind_embedder(embedder.identity)
    known = catalog.document_ids("scifact")
    with corpus.open(encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["_id"] not in known]
    if rows:
        print(f"embedding {len(rows):,} abstracts, once; kept in .cache/scifact/")
    for start in range(0, len(rows), BATCH_DOCUMENTS):
        records = [record_of(row, embedder) for row in rows[start : start + BATCH_DOCUMENTS]]
        texts = {key: text for record in records for key, text in embedded_texts(record)}
        vectors = embedder.embed_documents(list(texts.values()))
        catalog.replace(records, dict(zip(texts, vectors, strict=True)))


def record_of(row: dict[str, str], embedder: MiniLMEmbedder) -> DocumentRecord:
    title, text, name = row["title"], row["text"], row["_id"]
    room_tokens = embedder.max_tokens - embedder.tokenizer.special_tokens - embedder.tokenizer.count(title)
    chunks = tuple(
        Chunk(f"{name}:{start}", "scifact", name, f"scifact:{name}", title, text[start:end], start, end)
        for start, end in spans(text, embedder, room_tokens)
    )
    return DocumentRecord(
        source="scifact",
        document_id=name,
        uri=f"scifact:{name}",
        title=title,
        text=text,
        page_starts=(),
        media_type="text/plain",
        metadata={},
        acl=(PUBLIC,),
        revision=None,
        content_hash=name,
        parser="none",
        chunks=chunks,
        embedding_keys=tuple(key_of(f"{title}\n{chunk.text}") for chunk in chunks),
    )


def embedded_texts(record: DocumentRecord) -> Iterator[tuple[str, str]]:
    for chunk, key in zip(record.chunks, record.embedding_keys, strict=True):
        yield key, f"{chunk.title}\n{chunk.text}"


def key_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def spans(text: str, embedder: MiniLMEmbedder, room_tokens: int) -> Iterable[tuple[int, int]]:
    """Whole sentences, as many as fit; a longer sentence is cut between words."""
    ends = [match.end() for match in re.finditer(r"\S[.!?]\s+|\Z", text)]
    start = end = 0
    for sentence_end in ends:
        if end > start and embedder.tokenizer.count(text[start:sentence_end]) > room_tokens:
            yield start, end
            start = end
        while len(offsets := embedder.tokenizer.offsets(text[start:sentence_end])) > room_tokens:
            cut = start + offsets[room_tokens][0]
            yield start, cut
            start = cut
        end = sentence_end
    if text[start:end].strip():
        yield start, end


if __name__ == "__main__":
    main()
