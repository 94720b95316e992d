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
    from llmapp.app.shapes import Shape
    from llmapp.application import App
    from llmapp.prompting.examples import Example

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
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Add an example, or those of well rated answers, to examples.jsonl beside llmapp.toml."""
    _check_usage(question, answer, rated, at_least)
    with _file(config, as_json=as_json) as file:
        from llmapp.prompting.examples import add_examples

        given = _given(question, answer, tag or (), rated, at_least)
        added = add_examples(file, given)
        if rated is None and not added:
            from llmapp.errors import ExampleError

            raise ExampleError(f"{file.name} has an example of this question", hint=f"change it in {file}")
        if as_json:
            print_json({"added": [_shape(each) for each in added], "there_already": len(given) - len(added)})
        else:
            known = len(given) - len(added)
            typer.echo(f"{len(added):,} added to {file}" + (f"; of {known:,} the question was there" if known else ""))


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
def measure(config: Config = None, as_json: AsJson = False) -> None:
    """Ask each example's question without examples and with the others; says what they gain."""
    with opened(config, as_json=as_json) as application:
        from llmapp.cli.progress import ProgressBar
        from llmapp.evaluation.leave_one_out import gain_of_examples

        _say_cost(application)
        with ProgressBar() as asking:
            gain = gain_of_examples(application, progress=None if as_json else asking)
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


def _check_usage(question: str | None, answer: str | None, rated: Path | None, at_least: float | None) -> None:
    one, several = (question, answer), (rated, at_least)
    if not (None not in one and several == (None, None)) and not (None not in several and one == (None, None)):
        raise typer.BadParameter("give --question and --answer, or --rated and --at-least")


def _given(
    question: str | None, answer: str | None, tags: Sequence[str], rated: Path | None, at_least: float | None
) -> list[Example]:
    from llmapp.prompting.examples import Example, rated_examples

    if rated is None or at_least is None:
        return [Example(question or "", answer or "", tuple(tags))]
    return [replace(each, tags=(*each.tags, *tags)) for each in rated_examples(rated, at_least=at_least)]


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
