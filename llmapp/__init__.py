"""llmapp: the reference LLM application framework.

Start with `open_app`; the architecture is in the tree. Importing this package loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmapp.connector import Change, Checkpoint, Connector, Cursor, Delete, Failure, Upsert
from llmapp.errors import LLMAppError
from llmapp.filters import Filter, parse_filter
from llmapp.types import (
    LOCAL_USER,
    Answer,
    Chunk,
    Citation,
    Document,
    Hit,
    Message,
    Principal,
    Prompt,
    PromptReport,
    Usage,
)

if TYPE_CHECKING:
    from llmapp.application import App, open_app
    from llmapp.config import Settings, load_settings

__version__ = "0.1.0"

__all__ = [
    "LOCAL_USER",
    "Answer",
    "App",
    "Change",
    "Checkpoint",
    "Chunk",
    "Citation",
    "Connector",
    "Cursor",
    "Delete",
    "Document",
    "Failure",
    "Filter",
    "Hit",
    "LLMAppError",
    "Message",
    "Principal",
    "Prompt",
    "PromptReport",
    "Settings",
    "Upsert",
    "Usage",
    "load_settings",
    "open_app",
    "parse_filter",
]

_LAZY = {"App": "application", "open_app": "application", "Settings": "config", "load_settings": "config"}


def __getattr__(name: str) -> Any:
    """Import what is heavy when it is first asked for."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"llmapp.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
