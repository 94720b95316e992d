"""The progress bar of long work, on standard error so that output can be piped."""

from __future__ import annotations

from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

_LABEL_CHARS = 44


class _Rate(ProgressColumn):
    """Documents a second since the beginning, for they are done in batches; and how long the rest takes at that rate."""

    def render(self, task: Task) -> Text:
        if not task.completed or not task.elapsed:
            return Text()
        rate = task.completed / task.elapsed
        shown = Text(f"{rate:,.1f}/s", style="cyan")
        if task.total is not None:
            shown.append(f" · {timedelta(seconds=int((task.total - task.completed) / rate))} left", style="dim")
        return shown


class ProgressBar:
    """Shows how many documents are done and how fast, how long the rest will take where that is known, and the one at hand."""

    def __init__(self) -> None:
        """Prepare the bar; it appears with `start`."""
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID | None = None

    def start(self, total: int | None) -> None:
        """Begin; `total` items, None when unknown."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task("", total=total)
        self._progress.start()

    def advance(self, label: str) -> None:
        """One more item is done."""
        if self._task is not None:
            short = label if len(label) <= _LABEL_CHARS else "…" + label[1 - _LABEL_CHARS :]
            self._progress.update(self._task, advance=1, description=short)

    def close(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._progress.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
