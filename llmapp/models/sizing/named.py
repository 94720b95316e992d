"""The shape of a model by what a user names: a path, a number of parameters, or an open model's name."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from llmapp.errors import UnknownModelError
from llmapp.models.sizing.files import shape_of_files
from llmapp.models.sizing.quantities import parameters_of
from llmapp.models.sizing.shape import ModelShape

_TUNED = re.compile(r"-(instruct|chat|it|base)(?=$|-hf$)")
"""Tuning changes no extent of a model."""


def shape_of(model: str) -> ModelShape:
    """What is known of a model.

    Args:
        model: A folder or file, a number of parameters such as ``7B``, or a name such as ``meta-llama/Llama-3.1-8B-Instruct``
            or ``ollama:llama3.1:8b``.

    Raises:
        UnknownModelError: It is none of these.
        ModelFileError: The files cannot be read.
        InvalidRequestError: It is written like ``8x7B``.
    """
    path = Path(model).expanduser()
    if path.exists():
        return shape_of_files(path)
    parameters = parameters_of(model)
    if parameters is not None:
        return ModelShape(
            model, "the number of parameters alone", parameters, kv_note="a number of parameters names no layers"
        )
    if (known := open_model(model)) is not None:
        return known
    near = difflib.get_close_matches(_plain(model), _by_name(), n=1)
    raise UnknownModelError(
        f"{model!r} is no file here, no number of parameters and no open model that is known",
        hint=(f"did you mean {near[0]}? else " if near else "")
        + "give the folder with its config.json, its GGUF file, or its parameters, e.g. 7B",
    )


def open_model(name: str) -> ModelShape | None:
    """The published facts of a model with open weights; None where its name is not known."""
    return _by_name().get(_plain(name)) or _by_name().get(_plain(name.partition(":")[2]))


def open_models() -> tuple[ModelShape, ...]:
    """All models with open weights that are known, by name."""
    return tuple(sorted(set(_by_name().values()), key=lambda shape: shape.name.lower()))


@cache
def _by_name() -> Mapping[str, ModelShape]:
    text = (files("llmapp.models.sizing") / "open_models.toml").read_text(encoding="utf-8")
    found: dict[str, ModelShape] = {}
    for name, facts in tomllib.loads(text).items():
        also = facts.pop("also")
        shape = ModelShape(name, f"published facts of huggingface.co/{name} (2026-11)", **facts)
        found |= dict.fromkeys(map(_plain, (name, *also)), shape)
    return found


def _plain(name: str) -> str:
    return _TUNED.sub("", name.strip().lower().removesuffix(":latest"))
