"""Checks of what a connector is: its fields, and what it says without being read."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice

from pydantic import BaseModel, ValidationError

from llmapp.connector import Connector
from llmapp.testing.trial import Trial
from llmapp.testing.verdicts import require, told


def is_a_frozen_model_with_a_read_method(trial: Trial) -> None:
    """Its fields are its configuration, and nothing changes them."""
    connector = _model(trial)
    require(isinstance(connector, Connector), "give it a method read(self, cursor)")
    require(connector.model_config.get("frozen"), "declare class Name(BaseModel, frozen=True)")
    for name in islice(type(connector).model_fields, 1):
        try:
            setattr(connector, name, getattr(connector, name))
        except ValidationError:
            continue
        raise AssertionError(f"the field {name} can be changed; leave __setattr__ alone")


def has_settings_that_survive_json(trial: Trial) -> None:
    """The host writes them down to see when they change, and tools show their schema."""
    connector = _model(trial)
    _is_written(lambda: connector.model_dump(mode="json"), "values")
    _is_written(type(connector).model_json_schema, "schema")


def says_whether_it_mentions_everything(trial: Trial) -> None:
    """`snapshot` belongs to the class, or is a property that follows from the settings; it is no setting itself."""
    require("snapshot" not in type(_model(trial)).model_fields, "declare snapshot: ClassVar[bool] = True")
    require(isinstance(getattr(trial.connector, "snapshot", False), bool), "snapshot is True or False")


def counts_its_documents_or_does_not(trial: Trial) -> None:
    """`total()` is optional, and None says that the number is not known."""
    total = getattr(trial.connector, "total", None)
    if total is None:
        return
    require(callable(total), "total is a method: def total(self) -> int | None")
    number = total()
    is_count = isinstance(number, int) and not isinstance(number, bool) and number >= 0
    require(number is None or is_count, f"total() gives {number!r}; it gives a number from 0 on, or None")


def _model(trial: Trial) -> BaseModel:
    if not isinstance(trial.connector, BaseModel):
        raise AssertionError("declare class Name(BaseModel, frozen=True)")  # noqa: TRY004 - a check has one way to fail
    return trial.connector


def _is_written(make: Callable[[], object], what: str) -> None:
    try:
        json.dumps(make())
    except Exception as error:
        raise AssertionError(f"its {what} cannot be written as JSON ({told(error)}); use plain field types") from error
