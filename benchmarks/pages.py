"""Puts what a benchmark has measured into a page of the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path


def write(page: Path, script: str, lines: Sequence[str]) -> None:
    """Put lines between the marks of a script of this folder, with the date."""
    mark, end = f"<!-- written by benchmarks/{script} -->\n", "<!-- end -->\n"
    before, rest = page.read_text(encoding="utf-8").split(mark)
    _, after = rest.split(end, 1)
    dated = f"Measured {datetime.now(UTC).date()} with `python benchmarks/{script} --write`.\n\n"
    page.write_text(before + mark + dated + "\n".join(lines) + "\n" + end + after, encoding="utf-8")
