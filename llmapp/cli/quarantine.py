"""Verbs on documents that were set aside: `list`, `retry` and `drop`."""

from __future__ import annotations

from typing import Annotated

import typer

from llmapp.cli.documents import synced
from llmapp.cli.options import AsJson, Config, opened, print_json

app = typer.Typer(help="Documents that failed and were set aside.", no_args_is_help=True, rich_markup_mode=None)

_Names = Annotated[list[str] | None, typer.Argument(help="Documents by source:id, id or address; none is all.")]


@app.command("list")
def list_(config: Config = None, as_json: AsJson = False) -> None:
    """Show what failed, where, why, how often, and when it is tried again."""
    with opened(config, as_json=as_json) as application:
        records = application.catalog.quarantined()
        if as_json:
            from llmapp.app.shapes import quarantine_shape

            print_json({"quarantine": quarantine_shape(records)})
        else:
            from rich.console import Console

            from llmapp.cli.reports import print_quarantine_table

            print_quarantine_table(Console(), records)


@app.command()
def retry(names: _Names = None, config: Config = None, as_json: AsJson = False) -> None:
    """Try documents again now: their sources are read, and what has failed is not spared."""
    with opened(config, as_json=as_json) as application:
        synced(
            application,
            lambda progress: application.retry_quarantined(names or (), progress=progress),
            as_json=as_json,
        )


@app.command()
def drop(
    names: Annotated[list[str], typer.Argument(help="Documents by source:id, id or address.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let go of documents: neither listed nor tried until they change."""
    with opened(config, as_json=as_json) as application:
        dropped = application.drop_quarantined(names)
        print_json({"dropped": dropped}) if as_json else typer.echo(f"{dropped:,} let go of")
