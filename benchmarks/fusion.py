"""Which fusion finds best: by ranks or by scores, with which weight, from how many candidates of each side.

The default is chosen on SciFact's 809 training questions; SQuAD 2.0 and CLAPnq say whether it is that set's taste only, and
SciFact's test questions say, once it is chosen, what it is worth. A document scores as its best chunk.

The first run embeds the texts, which takes minutes; the catalogs are then kept under ``.cache/``.

    python benchmarks/fusion.py                   # the training questions and the two other sets
    python benchmarks/fusion.py --test            # SciFact's test questions, for what was chosen
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import ir_measures
from evaluation_data import CACHE, data_folder
from ir_measures import Qrel, ScoredDoc, nDCG

from llmapp.application import App
from llmapp.config import RetrievalSettings, Settings
from llmapp.connector import Change, Checkpoint, Cursor, Upsert
from llmapp.retrieval.dense import DenseRetriever
from llmapp.retrieval.fusion import Fusion, convex, reciprocal_rank
from llmapp.types import LOCAL_USER, PUBLIC, Document, Hit

CANDIDATES = (10, 20, 30, 50, 100, 200)
WEIGHTS = tuple(step / 10 for step in range(11))
MOST_QUESTIONS = 1_000


@dataclass(frozen=True)
class Texts:
    """A folder of BEIR as a connector."""

    folder: Path

    def read(self, cursor: Cursor | None) -> Iterator[Change]:
        """Yield every text; the host skips what it holds."""
        del cursor
        for row in rows(self.folder / "corpus.jsonl"):
            uri = f"{self.folder.parent.name}:{row['_id']}"
            yield Upsert(Document(row["_id"], uri, text=row["text"], title=row["title"], revision="1"))
        yield Checkpoint(None)


@dataclass(frozen=True)
class Found:
    """What both sides bring for the questions of a set."""

    judgements: list[Qrel]
    sides: dict[str, tuple[list[Hit], list[Hit]]]

    def ndcg(self, fuse: Fusion, candidates: int) -> float:
        """Mean nDCG@10 of the documents."""
        ranked = []
        for question, sides in self.sides.items():
            hits = fuse([side[:candidates] for side in sides], top_k=2 * candidates)
            documents = dict.fromkeys(hit.chunk.document_id for hit in hits)
            ranked += [ScoredDoc(question, document, -rank) for rank, document in enumerate(documents)]
        return float(ir_measures.calc_aggregate([nDCG @ 10], self.judgements, ranked)[nDCG @ 10])


def rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def find(folder: Path, qrels: str) -> Found:
    """Ask both sides every question that has a judgement, or a sample of them."""
    judged = (line.split("\t") for line in (folder / qrels).read_text(encoding="utf-8").splitlines()[1:])
    judgements = [Qrel(question, document, int(relevance)) for question, document, relevance in judged]
    asked = sorted({judgement.query_id for judgement in judgements})
    asked = random.Random(7).sample(asked, min(MOST_QUESTIONS, len(asked)))  # noqa: S311  not a secret
    texts = {row["_id"]: row["text"] for row in rows(folder / "queries.jsonl")}
    with App(Settings(root=CACHE / folder.parent.name)) as app:
        app.ingestor.run("beir", Texts(folder), default_acl=(PUBLIC,))
        sides = (DenseRetriever(app.catalog, app.embedder), app.lexical)  # exact: no index has a say here
        most = max(CANDIDATES)

        def ask(text: str) -> tuple[list[Hit], list[Hit]]:
            dense, lexical = (side.retrieve(text, principal=LOCAL_USER, top_k=most) for side in sides)
            return dense, lexical

        return Found([one for one in judgements if one.query_id in set(asked)], {name: ask(texts[name]) for name in asked})


def show(name: str, found: Found, candidates: Sequence[int], weights: Sequence[float]) -> None:
    print(f"\n{name}, {len(found.sides)} questions, nDCG@10; in the columns the weight of dense search\n")
    print("| candidates | rrf |" + "".join(f" {weight} |" for weight in weights))
    print("| --- | --- |" + " --- |" * len(weights))
    for count in candidates:
        by_score = [found.ndcg(partial(convex, weights=(weight, 1 - weight)), count) for weight in weights]
        cells = [found.ndcg(reciprocal_rank, count), *by_score]
        print(f"| {count} |" + "".join(f" {cell:.4f} |" for cell in cells), flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--test", action="store_true", help="SciFact's test questions, with the default settings")
    scifact = data_folder("scifact") / "beir"
    if options.parse_args().test:
        given = RetrievalSettings()
        show("SciFact test", find(scifact, "qrels.tsv"), [given.candidates], [0.0, given.dense_weight, 1.0])
        return
    for name, folder, qrels in (
        ("SciFact train", scifact, "qrels_train.tsv"),
        ("SQuAD 2.0", data_folder("squad") / "beir-v2.0", "qrels.tsv"),
        ("CLAPnq", data_folder("clapnq") / "beir", "qrels.tsv"),
    ):
        show(name, find(folder, qrels), CANDIDATES, WEIGHTS)


if __name__ == "__main__":
    main()
