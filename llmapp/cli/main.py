"""The `llmapp` command: one function a verb, grouped in modules by what they act on."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from typing import Annotated

import typer

from llmapp import __version__
from llmapp.cli import (
    connectors,
    costs,
    documents,
    evaluation,
    examples,
    index,
    models,
    project,
    prompts,
    quarantine,
    questions,
    serving,
)
from llmapp.cli.errors import INTERRUPTED, show_tracebacks

_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""A start makes that many objects that stay; to look for garbage among them a hundred times takes a tenth of it."""
_CANNOT_WRITE = 120
"""Exit code when the output is lost at the last moment, as Python has it."""

app = typer.Typer(
    name="llmapp",
    help="Build and run LLM applications over your documents.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("new")(project.new)
app.command("ingest")(documents.ingest)
app.command("ask")(questions.ask)
app.command("summarize")(questions.summarize)
app.command("search")(questions.search)
app.command("fields")(questions.fields)
app.command("status")(project.status)
app.command("doctor")(project.doctor)
app.command("serve")(serving.serve)
app.command("purge")(documents.purge)
app.command("forget")(documents.forget)
app.command("reindex")(index.reindex)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(index.app, name="index")
app.add_typer(prompts.app, name="prompt")
app.add_typer(examples.app, name="examples")
app.add_typer(models.app, name="models")
app.add_typer(costs.app, name="costs")
app.add_typer(evaluation.app, name="eval")
app.add_typer(connectors.app, name="connector")


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"llmapp {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unforeseen error.")] = False,
) -> None:
    """Read the options that stand before the verb."""
    show_tracebacks.set(debug)


def main() -> None:
    """Run the command line; output is UTF-8 whatever the terminal's own encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    leaving = _Leaving()
    try:
        app()
    except SystemExit as end:
        leaving.status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if end.code == INTERRUPTED:
            # Everything is closed; native threads that are still busy would abort an ordinary exit.
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise


class _Leaving:
    """Ends the process when all else has been ended: to free every object one by one takes as long as a search.

    Registered first, it is called last; threads have been waited for, and what libraries send at the end is sent.
    """

    def __init__(self) -> None:
        self.status = 1
        """Exit code; an error that nobody has told of is 1."""
        atexit.register(self)

    def __call__(self) -> None:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):  # nobody reads any more, or the disk is full
            self.status = self.status or _CANNOT_WRITE
        os._exit(self.status)
