"""Verbs on prompts: `list`, `show`, `copy` and `diff` of templates, and `preview` of what a question gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmapp.cli.errors import reported
from llmapp.cli.options import AsJson, Config, Question, Where, opened, print_json, read_question

if TYPE_CHECKING:
    from llmapp.app.shapes import Shape
    from llmapp.application import Preview
    from llmapp.config import Settings
    from llmapp.errors import TemplateError
    from llmapp.prompting.templates import PromptTemplate, TemplateLibrary

app = typer.Typer(help="Prompt templates, and what a prompt is made of.", no_args_is_help=True, rich_markup_mode=None)

_Name = Annotated[str, typer.Argument(help="NAME, the project's before the built-in one, or NAME@VERSION.")]


@app.command("list")
def list_(config: Config = None, as_json: AsJson = False) -> None:
    """List the templates: those of the project's folder prompts/, and the built-in ones."""
    with _library(config, as_json=as_json) as (library, settings):
        templates, problems = library.all(), library.problems()
        used = _used(library, settings.prompt.template, problems)
        if as_json:
            print_json(
                {
                    "templates": [{**_shape(each), "used": each == used} for each in templates],
                    "problems": [_problem_shape(each) for each in problems],
                }
            )
        else:
            _print_table(templates, used, problems)


@app.command()
def show(name: _Name, config: Config = None, as_json: AsJson = False) -> None:
    """Print a template as its file has it."""
    with _library(config, as_json=as_json) as (library, _):
        template = library.get(name)
        slots: Shape = {part: list(template.slots(part)) for part in template.parts}
        print_json({**_shape(template), "slots": slots, "text": template.text}) if as_json else typer.echo(
            template.text, nl=not template.text.endswith("\n")
        )


@app.command()
def copy(
    name: _Name,
    version: Annotated[
        str, typer.Option("--version", help="Of the copy: a report names a prompt by name and version.")
    ] = "own-1",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write a template into the project as prompts/NAME.md, to change its words; a file that is there is kept."""
    with _library(config, as_json=as_json) as (library, _):
        copied = library.copy(name, version=version)
        if as_json:
            print_json(_shape(copied))
        else:
            typer.echo(f"{copied.file}: change its words, and its version ({copied.version}) whenever you do")


@app.command()
def diff(
    name: _Name,
    other: Annotated[str | None, typer.Argument(help="What it is compared with; else the project's of that name.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare two templates line by line: of one name the built-in with the project's, or any two."""
    with _library(config, as_json=as_json) as (library, _):
        from llmapp.prompting.templates import difference

        second = library.get(other or name)
        first = library.get(name) if other else library.built_in(second.name) or second
        text = difference(first, second)
        if as_json:
            print_json({"first": first.identity, "second": second.identity, "diff": text})
        else:
            _print_difference(text or f"{second.identity} is as {first.identity} is\n")


@app.command()
def preview(
    question: Question,
    config: Config = None,
    where: Where = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as an HTML page.")] = None,
    messages: Annotated[
        bool, typer.Option("--messages", help="Show the request as well, as the model would read it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a question would be answered from, and what was left out; it costs what a search costs."""
    with opened(config, as_json=as_json) as application:
        asked = read_question(question)
        previewed = application.preview(asked, where=where)
        if html is not None:
            _write_page(html, previewed, asked)
        if as_json:
            print_json(_preview_shape(previewed, with_messages=messages))
        else:
            from rich.console import Console

            from llmapp.cli.waterfall import print_preview

            print_preview(Console(), previewed, with_messages=messages)
            typer.echo(f"  written to {html}") if html is not None else None


def _write_page(file: Path, previewed: Preview, question: str) -> None:
    from llmapp.app.shapes import labels
    from llmapp.errors import ConfigError
    from llmapp.prompting.views.page import prompt_page

    page = prompt_page(previewed.prompt, question=question, labels=labels(previewed.found))
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error}", hint="name a file in a folder that is there") from error


def _preview_shape(previewed: Preview, *, with_messages: bool) -> Shape:
    from llmapp.app.shapes import found_shape
    from llmapp.prompting.views.shape import message_shape, report_shape

    found = found_shape(previewed.found)
    messages: Shape = {"messages": [message_shape(each) for each in previewed.prompt.messages]} if with_messages else {}
    return {"prompt": report_shape(previewed.prompt.report), **found, **messages}


@contextmanager
def _library(config: Path | None, *, as_json: bool) -> Iterator[tuple[TemplateLibrary, Settings]]:
    """The templates for a verb that needs no documents."""
    with reported(as_json=as_json):
        from llmapp.config import load_settings
        from llmapp.prompting.templates import TemplateLibrary

        settings = load_settings(config)
        yield TemplateLibrary(settings.prompts), settings


def _used(library: TemplateLibrary, name: str, problems: list[TemplateError]) -> PromptTemplate | None:
    """The template in use; None where there is none, which is then among the problems."""
    from llmapp.errors import TemplateError

    try:
        return library.get(name)
    except TemplateError as error:
        problems += [error] if error.message not in {each.message for each in problems} else []
        return None


def _problem_shape(error: TemplateError) -> Shape:
    return {"file": error.file, "line": error.line, "message": error.message, "hint": error.hint}


def _shape(template: PromptTemplate) -> Shape:
    return {
        "name": template.name,
        "version": template.version,
        "description": template.description,
        "built_in": template.is_built_in,
        "file": template.file,
        "sections": [{"name": name, **claims} for name, claims in template.sections.items()],
    }


def _print_table(templates: list[PromptTemplate], used: PromptTemplate | None, problems: list[TemplateError]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("template", style="cyan", no_wrap=True)
    table.add_column("of")
    table.add_column("what for", ratio=1)
    for template in templates:
        origin = "llmapp" if template.is_built_in else "the project"
        origin += ", in use" if template == used else ""
        table.add_row(Text(template.identity), Text(origin), Text(template.description))
    console = Console()
    console.print(table)
    for problem in problems:
        console.print(Text(f"  {problem.message}", style="red"), soft_wrap=True)
        console.print(Text(f"    {problem.hint}"), soft_wrap=True)


def _print_difference(text: str) -> None:
    from rich.console import Console
    from rich.text import Text

    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in text.splitlines():
        Console(soft_wrap=True).print(Text(line, style=styles.get(line[:1], "")))
