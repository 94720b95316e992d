"""The file of examples: one JSON object a line, ``question``, ``answer`` and perhaps ``tags``; what is wrong is named by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmapp.errors import ExampleError
from llmapp.prompting.counting import well_formed

_FIELDS = ("question", "answer", "tags")


@dataclass(frozen=True, slots=True)
class Example:
    """A question with the answer that it should get."""

    question: str
    answer: str
    tags: tuple[str, ...] = ()
    """Words to find it by, in any order; the model does not see them."""

    @property
    def key(self) -> str:
        """The question without case and runs of white space: two examples of one key are of the same question."""
        return " ".join(self.question.casefold().split())


def read_examples(file: Path) -> list[Example]:
    """The examples of a file, in its order; none where there is no file.

    Raises:
        ExampleError: The file cannot be read, a line is no example, or a question stands there twice.
    """
    lines: dict[str, int] = {}
    examples = []
    for number, value in objects_of(file) if file.exists() else ():
        if unknown := value.keys() - set(_FIELDS):
            raise wrong_at(file, number, f"unknown: {', '.join(sorted(unknown))}; it takes {', '.join(_FIELDS)}")
        example = example_of(file, number, value)
        if example.key in lines:
            raise wrong_at(file, number, f"it has the question of line {lines[example.key]}")
        lines[example.key] = number
        examples.append(example)
    return examples


def add_examples(file: Path, examples: Sequence[Example]) -> list[Example]:
    """Write examples behind those of a file, which is made where it is not there.

    Args:
        file: The file.
        examples: Of several with one question the first is taken; none whose question the file has already.

    Returns:
        Those that were written.

    Raises:
        ExampleError: The file cannot be read or written, or what stands in it is wrong.
    """
    known = {example.key for example in read_examples(file)}
    new = []
    for example in examples:
        _check(example)
        if example.key not in known:
            known.add(example.key)
            new.append(example)
    if new:
        try:
            _append(file, "".join(_line(example) for example in new))
        except OSError as error:
            raise ExampleError(f"{file.name} cannot be written: {error.strerror}", hint="let it be written to") from error
    return new


def _check(example: Example) -> None:
    if not example.question.strip() or not example.answer.strip():
        raise ExampleError("an example without question or answer", hint="give both")


def _append(file: Path, lines: str) -> None:
    with file.open("a+b") as opened:
        if opened.tell():
            opened.seek(-1, 2)
            lines = lines if opened.read(1) == b"\n" else f"\n{lines}"
        opened.write(lines.encode())


def _line(example: Example) -> str:
    value = {"question": well_formed(example.question), "answer": well_formed(example.answer)}
    tags = [well_formed(tag) for tag in example.tags]
    return json.dumps({**value, **({"tags": tags} if tags else {})}, ensure_ascii=False) + "\n"


def example_of(file: Path, number: int, value: dict[str, Any]) -> Example:
    """The example that a line holds, whatever else it has.

    Raises:
        ExampleError: It has no question or no answer, or tags that are none.
    """
    for name in ("question", "answer"):
        if not isinstance(value.get(name), str) or not value[name].strip():
            raise wrong_at(file, number, f"{name} is missing, blank or no text")
    tags = value.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag.strip() for tag in tags):
        raise wrong_at(file, number, "tags is no list of texts")
    return Example(value["question"], value["answer"], tuple(tags))


def objects_of(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, each with the number of its line.

    Raises:
        ExampleError: The file cannot be read, or a line is no JSON object.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ExampleError(f"{file.name} cannot be read: {error}", hint="it is a file of JSON lines in UTF-8") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _object(file, number, line)


def _object(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise wrong_at(file, number, f"no JSON: {getattr(error, 'msg', 'nested too deep, or a number too long')}") from error
    if not isinstance(value, dict):
        raise wrong_at(file, number, "no JSON object")
    return value


def wrong_at(file: Path, line: int, problem: str) -> ExampleError:
    """The error of a line."""
    return ExampleError(f"{file.name}, line {line}: {problem}", hint=f"mend line {line} of {file}")
