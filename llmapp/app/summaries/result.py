"""What a summary is made of, and what it would take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llmapp.types import Citation, FinishReason, Usage


@dataclass(frozen=True, slots=True)
class SummaryPlan:
    """What a summary takes, before anything is asked. Counted by packing all requests of the first round."""

    model: str
    documents: int
    """Documents that are read."""
    tokens: int
    """Input tokens of the requests that read them, with rules and task."""
    requests: int
    """Requests that read them; 1 where the summary itself does."""
    most_requests: int
    """Requests of all rounds at most, the last one among them."""
    least_usd: float
    """What reading the documents costs, with nothing written and nothing else read."""
    most_usd: float
    """What all can cost at worst: every round as long as is let through, every answer as long as it may be. By the counter of
    the model, exact where that is."""
    is_exact: bool
    """Whether the counter is the model's own."""


@dataclass(frozen=True, slots=True)
class SummaryRequest:
    """One request, in short."""

    round: int
    """From 1 for requests for notes; 0 for the summary itself."""
    template: str
    budget_tokens: int
    used_tokens: int
    """Of the whole request, counted."""
    sources: int
    """Numbered sources in it: documents, or notes on documents."""
    output_tokens: int
    """As the provider has counted them; 0 where it has not."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a task gets that is about many documents."""

    text: str
    citations: tuple[Citation, ...]
    """Of documents, by the numbers in the text; notes on several documents have one number for all of them."""
    model: str
    documents: int
    """Documents that were read."""
    rounds: int
    """Rounds of notes; 0 where the documents stood in the request for the summary."""
    usage: Usage
    cost_usd: float
    requests: tuple[SummaryRequest, ...]
    """In the order of their text, round by round, that of the summary last."""
    notes: tuple[str, ...] = ()
    """What was left out, cut, or could not be told, a sentence each; empty when all is well."""
    finish_reason: FinishReason | None = None
    """Why the model stopped at the end; None when it did not say."""
    timings_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds: ``plan``, ``notes``, ``summary``, ``total``."""
