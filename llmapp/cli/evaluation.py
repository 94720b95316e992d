"""Verbs that measure: `eval retrieval`, `eval answers` and `eval gate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmapp.cli.options import AsJson, Config, opened, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmapp.app.shapes import Shape
    from llmapp.application import App
    from llmapp.evaluation.answers import AnswerReport
    from llmapp.evaluation.baselines import Baseline, Gate
    from llmapp.evaluation.gating import Wanted
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
    typer.Option(
        "--against",
        metavar="KEY=VALUE",
        help="Measure a second time, this setting laid over --set, and test the difference.",
    ),
]
_Split = Annotated[str, typer.Option("--split", help="Which judgements of a BEIR folder.")]
_Questions = Annotated[int | None, typer.Option("--questions", min=1, help="Ask only so many, the same ones each time.")]
_Depth = Annotated[int, typer.Option("--depth", min=1, max=1000, help="Documents of a ranking.")]
_AtOnce = Annotated[int, typer.Option("--at-once", min=1, max=64, help="Questions that are asked at the same time.")]
_Report = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write a report with plots as HTML.")]
_Baseline = Annotated[Path, typer.Option("--baseline", metavar="FILE", help="The stored figures.")]
_Update = Annotated[bool, typer.Option("--update", help="Write the baseline anew instead of comparing with it.")]
_WithAnswers = Annotated[
    bool | None,
    typer.Option("--answers/--no-answers", help="Ask a model too; else as the baseline has it.", show_default=False),
]
_Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance", min=0, max=1, help="With --update: what a mean may be lower by; else as before, at first 0.01."
    ),
]
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
    report_file: _Report = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Measure how well searches find what is expected; with --against, compare two settings."""
    with opened(config, as_json=as_json) as application:
        from llmapp.evaluation.datasets import load_dataset
        from llmapp.evaluation.files import check_places, write_file

        check_places(per_query, report_file)
        data = load_dataset(dataset, split=split).sample(questions, judged=True)
        changes = set_ or []
        report = _measured(application, data, changes, depth, as_json=as_json)
        other = _measured(application, data, [*changes, *against], depth, as_json=as_json) if against else None
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
        if per_query:
            _write_rankings(per_query, report)
        if report_file:
            from llmapp.evaluation.report.writing import retrieval_page

            write_file(report_file, retrieval_page(report, other))


@app.command()
def answers(
    dataset: _Data,
    set_: _Set = None,
    split: _Split = "test",
    questions: _Questions = None,
    at_once: _AtOnce = 1,
    per_query: _PerQuery = None,
    report_file: _Report = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Ask every question and measure answers, citations, abstention, cost and time; exit code 1 when a call failed."""
    with opened(config, as_json=as_json) as application:
        from llmapp.evaluation.datasets import load_dataset
        from llmapp.evaluation.files import check_places, write_file
        from llmapp.evaluation.variants import varied

        check_places(per_query, report_file)
        data = load_dataset(dataset, split=split).sample(questions)
        with varied(application, set_ or ()) as variant:
            _say_answers(variant, data)
            report = _answered(variant, data, at_once, as_json=as_json)
        if as_json:
            print_json(report.shape())
        else:
            from rich.console import Console

            from llmapp.cli.evaluation_tables import print_answers

            print_answers(Console(), report)
        if per_query:
            _write_answers(per_query, report)
        if report_file:
            from llmapp.evaluation.report.writing import answers_page

            write_file(report_file, answers_page(report))
    if report.failures:
        raise typer.Exit(1)


@app.command()
def gate(
    dataset: _Data,
    baseline: _Baseline,
    update: _Update = False,
    with_answers: _WithAnswers = None,
    tolerance: _Tolerance = None,
    set_: _Set = None,
    split: _Split = "test",
    questions: _Questions = None,
    depth: _Depth = 100,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare with a stored baseline; exit code 1 when a measure has dropped."""
    with opened(config, as_json=as_json) as application:
        from llmapp.evaluation.baselines import judge, read_baseline, write_baseline
        from llmapp.evaluation.datasets import load_dataset
        from llmapp.evaluation.files import check_places
        from llmapp.evaluation.gating import plan

        check_places(baseline if update else None)
        data = load_dataset(dataset, split=split).sample(questions)
        stored = read_baseline(baseline) if baseline.exists() or not update else None
        wanted = plan(stored, with_answers=with_answers, tolerance=tolerance)
        now = _gated(application, data, set_ or (), wanted, depth, None if update else stored, as_json=as_json)
        if update or stored is None:
            write_baseline(baseline, now)
            print_json({"written": str(baseline), "measures": now.model_dump()["measures"]}) if as_json else typer.echo(
                f"{baseline} holds {len(now.measures)} measures of {len(data.questions):,} questions,"
                f" tolerance {now.tolerance:g}"
            )
            return
        found = judge(stored, now)
        texts = {question.id: question.text for question in data.questions}
        if as_json:
            print_json(_gate_shape(found))
        else:
            from rich.console import Console

            from llmapp.cli.evaluation_tables import print_gate

            print_gate(Console(), found, stored.tolerance, texts)
    if found.has_dropped:
        raise typer.Exit(1)


def _gated(
    application: App,
    data: Dataset,
    changes: Sequence[str],
    wanted: Wanted,
    depth: int,
    against: Baseline | None,
    *,
    as_json: bool,
) -> Baseline:
    from llmapp.cli.progress import ProgressBar
    from llmapp.evaluation.gating import measure
    from llmapp.evaluation.variants import varied

    with varied(application, changes) as variant, ProgressBar() as ingesting, ProgressBar() as asking:
        _say_searches(variant, data)
        if wanted.answers:
            _say_answers(variant, data)
        bars = (None, None) if as_json else (ingesting, asking)
        return measure(
            variant,
            data,
            with_answers=wanted.answers,
            tolerance=wanted.tolerance,
            depth=depth,
            against=against,
            ingesting=bars[0],
            asking=bars[1],
        )


def _gate_shape(found: Gate) -> Shape:
    from dataclasses import asdict

    measures: Shape = {
        name: {**asdict(each.comparison), "difference": each.comparison.difference, "drop": each.drop}
        for name, each in found.verdicts.items()
    }
    settings: Shape = {key: list(values) for key, values in found.changed_settings.items()}
    shape: Shape = {"dropped": found.has_dropped, "measures": measures, "changed_settings": settings}
    return shape | {"worse": [asdict(each) for each in found.worse]}


def _say_searches(variant: App, data: Dataset) -> None:
    from llmapp.evaluation.expense import paid_calls

    if calls := paid_calls(variant, data, answers=False):
        typer.echo(f"each of {len(data.judged) + 1:,} searches is paid for: {', '.join(calls)}", err=True)


def _say_answers(variant: App, data: Dataset) -> None:
    from math import ceil

    from llmapp.evaluation.expense import paid_calls, worst_cost_usd

    cents, calls = ceil(100 * worst_cost_usd(variant, data)), paid_calls(variant, data, answers=True)
    most = f"costs at most ${cents / 100:.2f}" if cents else "costs nothing"
    beside = f"; beside that each is paid for: {', '.join(calls)}" if calls else ""
    typer.echo(f"asking {len(data.expecting):,} questions of {variant.model_name} {most}{beside}", err=True)


def _answered(variant: App, data: Dataset, at_once: int, *, as_json: bool) -> AnswerReport:
    from llmapp.cli.progress import ProgressBar
    from llmapp.evaluation.answers import evaluate_answers

    with ProgressBar() as ingesting, ProgressBar() as asking:
        bars = (None, None) if as_json else (ingesting, asking)
        return evaluate_answers(variant, data, at_once=at_once, ingesting=bars[0], asking=bars[1])


def _measured(application: App, data: Dataset, changes: Sequence[str], depth: int, *, as_json: bool) -> RetrievalReport:
    from llmapp.cli.progress import ProgressBar
    from llmapp.evaluation.retrieval import evaluate_retrieval
    from llmapp.evaluation.variants import varied

    with varied(application, changes) as variant, ProgressBar() as ingesting, ProgressBar() as asking:
        _say_searches(variant, data)
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


def _write_answers(file: Path, report: AnswerReport) -> None:
    from llmapp.evaluation.tables import write_csv

    details = {
        "answer": [each.answer.text if each.answer else "" for each in report.asked],
        "expected": [" | ".join(each.question.answers) for each in report.asked],
        "cited": [
            " ".join(citation.uri for citation in each.answer.citations) if each.answer else "" for each in report.asked
        ],
        "cost_usd": [f"{each.answer.cost_usd:.9f}" if each.answer else "" for each in report.asked],
        "seconds": [f"{each.seconds:.4f}" for each in report.asked],
        "error": [each.error for each in report.asked],
    }
    write_csv(file, report.scores, [each.question for each in report.asked], details)
