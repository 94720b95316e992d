"""A team's own questions: one file, one JSON object a line, asked of the application's own documents.

{"question": "Within how many days is water damage reported?",
 "documents": ["handbook:policies/home-2025.pdf"], "answer": "seven days"}
{"question": "What covers a stolen bicycle?", "quote": "insured up to EUR 3,500"}
{"question": "Who heads marketing?", "unanswerable": true}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from llmapp.errors import DatasetError, FilterError
from llmapp.evaluation.questions import Dataset, Question, fingerprint_of
from llmapp.evaluation.reading import at_line, read_objects
from llmapp.filters.reading import parse_filter
from llmapp.types import Principal

_LISTS = {"document": "documents", "quote": "quotes", "answer": "answers"}
_ID_DIGITS = 8


class _Asker(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user: str = Field(min_length=1)
    groups: tuple[str, ...] = ()
    tenant: str | None = None


class _Line(BaseModel):
    """One line of the file; `document`, `quote` and `answer` may stand for lists of one."""

    model_config = ConfigDict(extra="forbid")

    question: str
    id: str = ""
    documents: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    unanswerable: bool = False
    principal: _Asker = _Asker(user="local")
    where: str | dict[str, JsonValue] | None = None
    tags: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _one_or_many(cls, given: dict[str, Any]) -> dict[str, Any]:
        for one, many in _LISTS.items():
            if one in given:
                if many in given:
                    raise ValueError(f"both {one} and {many} are given")
                given = {**{key: value for key, value in given.items() if key != one}, many: [given[one]]}
        return given

    @field_validator("documents", "quotes", "answers")
    @classmethod
    def _not_blank(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if not all(value.strip() for value in values):
            raise ValueError("a blank text")
        return values

    @field_validator("question")
    @classmethod
    def _asks(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("a blank question")
        return text

    @field_validator("where")
    @classmethod
    def _filters(cls, where: str | dict[str, JsonValue] | None) -> str | None:
        if where is None:
            return None
        try:
            parse_filter(where)
        except FilterError as error:
            raise ValueError(error.message) from error
        return where if isinstance(where, str) else json.dumps(where)

    @model_validator(mode="after")
    def _is_one_thing(self) -> _Line:
        if self.unanswerable and (self.documents or self.quotes or self.answers):
            raise ValueError("an unanswerable question has no documents, quotes or answers")
        return self

    def value(self) -> Question:
        asker = self.principal
        principal = Principal(asker.user, asker.groups, asker.tenant)
        name = self.id or fingerprint_of([self.question, repr(principal), str(self.where)])[:_ID_DIGITS]
        return Question(
            name,
            self.question,
            documents=dict.fromkeys(self.documents, 1),
            quotes=self.quotes,
            answers=self.answers,
            unanswerable=self.unanswerable,
            principal=principal,
            where=None if self.where is None else str(self.where),
            tags=self.tags,
        )


def load_own_questions(file: Path) -> Dataset:
    """Read a team's questions.

    Raises:
        DatasetError: The file is missing, a line is broken or says what cannot be, a question stands twice, or there is none.
    """
    questions: list[Question] = []
    lines: dict[str, int] = {}
    for number, row in read_objects(file):
        question = _read(row, file, number)
        if lines.setdefault(question.id, number) != number:
            raise at_line(file, number, f"the same question, or the same id, stands in line {lines[question.id]} already")
        questions.append(question)
    if not questions:
        raise DatasetError(f"{file} holds no questions", hint="a line is one question")
    expected_nothing = sum(not (each.is_judged or each.answers or each.unanswerable) for each in questions)
    note = f"{expected_nothing:,} questions name no document, quote or answer, and are not unanswerable: nothing can be said of them"
    return Dataset(file.stem, tuple(questions), warnings=(note,) if expected_nothing else ())


_PROBLEMS = {
    "extra_forbidden": "there is no such key",
    "missing": "it is missing",
    "string_type": "not a text",
    "string_too_short": "a blank text",
    "tuple_type": "not a list",
    "bool_type": "neither true nor false",
    "bool_parsing": "neither true nor false",
    "model_type": "not an object",
}
"""In our words, by pydantic's name of the problem."""


def _read(row: dict[str, Any], file: Path, number: int) -> Question:
    try:
        return _Line.model_validate(row).value()
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = problem["loc"][:1] if problem["loc"][:1] == ("where",) else problem["loc"]  # it may be either of two kinds
        key = ".".join(map(str, place))
        said = _PROBLEMS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        known = ", ".join([*_Line.model_fields, *_LISTS])
        hint = f"there are: {known}" if problem["type"] == "extra_forbidden" else ""
        at = at_line(file, number, f"{key}: {said}" if key else said)
        raise DatasetError(at.message, hint=hint or at.hint) from error
