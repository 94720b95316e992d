"""What every table of the settings is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of llmapp.toml: unknown keys are refused. The docstring of a key is its meaning; a test holds architecture/settings.md to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
