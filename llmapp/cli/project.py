"""Verbs on the application as a whole: `new`, `status` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmapp.cli.errors import reported
from llmapp.cli.options import AsJson, Config, opened, print_json


def new(
    name: Annotated[str, typer.Argument(help="Name of the application; a folder of that name is made.")],
    folder: Annotated[Path, typer.Option("--in", help="Where to make it.")] = Path(),
) -> None:
    """Lay down a small application that runs at once."""
    with reported(as_json=False):
        from llmapp.cli.scaffold import lay_down

        made = lay_down(name, folder)
        typer.echo(f"made {made}\n  cd {made}\n  llmapp ingest\n  llmapp ask 'How many days of leave do I have?'")


def status(config: Config = None, as_json: AsJson = False) -> None:
    """Show what the application holds, what it has cost today, and whether anything is degraded."""
    with opened(config, as_json=as_json) as app:
        found = app.status()
        if as_json:
            print_json(found.shape())
        else:
            from rich.console import Console

            from llmapp.cli.render import print_status
            from llmapp.cli.reports import print_runs

            print_status(Console(), found)
            print_runs(Console(), found.last_runs)


def doctor(config: Config = None, as_json: AsJson = False) -> None:
    """Check the machine and the application; exit code 1 when something is wrong."""
    with reported(as_json=as_json):
        from llmapp.cli.checkup import examine, print_findings

        findings = examine(config)
        if as_json:
            print_json({"checks": [finding.shape() for finding in findings]})
        else:
            print_findings(findings)
    if any(finding.outcome == "failed" for finding in findings):
        raise typer.Exit(1)
