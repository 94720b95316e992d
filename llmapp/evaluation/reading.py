"""Files of data sets, line by line: what is broken is named by file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmapp.errors import DatasetError


def read_lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file that are not blank, with their numbers from 1.

    Raises:
        DatasetError: The file is not there, cannot be read, or is not UTF-8.
    """
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError:
        raise DatasetError(f"{file} is not there", hint="architecture/evaluation.md shows both forms of data set") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file} cannot be read: {error}", hint="data sets are files in UTF-8") from error


def read_objects(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, one a line, with the numbers of their lines.

    Raises:
        DatasetError: As `read_lines`, or a line is no JSON object.
    """
    for number, line in read_lines(file):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise at_line(file, number, f"not JSON: {error.msg} at character {error.pos}") from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists in lists
            raise at_line(
                file, number, "not JSON that can be read: a number is too long, or it is nested too deep"
            ) from error
        if not isinstance(value, dict):
            raise at_line(file, number, "not a JSON object")
        yield number, value


def at_line(file: Path, number: int, problem: str) -> DatasetError:
    """An error that names the place."""
    return DatasetError(f"{file.name}, line {number}: {problem}", hint=f"mend line {number} of {file}")
