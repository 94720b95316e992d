"""What makes figures those of something else than was meant: stages of a search that were left out, calls that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmapp.application import App

_SHOWN = 3


def without_index(app: App) -> tuple[str, ...]:
    """Why the last search of `app` went without the vector index that the settings name; nothing where it did not."""
    return (f"the vector index did not serve: {app.dense.degraded}",) if app.dense.degraded else ()


def left_out(notes: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """What was left out, in how many questions.

    Args:
        notes: Of each question, as `llmapp.types.Found.notes` and `llmapp.types.Answer.notes` have them.

    Returns:
        A line; none where nothing was left out.
    """
    touched = sum(bool(each) for each in notes)
    if not touched:
        return ()
    counted = Counter(note for each in notes for note in each).most_common()
    listed = "; ".join(f"{note} ({count:,} times)" for note, count in counted[:_SHOWN])
    more = "; …" if len(counted) > _SHOWN else ""
    return (f"{touched:,} of {len(notes):,} questions were not searched for as the settings say: {listed}{more}",)


def failed(errors: Sequence[str], asked: int) -> tuple[str, ...]:
    """How many of the `asked` questions failed, and the first of their errors; nothing where none did."""
    return (f"{len(errors):,} of {asked:,} questions failed: {errors[0]}",) if errors else ()
