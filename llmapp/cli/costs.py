"""Verbs on money."""

from __future__ import annotations

import typer

from llmapp.cli import forecast

app = typer.Typer(help="Money: what models cost, and what they will.", no_args_is_help=True, rich_markup_mode=None)
app.command("forecast")(forecast.forecast)
app.command("compare")(forecast.compare)
