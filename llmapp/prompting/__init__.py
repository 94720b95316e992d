"""Prompts within a token budget: counts, chooses, renders, reports; knows no catalog, no search, no model and no price.

A library on its own; everything is loaded when it is first used:

    from llmapp.prompting import Assembler, Chunk, Hit, counter_for

    assembler = Assembler(counter_for("openai:gpt-4o"), budget_tokens=4_000, reserve_output_tokens=500)
    prompt = assembler.assemble("When is water damage reported?", hits)
    prompt.messages, prompt.sources, prompt.report
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmapp.errors import ExampleError, PromptError, QuestionTooLongError, TemplateError, TokenBudgetExceededError
    from llmapp.prompting.allocation import Allocation, Item, Section, Span, allocate
    from llmapp.prompting.assembly import Assembler
    from llmapp.prompting.counting import EstimateCounter, counter_for, counter_of
    from llmapp.prompting.evidence import Passage, cut_places, parts_of, passages_of, shortened
    from llmapp.prompting.examples import Example, Examples, add_examples, rated_answers, read_examples
    from llmapp.prompting.history import Summaries, turns_of
    from llmapp.prompting.reporting import REASONS
    from llmapp.prompting.templates import PromptTemplate, TemplateLibrary, load_template, parse_template, schema_of
    from llmapp.protocols import TokenCounter
    from llmapp.types import Chunk, Decision, Hit, Message, Prompt, PromptReport, Source, Tool, ToolCall

__all__ = [
    "REASONS",
    "Allocation",
    "Assembler",
    "Chunk",
    "Decision",
    "EstimateCounter",
    "Example",
    "ExampleError",
    "Examples",
    "Hit",
    "Item",
    "Message",
    "Passage",
    "Prompt",
    "PromptError",
    "PromptReport",
    "PromptTemplate",
    "QuestionTooLongError",
    "Section",
    "Source",
    "Span",
    "Summaries",
    "TemplateError",
    "TemplateLibrary",
    "TokenBudgetExceededError",
    "TokenCounter",
    "Tool",
    "ToolCall",
    "add_examples",
    "allocate",
    "counter_for",
    "counter_of",
    "cut_places",
    "load_template",
    "parse_template",
    "parts_of",
    "passages_of",
    "rated_answers",
    "read_examples",
    "schema_of",
    "shortened",
    "turns_of",
]

_HOMES = {
    "llmapp.errors": ("ExampleError", "PromptError", "QuestionTooLongError", "TemplateError", "TokenBudgetExceededError"),
    "llmapp.prompting.allocation": ("Allocation", "Item", "Section", "Span", "allocate"),
    "llmapp.prompting.assembly": ("Assembler",),
    "llmapp.prompting.counting": ("EstimateCounter", "counter_for", "counter_of"),
    "llmapp.prompting.evidence": ("Passage", "cut_places", "parts_of", "passages_of", "shortened"),
    "llmapp.prompting.examples": ("Example", "Examples", "add_examples", "rated_answers", "read_examples"),
    "llmapp.prompting.history": ("Summaries", "turns_of"),
    "llmapp.prompting.reporting": ("REASONS",),
    "llmapp.prompting.templates": ("PromptTemplate", "TemplateLibrary", "load_template", "parse_template", "schema_of"),
    "llmapp.protocols": ("TokenCounter",),
    "llmapp.types": ("Chunk", "Decision", "Hit", "Message", "Prompt", "PromptReport", "Source", "Tool", "ToolCall"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name from where it is defined."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
