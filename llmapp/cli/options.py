"""Options that several verbs share, and the application they open."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO, TypeAlias

import typer

from llmapp.cli.errors import reported

if TYPE_CHECKING:
    from llmapp.app.shapes import Shape
    from llmapp.application import App

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Config: TypeAlias = Annotated[
    Path | None, typer.Option("--config", "-c", help="llmapp.toml or its folder; else the nearest one above is taken.")
]
Question: TypeAlias = Annotated[str, typer.Argument(help="The question; - reads it from standard input.")]
Where: TypeAlias = Annotated[
    str | None, typer.Option("--where", "-w", help="Only in documents that satisfy this filter, e.g. 'year >= 2023'.")
]

_output: ContextVar[TextIO | None] = ContextVar("_output", default=None)
"""Standard output as it was before foreign code was kept from it."""


@contextmanager
def opened(config: Path | None, *, as_json: bool) -> Iterator[App]:
    """Open the application for a verb; errors become one line and an exit code."""
    with reported(as_json=as_json), quiet(as_json=as_json):
        from llmapp.application import open_app

        with open_app(config) as app:
            yield app


@contextmanager
def quiet(*, as_json: bool) -> Iterator[None]:
    """With ``--json``, send to standard error what connectors and other foreign code print: the output is one object."""
    token = _output.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            yield
    finally:
        _output.reset(token)


def print_json(shape: Shape) -> None:
    """Print one JSON object on one line."""
    (_output.get() or sys.stdout).write(json.dumps(shape, ensure_ascii=False) + "\n")


def read_question(text: str) -> str:
    """What is asked: the argument, or standard input where it is ``-``."""
    return sys.stdin.read().strip() if text == "-" else text
