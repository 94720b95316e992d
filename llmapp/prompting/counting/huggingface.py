"""Counts with a model's own tokenizer file and chat template, as Hugging Face lays them down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmapp.errors import PromptError
from llmapp.prompting.counting.templated import Loaded, TemplateCounter

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from llmapp.prompting.counting.chat_template import ChatTemplate

_HINT = "name the model's tokenizer.json, or its folder"


class HuggingFaceCounter(TemplateCounter):
    """Counts with a ``tokenizer.json`` and the chat template beside it.

    The template is ``chat_template.jinja``, or ``chat_template`` in ``tokenizer_config.json``.
    """

    def __init__(self, path: Path) -> None:
        """Name the files; they are read at the first count.

        Args:
            path: A ``tokenizer.json`` of Hugging Face `tokenizers`, or the folder of the model that it lies in.
        """
        super().__init__(f"tokenizers:{path.name}", partial(_load, path))


def _load(path: Path) -> Loaded:
    file = path / "tokenizer.json" if path.is_dir() else path
    return Loaded(_tokenizer(file), _templates(file.parent))


def _tokenizer(file: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises a bare Exception
        raise PromptError(f"{file} cannot be read as a tokenizer: {error}", hint=_HINT) from error
    tokenizer.no_truncation()  # files often carry the limits of their training
    tokenizer.no_padding()
    return tokenizer


def _templates(folder: Path) -> Mapping[str, ChatTemplate]:
    config = _read_json(folder / "tokenizer_config.json")
    sources = _sources(config.get("chat_template"), folder / "tokenizer_config.json")
    for file in (*folder.glob("additional_chat_templates/*.jinja"), *folder.glob("chat_template.jinja")):
        sources["default" if file.parent == folder else file.stem] = _read(file)
    if not sources:
        return {}
    from llmapp.prompting.counting.chat_template import ChatTemplate

    special = _special_tokens(_read_json(folder / "special_tokens_map.json")) | _special_tokens(config)
    return {name: ChatTemplate(source, special) for name, source in sources.items()}


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(_read(path))
    except ValueError as error:
        raise PromptError(f"{path} is no JSON: {error}", hint=_HINT) from error
    return value if isinstance(value, dict) else {}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"{path} cannot be read: {error}", hint=_HINT) from error


def _sources(given: object, file: Path) -> dict[str, str]:
    """Templates by name: a single one is ``default``."""
    if given is None:
        return {}
    if isinstance(given, str):
        return {"default": given}
    try:
        named = [(each["name"], each["template"]) for each in given]  # type: ignore[attr-defined]
    except (TypeError, KeyError) as error:
        raise PromptError(f"chat_template in {file} is neither a text nor a list of named ones", hint=_HINT) from error
    return {str(name): str(template) for name, template in named}


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """Texts of the special tokens by name; they stand as text, or as an object with their ``content``."""
    found = {name: value for name, value in config.items() if name.endswith("_token")}
    texts = {name: value["content"] if isinstance(value, dict) else value for name, value in found.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}
