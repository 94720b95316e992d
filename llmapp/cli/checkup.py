"""What `llmapp doctor` looks at: the machine, the settings, the state folder, the index, the model; and `llmapp models check`."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from llmapp.errors import CatalogError, IndexUnavailableError, LLMAppError, LockedError
from llmapp.frames import REFUSAL

if TYPE_CHECKING:
    from llmapp.app.shapes import Shape
    from llmapp.application import App

_SQLITE_SAFE = (3, 51, 3)
_LEAST_FREE_BYTES = 500_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    outcome: Literal["ok", "warning", "failed"]
    detail: str
    hint: str = ""

    def shape(self) -> Shape:
        """As JSON."""
        return asdict(self)


def examine(config: Path | None) -> list[Finding]:
    """Look at everything; only the state folder is made where there is none.

    Nothing is sent anywhere: a model that somebody else serves is not asked, for that would be paid for.
    """
    from llmapp.application import open_app

    findings = [_python(), _sqlite()]
    try:
        with open_app(config) as app:
            findings.append(Finding("settings", "ok", str(app.settings.root)))
            findings.append(_disk(app.settings.root))
            findings.append(_connectors())
            findings.extend(_parts(app))
    except CatalogError as error:
        findings.append(Finding("catalog", "failed", error.message, error.hint))
    except LLMAppError as error:
        findings.append(Finding("settings", "failed", error.message, error.hint))
    return findings


def examine_model(config: Path | None, *, ask: bool) -> list[Finding]:
    """Look at the configured model: whether it is known and priced, its package and its key are there, and it answers.

    Args:
        config: llmapp.toml or its folder.
        ask: Whether it is asked for one token, which is paid for; nothing is sent otherwise.
    """
    from llmapp.application import open_app

    with open_app(config) as app:
        checks: dict[str, Callable[[], str]] = {
            "price": lambda: app.prices.price(app.model_name).source,
            "built": lambda: f"{app.model_name} ({type(app.model.inner).__name__}), with a key where it needs one",
        }
        if ask:
            checks["answer"] = lambda: _answer(app)
        return [_known(app), *map(_checked, checks, checks.values())]


def print_findings(findings: list[Finding]) -> None:
    """Print a line for each, and what to do where there is something to do."""
    for finding in findings:
        mark = {"ok": "✓", "warning": "!", "failed": "✗"}[finding.outcome]
        sys.stdout.write(
            f"{mark} {finding.name}: {finding.detail}" + (f"\n    {finding.hint}" if finding.hint else "") + "\n"
        )


def _known(app: App) -> Finding:
    from llmapp.bootstrap.models import own_facts
    from llmapp.models.catalog.card import card

    found = card(app.model_name, own_facts(app.settings, app.model_name))
    if not found.is_known:
        hint = f'state its context_window_tokens in llmapp.toml under [models."{app.model_name}"], and check the spelling'
        return Finding("known", "warning", f"nothing is known of {app.model_name}", hint)
    window = found.limits.context_window_tokens
    return Finding("known", "ok", f"context window {'not known' if window is None else f'{window:,} tokens'}")


def _answer(app: App) -> str:
    from time import perf_counter

    started = perf_counter()
    app.model.invoke("Answer with one word.", max_tokens=1)
    return f"in {perf_counter() - started:.2f} s"


def _checked(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "ok", check())
    except LLMAppError as error:
        return Finding(name, "failed", error.message, error.hint)


def _parts(app: App) -> Iterator[Finding]:
    checks: dict[str, Callable[[], str]] = {
        "catalog": lambda: f"{app.catalog.counts().documents} documents in {app.catalog.place}",
        "embedder": lambda: _embedder(app),
        "model": lambda: f"{app.model_name} ({type(app.model).__name__})",
        "price": lambda: app.prices.price(app.model_name).source,
        "template": lambda: _template(app),
        "examples": lambda: f"{len(app.examples):,} in {app.settings.examples.name}" if app.examples else "none",
        "index": lambda: _index(app),
    }
    yield from map(_checked, checks, checks.values())


def _template(app: App) -> str:
    """The one in use, filled as every question fills it: otherwise the first question would tell that it is wrong."""
    from llmapp.prompting.sections import sections_of

    template = app.templates.get(app.settings.prompt.template)
    sections_of(template, budget_tokens=app.settings.prompt.budget_tokens, history_share=None)
    template.require("user", "sources", "question")
    template.render("system", refusal=REFUSAL)
    template.render("user", refusal=REFUSAL, sources="", question="")
    return f"{template.identity}, {'built in' if template.is_built_in else template.file}"


def _embedder(app: App) -> str:
    from llmapp.retrieval.embedders.choice import is_remote

    app.catalog.check_embedder(app.embedder.identity)
    if is_remote(app.settings.embedder):
        return f"{app.embedder.identity}, not asked"
    return f"{app.embedder.identity}, {app.embedder.embed_query('a word').shape[0]} dimensions"


def _index(app: App) -> str:
    try:
        check = app.verify_index()
    except LockedError as error:
        return f"{error.message}, which looks after it"
    if not check.ok:
        raise IndexUnavailableError(check.reason, hint="run llmapp index rebuild")
    return "whole"


def _python() -> Finding:
    return Finding("python", "ok", ".".join(map(str, sys.version_info[:3])))


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info >= _SQLITE_SAFE:
        return Finding("sqlite", "ok", sqlite3.sqlite_version)
    # Source: sqlite.org/wal.html, the WAL-reset bug, fixed in 3.51.3.
    hint = "a rare race between two writing processes can damage a database before 3.51.3; keep to one writer, or upgrade Python"
    return Finding("sqlite", "warning", sqlite3.sqlite_version, hint)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    outcome: Literal["ok", "failed"] = "ok" if free >= _LEAST_FREE_BYTES else "failed"
    return Finding("disk", outcome, f"{free / 1e9:.1f} GB free", "" if outcome == "ok" else "free at least 0.5 GB")


def _connectors() -> Finding:
    from llmapp.cli.connectors import listings

    found = listings()
    if broken := [f"{one.name or '?'} ({one.package}): {one.problem}" for one in found if one.problem]:
        return Finding("connectors", "warning", "; ".join(broken), "install them again, or remove them")
    return Finding("connectors", "ok", f"{len(found)} installed")
