"""Data sets in the layout of BEIR: a folder with corpus, queries and judgements.

    corpus.jsonl     {"_id", "title", "text"}
    queries.jsonl    {"_id", "text"}
    qrels.tsv, or qrels/test.tsv     query-id, corpus-id, score, under a line of headings
    answers.jsonl    {"_id", "answers", "is_impossible" or "answerable"}; optional, for `llmapp eval answers`

Source: https://github.com/beir-cellar/beir; ``answers.jsonl`` is an addition that question answering sets need.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmapp.errors import DatasetError
from llmapp.evaluation.questions import Dataset, Question
from llmapp.evaluation.reading import at_line, read_lines, read_objects

_COLUMNS = 3


def load_beir(folder: Path, *, split: str = "test") -> Dataset:
    """Read a BEIR folder.

    Args:
        folder: Where its files are.
        split: Which judgements: ``qrels/SPLIT.tsv`` or ``qrels_SPLIT.tsv``, else, for ``test``, ``qrels.tsv``.

    Returns:
        The questions that have a judgement, or an answer, or none on purpose.

    Raises:
        DatasetError: A file is missing or broken, an id stands twice, or no question has a judgement.
    """
    known, blank = _known_documents(folder / "corpus.jsonl")
    texts = _texts(folder / "queries.jsonl")
    judgements = _judgements(_qrels(folder, split))
    facts = _answers(folder / "answers.jsonl")
    questions = []
    for name, text in texts.items():
        answers, unanswerable = facts.get(name, ((), False))
        documents = judgements.get(name, {})
        if documents or unanswerable:
            questions.append(Question(name, text, documents=documents, answers=answers, unanswerable=unanswerable))
    if not any(question.is_judged for question in questions):
        raise DatasetError(
            f"no question of {folder} has a judgement", hint=f"see whether the split {split} is the right one"
        )
    named = {document for judged in judgements.values() for document in judged}
    counts = (
        (len(texts) - len(questions), f"of {len(texts):,} questions have no judgement in this split, and are left out"),
        (len(judgements.keys() - texts.keys()), "judged questions are not in queries.jsonl, and are left out"),
        (len(named - known), "judged documents are not in corpus.jsonl; they count as not found"),
        (blank, "documents have neither title nor text, and cannot be found"),
    )
    warnings = tuple(f"{count:,} {words}" for count, words in counts if count)
    return Dataset(_name(folder), tuple(questions), corpus=folder / "corpus.jsonl", warnings=warnings)


def read_corpus(file: Path) -> Iterator[tuple[int, str, str, str]]:
    """Line number, id, title and text of every document.

    Raises:
        DatasetError: The file is missing or broken, or a document has no id.
    """
    for number, row in read_objects(file):
        yield number, _id(row, file, number), str(row.get("title") or "").strip(), str(row.get("text") or "")


def _name(folder: Path) -> str:
    """The folder's name, with that of the folder above where it says nothing by itself."""
    path = folder.resolve()
    return f"{path.parent.name}/{path.name}" if path.name.startswith("beir") else path.name


def _known_documents(file: Path) -> tuple[set[str], int]:
    """The ids of the corpus, and how many of its documents are blank."""
    lines: dict[str, int] = {}
    blank = 0
    for number, name, title, text in read_corpus(file):
        _check_once(lines, name, file, number)
        blank += not (title or text.strip())
    if not lines:
        raise DatasetError(f"{file} holds no documents", hint="a line is one document")
    return set(lines), blank


def _texts(file: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, row in read_objects(file):
        name, text = _id(row, file, number), row.get("text")
        _check_once(lines, name, file, number)
        if not isinstance(text, str) or not text.strip():
            raise at_line(file, number, f"the question {name} has no text")
        texts[name] = text
    return texts


def _qrels(folder: Path, split: str) -> Path:
    candidates = [folder / "qrels" / f"{split}.tsv", folder / f"qrels_{split}.tsv"]
    if split == "test":
        candidates.append(folder / "qrels.tsv")
    found = next((file for file in candidates if file.is_file()), None)
    if found is None:
        looked = ", ".join(file.relative_to(folder).as_posix() for file in candidates)
        raise DatasetError(f"{folder} has no judgements for {split}", hint=f"looked for {looked}")
    return found


def _judgements(file: Path) -> dict[str, dict[str, int]]:
    """Grades of the relevant documents by question; a grade of 0 or less says that a document is not relevant."""
    judgements: dict[str, dict[str, int]] = defaultdict(dict)
    for number, line in read_lines(file):
        parts = line.split("\t")
        if number == 1 and parts[-1].strip() in {"score", "relevance", "label"}:
            continue
        if len(parts) != _COLUMNS:
            raise at_line(file, number, f"{len(parts)} columns instead of query-id, corpus-id, score with tabs between them")
        question, document, score = (part.strip() for part in parts)
        try:
            grade = int(float(score))
        except (ValueError, OverflowError):
            raise at_line(file, number, f"the score {score!r} is no number") from None
        if judgements[question].setdefault(document, grade) != grade:
            raise at_line(file, number, f"{document} is judged twice for {question}, with different scores")
    relevant = {
        question: {document: grade for document, grade in judged.items() if grade > 0}
        for question, judged in judgements.items()
    }
    return {question: judged for question, judged in relevant.items() if judged}


def _answers(file: Path) -> dict[str, tuple[tuple[str, ...], bool]]:
    """Answers, and whether the question has none, by question; empty where the file is not there."""
    facts: dict[str, tuple[tuple[str, ...], bool]] = {}
    for number, row in read_objects(file) if file.exists() else ():
        answers = row.get("answers", [])
        if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
            raise at_line(file, number, "answers is not a list of texts")
        unanswerable = bool(row.get("is_impossible", not row.get("answerable", True)))
        facts[_id(row, file, number)] = tuple(answer for answer in answers if answer.strip()), unanswerable
    return facts


def _id(row: dict[str, Any], file: Path, number: int) -> str:
    name = row.get("_id")
    if not isinstance(name, str | int) or name == "":
        raise at_line(file, number, "no _id")
    return str(name)


def _check_once(lines: dict[str, int], name: str, file: Path, number: int) -> None:
    if lines.setdefault(name, number) != number:
        raise at_line(file, number, f"the id {name} stands in line {lines[name]} already")
