"""The per-query table: one row a question, every measure a column."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmapp.evaluation.files import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmapp.evaluation.questions import Question
    from llmapp.evaluation.scores import Scores


def write_csv(
    file: Path, scores: Scores, questions: Sequence[Question], details: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Write the figures of every question.

    Args:
        file: Where to; an existing file is replaced.
        scores: The figures.
        questions: Aligned with the questions of `scores`.
        details: Further columns of text, aligned as well.

    Raises:
        EvaluationError: The file cannot be written.
    """
    columns = dict(details or {})
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(["id", "question", "tags", *scores.values, *columns])
    for number, question in enumerate(questions):
        figures = ["" if np.isnan(values[number]) else f"{values[number]:.6g}" for values in scores.values.values()]
        texts = [_harmless(column[number]) for column in columns.values()]
        asked = [_harmless(text) for text in (question.id, question.text, " ".join(question.tags))]
        writer.writerow([*asked, *figures, *texts])
    write_file(file, written.getvalue())


def _harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula: https://owasp.org/www-community/attacks/CSV_Injection."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
