"""The verb that writes: `ingest`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from llmapp.cli.options import AsJson, Config, opened, print_json


def ingest(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders; none syncs the sources of llmapp.toml.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take documents in: new and changed ones are parsed and embedded, removed ones disappear."""
    with opened(config, as_json=as_json) as app:
        if as_json:
            from llmapp.app.shapes import quarantine_shape

            reports = app.ingest(paths or ())
            quarantine = quarantine_shape(app.catalog.quarantined())
            print_json({"sources": [asdict(report) for report in reports], "quarantine": quarantine})
            return
        from rich.console import Console

        from llmapp.cli.progress import ProgressBar
        from llmapp.cli.render import print_quarantine, print_reports

        with ProgressBar() as progress:
            reports = app.ingest(paths or (), progress=progress)
        print_reports(Console(), reports)
        print_quarantine(Console(), app.catalog.quarantined())
