"""Verbs on the vector index: `verify`, `rebuild`, `digest` and `reindex`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from llmapp.cli.errors import stopping_gently
from llmapp.cli.options import AsJson, Config, opened, print_json

if TYPE_CHECKING:
    from llmapp.application import App
    from llmapp.retrieval.moving import MovePlan, MoveReport

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


def reindex(
    to: Annotated[
        str, typer.Option("--to", help="Where to: chroma, chroma-server, pgvector, exact or package.module:Class.")
    ],
    keep: Annotated[bool, typer.Option("--keep", help="Leave the vectors in the former store too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Move the vectors to another store; nothing is embedded, the former one serves until then. Cut short, run it again."""
    with opened(config, as_json=as_json) as application:
        done = application.plan_reindex(to) if dry_run else _move(application, to, keep=keep, as_json=as_json)
        print_json(asdict(done)) if as_json else typer.echo(_told(done))


def _move(application: App, to: str, *, keep: bool, as_json: bool) -> MoveReport:
    from llmapp.cli.progress import ProgressBar

    with stopping_gently(), ProgressBar() as bar:
        return application.reindex(to, progress=None if as_json else bar, keep_former=keep)


def _told(done: MovePlan | MoveReport) -> str:
    from llmapp.retrieval.moving import MovePlan

    if done.store == done.former:
        return f"{done.store} serves already"
    if isinstance(done, MovePlan):
        return (
            f"{done.to_put:,} of {done.chunks:,} vectors are to be put into {done.store}, {done.to_remove:,} to be removed from it;"
            f" {done.former} serves until then"
        )
    return (
        f"{done.store} serves now: {done.chunks:,} vectors, {done.put:,} of them put in {done.seconds:.1f} s, none embedded"
    )
