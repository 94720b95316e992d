"""Verbs that measure: `eval retrieval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmapp.cli.options import AsJson, Config, opened, print_json

if TYPE_CHECKING:
    from llmapp.app.shapes import Shape
    from llmapp.application import App
    from llmapp.evaluation.questions import Dataset
    from llmapp.evaluation.retrieval import RetrievalReport

app = typer.Typer(help="Measure how well it finds and answers.", no_args_is_help=True, rich_markup_mode=None)

_Data = Annotated[
    Path, typer.Argument(metavar="DATASET", help="A folder in BEIR's layout, or a file of your own questions (.jsonl).")
]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting to measure with, instead of the one in force."),
]
_Against = Annotated[
    list[str] | None,
    typer.Option("--against", metavar="KEY=VALUE", help="Measure with this setting too, and test whether the two differ."),
]
_Split = Annotated[str, typer.Option("--split", help="Which judgements of a BEIR folder.")]
_Questions = Annotated[int | None, typer.Option("--questions", min=1, help="Ask only so many, the same ones each time.")]
_Depth = Annotated[int, typer.Option("--depth", min=1, max=1000, help="Documents of a ranking.")]
_PerQuery = Annotated[
    Path | None, typer.Option("--per-query", metavar="FILE", help="Write every question's figures as CSV.")
]


@app.command()
def retrieval(
    dataset: _Data,
    set_: _Set = None,
    against: _Against = None,
    split: _Split = "test",
    questions: _Questions = None,
    depth: _Depth = 100,
    per_query: _PerQuery = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Measure how well searches find what is expected; with --against, compare two settings."""
    with opened(config, as_json=as_json) as application:
        from llmapp.evaluation.datasets import load_dataset

        data = load_dataset(dataset, split=split).sample(questions)
        report = _measured(application, data, set_ or (), depth, as_json=as_json)
        other = _measured(application, data, against, depth, as_json=as_json) if against else None
        if per_query:
            _write_rankings(per_query, report)
        if as_json:
            print_json(report.shape() | (_comparison_shape(report, other) if other else {}))
        else:
            from rich.console import Console

            from llmapp.cli.evaluation_tables import print_comparison, print_retrieval, print_worst

            console = Console()
            print_retrieval(console, report)
            if other:
                print_comparison(console, report, other)
            print_worst(console, report)


def _measured(
    application: App, data: Dataset, changes: list[str] | tuple[()], depth: int, *, as_json: bool
) -> RetrievalReport:
    from llmapp.cli.progress import ProgressBar
    from llmapp.evaluation.retrieval import evaluate_retrieval
    from llmapp.evaluation.variants import varied

    with varied(application, changes) as variant, ProgressBar() as ingesting, ProgressBar() as asking:
        bars = (None, None) if as_json else (ingesting, asking)
        return evaluate_retrieval(variant, data, depth=depth, ingesting=bars[0], asking=bars[1])


def _comparison_shape(report: RetrievalReport, other: RetrievalReport) -> Shape:
    from dataclasses import asdict

    compared = report.scores.against(other.scores)
    measures: Shape = {name: {**asdict(each), "difference": each.difference} for name, each in compared.items()}
    return {"against": other.shape(), "comparison": measures}


def _write_rankings(file: Path, report: RetrievalReport) -> None:
    from llmapp.evaluation.tables import write_csv

    rankings = report.rankings
    details = {
        "expected": [" ".join(ranking.expected) for ranking in rankings],
        "found": [" ".join(ranking.items[:10]) for ranking in rankings],
        "seconds": [f"{ranking.seconds:.4f}" for ranking in rankings],
    }
    write_csv(file, report.scores, [ranking.question for ranking in rankings], details)
