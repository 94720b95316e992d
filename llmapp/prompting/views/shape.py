"""The JSON shape of a report: the same on every answer, on the command line and over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue

    from llmapp.types import Message, PromptReport


def report_shape(report: PromptReport) -> dict[str, JsonValue]:
    """The whole report: totals, then sections and decisions in the order of the prompt, what was dropped last."""
    return {
        "budget_tokens": report.budget_tokens,
        "used_tokens": report.used_tokens,
        "reserved_output_tokens": report.reserved_output_tokens,
        "static_prefix_tokens": report.static_prefix_tokens,
        "reusable_prefix_tokens": report.reusable_prefix_tokens,
        "is_exact": report.is_exact,
        "counter": report.counter,
        "template": report.template,
        "kept": report.kept,
        "dropped": report.dropped,
        "sections": [asdict(share) for share in report.sections],
        "decisions": [asdict(decision) for decision in report.decisions],
    }


def message_shape(message: Message) -> dict[str, JsonValue]:
    """A message as it is sent; what it does not have is left out."""
    return {name: value for name, value in asdict(message).items() if value or name in {"role", "content"}}
