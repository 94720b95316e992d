"""A small corpus with questions, as a BEIR folder and as an application's own documents."""

import json

import pytest

from llmapp.application import App
from llmapp.config import PriceSettings, Settings, SourceSettings
from llmapp.testing.fakes import HashEmbedder

CORPUS = {
    "water": ("Water", "Water damage is reported within seven days to the claims line."),
    "theft": ("Theft", "A burglary is reported to the police within forty hours."),
    "bike": ("Bicycles", "A stolen bicycle is insured up to EUR 3,500 when it was locked."),
    "glass": ("Glass", "Broken glass is replaced at once and no deductible applies."),
}
QUERIES = {
    "q1": "When is water damage reported?",
    "q2": "Up to what amount is a stolen bicycle insured?",
    "q3": "Who pays the vet?",
}
QRELS = [("q1", "water", 1), ("q2", "bike", 2), ("q2", "theft", 1)]
ANSWERS = [
    {"_id": "q1", "answers": ["seven days"]},
    {"_id": "q2", "answers": ["EUR 3,500", "3500 euros"]},
    {"_id": "q3", "answers": [], "is_impossible": True},
]


def write_lines(file, rows):
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def beir(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    write_lines(folder / "corpus.jsonl", [{"_id": name, "title": t, "text": text} for name, (t, text) in CORPUS.items()])
    write_lines(folder / "queries.jsonl", [{"_id": name, "text": text} for name, text in QUERIES.items()])
    write_lines(folder / "answers.jsonl", ANSWERS)
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in QRELS)]
    (folder / "qrels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def app(tmp_path):
    """An application over the same texts as files, with an embedder that needs no model."""
    documents = tmp_path / "documents"
    documents.mkdir()
    for name, (title, text) in CORPUS.items():
        (documents / f"{name}.md").write_text(f"# {title}\n\n{text}\n", encoding="utf-8")
    source = SourceSettings(name="files", acl=("public",), settings={"path": str(documents)})
    free = PriceSettings(input_usd_per_million=0)
    settings = Settings(root=tmp_path, sources=(source,), prices={f"hash/{dim}": free for dim in (16, 32, 64, 256)})
    with App(settings, embedder=HashEmbedder(dim=256)) as opened:
        opened.ingest()
        yield opened


@pytest.fixture
def app_without_reranker(app):
    """The same application, set to ask a reranker that does not answer."""
    prices = {**app.settings.prices, "rerank-x": PriceSettings(input_usd_per_million=0, usd_per_thousand_searches=2)}
    given = {"reranker": "api:rerank-x", "reranker_url": "http://127.0.0.1:9/rerank"}
    retrieval = app.settings.retrieval.model_copy(update=given)
    with app.beside(app.settings.model_copy(update={"prices": prices, "retrieval": retrieval})) as opened:
        yield opened
