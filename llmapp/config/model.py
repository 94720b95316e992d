"""The settings of a chat model."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from llmapp.config.table import Table


class ModelOptions(Table):
    """What a chat model needs besides its name."""

    base_url: str | None = None
    """Address of an OpenAI-compatible server."""
    timeout_s: float = Field(default=60.0, gt=0)
    """Seconds without an answer after which a call has failed."""
    tokenizer: Path | None = None
    """The model's own ``tokenizer.json`` or its folder, with the chat template beside it, or its GGUF file, relative to llmapp.toml; None counts as the model's provider does, or estimates."""
    ask_for_counts: bool = False
    """Whether the provider is asked for the tokens of every finished prompt (OpenAI, Anthropic, Gemini, vLLM, llama.cpp), a few calls a question; without a `tokenizer`."""
    max_output_tokens: int = Field(default=800, ge=16)
    """Most tokens of an answer, fewer where the model gives fewer; always sent to the model, and held against the budget."""


class ModelSettings(Table):
    """What the user knows of a model; it wins over what is published."""

    context_window_tokens: int | None = Field(default=None, ge=1)
    """Tokens that it takes, input and output together; None is what is published of it."""
    max_output_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of an answer that it gives; None is what is published of it."""
    tools: bool | None = None
    """Whether it calls tools; None is what is published of it, as below."""
    structured_output: bool | None = None
    """Whether it answers to a schema."""
    vision: bool | None = None
    """Whether it takes images."""
    caching: bool | None = None
    """Whether input that stands again costs less."""
