"""Verbs on worked examples: `examples add`, `examples list` and `examples test`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmapp.cli.errors import reported
from llmapp.cli.options import AsJson, Config, opened, print_json

if TYPE_CHECKING:
    from pydantic import JsonValue

    from llmapp.app.shapes import Shape
    from llmapp.application import App
    from llmapp.prompting.examples import Example, RatedAnswer

app = typer.Typer(help="Worked examples: how questions are answered here.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def add(
    question: Annotated[str | None, typer.Option("--question", help="The question of an example.")] = None,
    answer: Annotated[str | None, typer.Option("--answer", help="The answer that it should get.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A word to find it by; several are allowed.")] = None,
    rated: Annotated[
        Path | None,
        typer.Option("--rated", metavar="FILE", help="Rated answers, a JSON object a line: question, answer, rating."),
    ] = None,
    at_least: Annotated[
        float | None, typer.Option("--at-least", help="With --rated: the least rating that is taken, on the file's scale.")
    ] = None,
    reviewed: Annotated[
        bool, typer.Option("--reviewed", help="With --rated: take those too that somebody has to read first, and has read.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Add an example, or those of well rated answers, to examples.jsonl beside llmapp.toml."""
    _check_usage(question, answer, rated, at_least, reviewed=reviewed)
    if rated is not None and at_least is not None:
        _add_rated(rated, at_least, tag or (), config, reviewed=reviewed, as_json=as_json)
        return
    with _file(config, as_json=as_json) as file:
        from llmapp.errors import ExampleError
        from llmapp.prompting.examples import Example, add_examples

        added = add_examples(file, [Example(question or "", answer or "", tuple(tag or ()))])
        if not added:
            raise ExampleError(f"{file.name} has an example of this question", hint=f"change it in {file}")
        print_json({"added": [_shape(each) for each in added]}) if as_json else typer.echo(f"1 added to {file}")


@app.command("list")
def list_(
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Only with this tag; several: with all of them.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the examples, in the order in which they stand in a prompt."""
    with _file(config, as_json=as_json) as file:
        from llmapp.prompting.examples import read_examples

        numbered = enumerate(read_examples(file), start=1)
        found = [(number, each) for number, each in numbered if set(tag or ()) <= set(each.tags)]
        if as_json:
            print_json({"examples": [{"number": number, **_shape(each)} for number, each in found]})
        elif found:
            _print_table(found)
        else:
            typer.echo("there are no examples" + (" with these tags" if tag else "; to add one: llmapp examples add"))


@app.command("test")
def measure(
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=64, help="Examples tested at the same time.")] = 1,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Ask each example's question without examples and with the others; says what they gain."""
    with opened(config, as_json=as_json) as application:
        from llmapp.cli.progress import ProgressBar
        from llmapp.evaluation.leave_one_out import gain_of_examples

        _say_cost(application)
        with ProgressBar() as asking:
            gain = gain_of_examples(application, at_once=at_once, progress=None if as_json else asking)
        if as_json:
            print_json(gain.shape())
        else:
            from rich.console import Console

            from llmapp.cli.evaluation_tables import print_gain

            print_gain(Console(), gain)
    if any(pair.error for pair in gain.pairs):
        raise typer.Exit(1)


@contextmanager
def _file(config: Path | None, *, as_json: bool) -> Iterator[Path]:
    """The file of examples for a verb that needs no documents."""
    with reported(as_json=as_json):
        from llmapp.config import load_settings

        yield load_settings(config).examples


def _check_usage(
    question: str | None, answer: str | None, rated: Path | None, at_least: float | None, *, reviewed: bool
) -> None:
    one, several = (question, answer), (rated, at_least)
    is_one = None not in one and several == (None, None) and not reviewed
    if not is_one and not (None not in several and one == (None, None)):
        raise typer.BadParameter("give --question and --answer, or --rated and --at-least")


def _add_rated(
    rated: Path, at_least: float, tags: Sequence[str], config: Path | None, *, reviewed: bool, as_json: bool
) -> None:
    with opened(config, as_json=as_json) as application:
        from llmapp.prompting.examples import add_examples, rated_answers

        answers = rated_answers(rated, at_least=at_least)
        doubts = {} if reviewed else _doubts(application, answers)
        given = [each.example for each in answers if each.line not in doubts]
        file = application.settings.examples
        added = add_examples(file, [replace(each, tags=(*each.tags, *tags)) for each in given])
        known, left_out = len(given) - len(added), [each for each in answers if each.line in doubts]
        if as_json:
            why: list[JsonValue] = [
                {"line": each.line, "question": each.example.question, "why": doubts[each.line]} for each in left_out
            ]
            print_json({"added": [_shape(each) for each in added], "there_already": known, "left_out": why})
            return
        typer.echo(f"{len(added):,} added to {file}" + (f"; of {known:,} the question was there" if known else ""))
        for each in left_out:
            typer.echo(f"left out, line {each.line}: {doubts[each.line]}: {each.example.question}")
        if left_out:
            typer.echo("an example is shown to everybody: read what was left out, then add it with --reviewed")


def _doubts(application: App, answers: Sequence[RatedAnswer]) -> dict[int, str]:
    """Why some answers are to be read first, by line."""
    from functools import partial

    from llmapp.prompting.examples import doubt_about
    from llmapp.types import EVERYBODY

    for_everybody = partial(application.catalog.chunks, principal=EVERYBODY)
    found = {each.line: doubt_about(each, for_everybody) for each in answers}
    return {line: doubt for line, doubt in found.items() if doubt}


def _say_cost(application: App) -> None:
    from math import ceil

    from llmapp.evaluation.expense import paid_calls
    from llmapp.evaluation.leave_one_out import as_dataset, worst_test_usd

    cents = ceil(100 * worst_test_usd(application))
    calls = paid_calls(application, as_dataset(application.examples), answers=True)
    most = f"costs at most ${cents / 100:.2f}" if cents else "costs nothing"
    beside = f"; beside that each is paid for: {', '.join(calls)}" if calls else ""
    asked = 2 * len(application.examples)
    typer.echo(f"asking {asked:,} questions of {application.model_name} {most}{beside}", err=True)


def _shape(example: Example) -> Shape:
    return {"question": example.question, "answer": example.answer, "tags": list(example.tags)}


def _print_table(found: Sequence[tuple[int, Example]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("", justify="right", style="dim")
    table.add_column("question", style="cyan", ratio=2)
    table.add_column("answer", ratio=3)
    table.add_column("tags")
    for number, each in found:
        table.add_row(str(number), Text(each.question), Text(each.answer), Text(", ".join(each.tags)))
    Console().print(table)
