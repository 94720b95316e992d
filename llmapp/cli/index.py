"""Verbs on the vector index: `verify`, `rebuild` and `digest`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from llmapp.cli.options import AsJson, Config, opened, print_json

app = typer.Typer(help="Check and rebuild the vector index.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def verify(config: Config = None, as_json: AsJson = False) -> None:
    """Compare the index with the catalog; exit code 1 when they differ."""
    with opened(config, as_json=as_json) as application:
        check = application.verify_index()
        if as_json:
            print_json(asdict(check))
        else:
            typer.echo(
                "the index is whole" if check.ok else f"the index is not whole: {check.reason}\n  run llmapp index rebuild"
            )
    if not check.ok:
        raise typer.Exit(1)


@app.command()
def rebuild(config: Config = None, as_json: AsJson = False) -> None:
    """Build the index again from the stored embeddings; nothing is embedded."""
    with opened(config, as_json=as_json) as application:
        chunks = application.rebuild_index()
        if as_json:
            print_json({"chunks": chunks})
        else:
            typer.echo(f"{chunks} chunks are in the index again")


@app.command()
def digest(config: Config = None, as_json: AsJson = False) -> None:
    """Print a hash over everything the catalog holds; equal hashes answer alike."""
    with opened(config, as_json=as_json) as application:
        value = application.catalog.digest()
        if as_json:
            print_json({"digest": value})
        else:
            typer.echo(value)
