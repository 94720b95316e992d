"""Verbs on connectors: `list`, `new` and `test`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmapp.cli.errors import reported
from llmapp.cli.options import AsJson, Config, print_json, quiet
from llmapp.errors import ConfigError, LLMAppError, UnknownPluginError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from llmapp.connector import Connector
    from llmapp.ingestion.plugins import Plugin, Unreadable
    from llmapp.testing.checks import CheckResult

app = typer.Typer(help="List, write and test connectors.", no_args_is_help=True, rich_markup_mode=None)
_MARKS = {"passed": "✓", "failed": "✗", "skipped": "-"}


@dataclass(frozen=True, slots=True)
class Listing:
    """A connector that is installed, or a package that cannot be looked into."""

    name: str | None
    package: str
    summary: str = ""
    problem: str | None = None
    """Why it cannot be used; None when it can."""


@app.command("list")
def list_connectors(as_json: AsJson = False) -> None:
    """Show the connectors that are installed, and what is wrong with those that do not work."""
    with reported(as_json=as_json), quiet(as_json=as_json):
        found = listings()
        if as_json:
            print_json({"connectors": [asdict(one) for one in found]})
            return
        for one in found:
            mark, told = ("✗", one.problem) if one.problem else ("✓", one.summary)
            typer.echo(f"{mark} {one.name or '?'} ({one.package}): {told}")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the connector, e.g. tickets.")],
    folder: Annotated[Path, typer.Option("--in", help="Where to make its folder, llmapp-connector-NAME.")] = Path(),
) -> None:
    """Write a package with a connector that works and its test."""
    with reported(as_json=False):
        from llmapp.cli.scaffold import lay_down_connector

        made = lay_down_connector(name, folder)
        typer.echo(f"made {made}\n  cd {made}\n  python -m pytest\n  pip install --editable .\n  llmapp connector list")


@app.command("test")
def check(
    name: Annotated[str, typer.Argument(help="A source of llmapp.toml, or a connector that is installed.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting as KEY=VALUE; the value is JSON, or else text. Repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Documents to look at, at most; 0 is all.")] = 100,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Check that a connector keeps the contract on its source; exit code 1 when it does not. Nothing is taken in."""
    results: list[CheckResult] = []
    with reported(as_json=as_json), quiet(as_json=as_json):
        from llmapp.testing.checks import run_checks

        for result in run_checks(_connector(name, _parsed(settings or ()), config), limit=limit or None):
            results.append(result)
            if not as_json:
                typer.echo(_line(result))
        if as_json:
            print_json({"checks": [asdict(result) for result in results]})
    if any(result.outcome == "failed" for result in results):
        raise typer.Exit(1)


def listings() -> list[Listing]:
    """The connectors that are installed, by name; each is loaded to see whether it works."""
    from llmapp.ingestion.plugins import installed

    return sorted(map(_listing, installed()), key=lambda one: (one.name is None, one.name, one.package))


def _listing(found: Plugin | Unreadable) -> Listing:
    from llmapp.ingestion.plugins import Unreadable, find_plugin

    if isinstance(found, Unreadable):
        return Listing(None, found.package, problem=f"its metadata cannot be read: {found.reason}")
    try:
        chosen = find_plugin(found.name)
        if chosen.package != found.package:
            raise ConfigError(f"{chosen.package} has a connector of that name")
        model = chosen.load()
    except LLMAppError as error:
        return Listing(found.name, found.package, problem=error.message)
    return Listing(found.name, found.package, (model.__doc__ or "").strip().partition("\n")[0])


def _connector(name: str, given: dict[str, JsonValue], config: Path | None) -> Connector:
    """The connector of a source, with what is given in place of its own settings; nothing else is looked at."""
    from llmapp.config import SourceSettings, load_settings
    from llmapp.sources import SourceBook

    settings = load_settings(config)
    by_name = {source.name: source for source in settings.sources}
    source = by_name.get(name) or SourceSettings(name="on trial", connector=name)
    try:
        return SourceBook(settings).connector(source.connector, {**source.settings, **given})
    except UnknownPluginError as error:
        hint = f"sources of llmapp.toml: {', '.join(by_name) or 'none'}; {error.hint}"
        raise UnknownPluginError(f"{error.message}, and no source has that name", hint=hint) from error


def _parsed(settings: Sequence[str]) -> dict[str, JsonValue]:
    parsed: dict[str, JsonValue] = {}
    for setting in settings:
        key, is_there, value = setting.partition("=")
        if not (key and is_there):
            raise ConfigError("--set takes KEY=VALUE", hint="for example --set path=documents")
        try:
            parsed[key] = json.loads(value)
        except ValueError:
            parsed[key] = value
    return parsed


def _line(result: CheckResult) -> str:
    told = f": {result.message}" if result.message else ""
    return f"{_MARKS[result.outcome]} {result.name.replace('_', ' ')}{told}"
