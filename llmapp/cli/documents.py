"""Verbs on documents: `ingest`, `purge` and `forget`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmapp.cli.errors import exit_code, print_error, stopping_gently
from llmapp.cli.options import AsJson, Config, opened, print_json
from llmapp.errors import ConfigError, ConnectorError, DocumentNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmapp.app.shapes import Shape
    from llmapp.application import App
    from llmapp.ingestion.planning import IngestPlan
    from llmapp.ingestion.report import IngestReport
    from llmapp.protocols import Progress

_Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Files or folders; none syncs the sources of llmapp.toml, and one inside a source syncs that source."
    ),
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, what it would take and cost.")]
_Manifest = Annotated[
    Path | None,
    typer.Option("--manifest", help="With --dry-run, write the plan to this file; without, do exactly what the file says."),
]
_Confirm = Annotated[
    list[str] | None,
    typer.Option("--confirm-deletions", metavar="SOURCE", help="Let a run delete any number of documents of this source."),
]
_Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait for another process that is ingesting.")
]


def ingest(
    paths: _Paths = None,
    dry_run: _DryRun = False,
    manifest: _Manifest = None,
    confirm_deletions: _Confirm = None,
    wait: _Wait = 0.0,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take documents in: new and changed ones are parsed and embedded, removed ones disappear."""
    with opened(config, as_json=as_json) as app:
        confirmed = tuple(confirm_deletions or ())
        if dry_run:
            _plan(manifest, lambda: app.plan(paths or (), confirm_deletions=confirmed, wait_s=wait), as_json=as_json)
        elif manifest is not None:
            if paths:
                raise ConfigError("a manifest says itself what is read", hint="leave out the paths")
            from llmapp.ingestion.planning import read_manifest

            plan = read_manifest(_text_of(manifest))
            synced(
                app,
                lambda progress: app.follow(plan, progress=progress, confirm_deletions=confirmed, wait_s=wait),
                as_json=as_json,
            )
        else:
            synced(
                app,
                lambda progress: app.sync(paths or (), progress=progress, confirm_deletions=confirmed, wait_s=wait),
                as_json=as_json,
            )


def purge(
    document: Annotated[str, typer.Argument(help="Its source:id, id or address.")],
    lift: Annotated[bool, typer.Option("--lift", help="Let a purged document, named source:id, be taken in again.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Remove a document from everywhere, keep it out, and prove it by looking for it; exit code 1 when it is not gone."""
    with opened(config, as_json=as_json) as app:
        if lift:
            lifted = app.lift_purge(document)
            if not lifted:
                raise DocumentNotFoundError(f"{document} was not purged", hint="name it as source:id")
            print_json({"lifted": lifted}) if as_json else typer.echo(f"{document} may come in again")
            return
        report = app.purge(document)
        if as_json:
            print_json(report.shape())
        else:
            from rich.console import Console

            from llmapp.cli.reports import print_purge

            print_purge(Console(), report)
    if not report.is_gone:
        raise typer.Exit(1)


def forget(
    source: Annotated[str, typer.Argument(help="Name of a source; of a path, the whole path.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Remove all documents of a source, such as one that has left llmapp.toml."""
    with opened(config, as_json=as_json) as app:
        removed = app.forget(source)
        print_json({"removed": removed}) if as_json else typer.echo(f"{removed:,} documents of {source} are removed")


def synced(app: App, sync: Callable[[Progress | None], Sequence[IngestReport]], *, as_json: bool) -> None:
    """Run a sync and show what it did; the first error of a source decides the exit code."""
    if as_json:
        from llmapp.app.shapes import error_shape, quarantine_shape

        with stopping_gently():
            reports = sync(None)
        errors = [report.error for report in reports if report.error]
        shape: Shape = {"sources": [report.shape() for report in reports]}
        shape["quarantine"] = quarantine_shape(app.catalog.quarantined())
        print_json(shape | (error_shape(errors[0]) if errors else {}))
    else:
        from rich.console import Console

        from llmapp.cli.progress import ProgressBar
        from llmapp.cli.reports import print_quarantine, print_reports

        with stopping_gently(), ProgressBar() as progress:
            reports = sync(progress)
        errors = [report.error for report in reports if report.error]
        print_reports(Console(), reports)
        print_quarantine(Console(), app.catalog.quarantined())
        for report in reports:
            if report.error:
                print_error(report.error, as_json=False, where=report.source)
    if errors:
        raise typer.Exit(exit_code(errors[0]))


def _plan(manifest: Path | None, plan_it: Callable[[], IngestPlan], *, as_json: bool) -> None:
    import json

    from rich.console import Console

    from llmapp.cli.reports import print_plan

    if manifest is not None:
        _write(manifest, "")  # fails now rather than when the plan is made
    plan = plan_it()
    if manifest is not None:
        _write(manifest, json.dumps(plan.shape(), indent=1, ensure_ascii=False))
    if as_json:
        print_json(plan.shape())
    else:
        print_plan(Console(), plan)
    if any(source.error for source in plan.sources):
        raise typer.Exit(exit_code(ConnectorError("")))


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} cannot be read: {error}", hint="llmapp ingest --dry-run --manifest FILE writes one"
        ) from error


def _write(file: Path, text: str) -> None:
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened:
            opened.write(text)  # it names documents and who may read them
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}", hint="name another file") from error
