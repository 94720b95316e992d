"""A prompt's report for whoever reads it: ``shape`` as JSON, ``bars`` as a waterfall, ``page`` as HTML.

Each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmapp.prompting.views.bars import Bar, Group, waterfall
    from llmapp.prompting.views.page import prompt_page
    from llmapp.prompting.views.shape import message_shape, report_shape

__all__ = ["Bar", "Group", "message_shape", "prompt_page", "report_shape", "waterfall"]

_HOMES = {"bars": ("Bar", "Group", "waterfall"), "page": ("prompt_page",), "shape": ("message_shape", "report_shape")}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name from where it is defined."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
