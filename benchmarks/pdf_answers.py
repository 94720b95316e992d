"""Real PDFs end to end: 8 quarterly reports, and whether a question's first citation is a right document.

A question names one company or two, often without a quarter; the right documents are those of the data's own list. The
extractive model answers, so a wrong first citation is wrong retrieval or a wrong choice among what was retrieved.
"""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

from evaluation_data import data_folder
from rich.console import Console
from rich.progress import track
from rich.table import Table

from llmapp.application import App
from llmapp.config import Settings, SourceSettings


def main() -> None:
    folder = data_folder("sec10q-pdf")
    relevant: dict[str, set[str]] = defaultdict(set)
    with (folder / "qrels.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            relevant[row["query-id"]].add(row["corpus-id"])
    questions = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    questions = [question for question in questions if relevant[question["_id"]]]
    root = Path(tempfile.mkdtemp())
    source = SourceSettings(name="reports", acl=("public",), settings={"path": str(folder / "pdf")})
    with App(Settings(root=root, sources=(source,))) as app:
        (report,) = app.ingest()
        cited = retrieved = refused = 0
        for question in track(questions, description="questions", transient=True):
            right = relevant[question["_id"]]
            hits = app.search(question["text"])
            retrieved += bool(hits) and Path(hits[0].chunk.uri).name in right
            answer = app.ask(question["text"])
            refused += not answer.citations
            cited += bool(answer.citations) and Path(answer.citations[0].uri).name in right
    shutil.rmtree(root)
    total = len(questions)
    table = Table("measure", "value", title="8 quarterly reports as PDF")
    table.add_row("documents indexed, quarantined", f"{report.added}, {report.quarantined}")
    table.add_row("chunks, seconds", f"{report.chunks}, {report.seconds:.0f}")
    table.add_row("a right document is retrieved first", f"{retrieved / total:.3f} of {total} questions")
    table.add_row("a right document is cited first", f"{cited / total:.3f}")
    table.add_row("... among the questions it answers", f"{cited / max(1, total - refused):.3f} of {total - refused}")
    Console().print(table)


if __name__ == "__main__":
    main()
