"""Files that an evaluation writes: their places are checked before anything is asked, for what is asked may be paid for."""

from __future__ import annotations

import os
from pathlib import Path

from llmapp.errors import EvaluationError

_HINT = "name another file"


def check_places(*files: Path | None) -> None:
    """See that these can be written; None is no file.

    Raises:
        EvaluationError: One of them cannot.
    """
    for file in files:
        if file is not None and (problem := _problem(file)):
            raise EvaluationError(f"{file} cannot be written: {problem}", hint=_HINT)


def write_file(file: Path, text: str) -> None:
    """Write a file, as it stands; an existing one is replaced. Half a character, which UTF-8 cannot say, becomes ``?``.

    Raises:
        EvaluationError: It cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8", errors="replace", newline="")
    except OSError as error:
        raise EvaluationError(f"{file} cannot be written: {error.strerror}", hint=_HINT) from error


def _problem(file: Path) -> str:
    if file.is_dir():
        return "it is a folder"
    if not file.parent.is_dir():
        return f"there is no folder {file.parent}"
    return "" if os.access(file if file.exists() else file.parent, os.W_OK) else "permission denied"
