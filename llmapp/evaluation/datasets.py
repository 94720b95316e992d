"""Opens a data set, whichever form it has."""

from __future__ import annotations

from pathlib import Path

from llmapp.errors import DatasetError
from llmapp.evaluation.beir import load_beir
from llmapp.evaluation.own_questions import load_own_questions
from llmapp.evaluation.questions import Dataset


def load_dataset(path: Path, *, split: str = "test") -> Dataset:
    """Read a BEIR folder, or a file of a team's own questions.

    Args:
        path: The folder or the file.
        split: Which judgements of a BEIR folder.

    Raises:
        DatasetError: There is nothing, or what there is cannot be used.
    """
    if path.is_dir():
        return load_beir(path, split=split)
    if not path.exists():
        raise DatasetError(f"{path} is not there", hint="name a folder in BEIR's layout, or a file of questions (.jsonl)")
    return load_own_questions(path)
