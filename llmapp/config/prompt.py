"""The settings of a prompt: its words, its size, and what of it may be left out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from llmapp.config.table import Table


class PromptSettings(Table):
    """What a prompt says, and how large it may be."""

    template: str = Field(default="answer_with_sources", min_length=1)
    """The fixed words, ``NAME`` or ``NAME@VERSION``: a file of the folder ``prompts/`` beside llmapp.toml, else a built-in one."""
    budget_tokens: int = Field(default=3000, ge=1)
    """Tokens of a whole request, answer not included."""
    context_window_tokens: int | None = Field(default=None, ge=1)
    """Tokens that the model takes, input and output together; None is what the model catalog says of it, else no limit."""
    max_question_chars: int = Field(default=20_000, ge=1)
    """Longer questions are refused."""
    order: Literal["score", "edges", "document"] = "score"
    """How sources stand: the best first (``score``), the best first and last (``edges``), or as their documents have them (``document``)."""
    history_share: float | None = Field(default=None, ge=0, le=1)
    """Part of the budget that earlier turns have before sources; those before them have what sources leave. None is the template's own, a quarter."""
    summarize_history: bool = False
    """Whether the chat model writes a summary of the turns that are cut; a paid call each time that they are."""
