"""The sections of a prompt that has sources, and what the head of a template says about them."""

from __future__ import annotations

from dataclasses import replace

from llmapp.errors import TemplateError
from llmapp.prompting.allocation import Section
from llmapp.prompting.templates import PromptTemplate

EXAMPLES, SUMMARY, HISTORY, SOURCES = "examples", "summary", "history", "sources"

SECTIONS = {
    EXAMPLES: Section(EXAMPLES, tier=1, max_share=0.25),
    SUMMARY: Section(SUMMARY, tier=1, max_share=0.25, stability="session"),
    HISTORY: Section(HISTORY, tier=1, max_share=0.25, stability="session", contiguous=True),
    SOURCES: Section(SOURCES, tier=2, shrink="sentences"),
}
"""In the order of the prompt, with the claims that hold where a template says nothing. A quarter for what was said before is
our choice: it says what the question means, the sources answer it."""

_SPARE = 2.0
"""A long question may shrink the room, but not below that part of it which makes the conversation begin elsewhere: of the room
that is left, turns may have so many times their share."""


def sections_of(template: PromptTemplate, *, budget_tokens: int, history_share: float | None) -> tuple[Section, ...]:
    """The sections in the order of the prompt.

    The share of the history is a share of the budget, not of what a question leaves of it: the watermarks must not move
    with the question.

    Args:
        template: A section of its head takes the place of the common one.
        budget_tokens: Of the whole request.
        history_share: In the place of the template's; None leaves that.

    Raises:
        TemplateError: The head has a section that is none.
    """
    found = dict(SECTIONS)
    for section in template.sections:
        if section.name not in SECTIONS:
            raise TemplateError(
                f"{template.identity} has a section {section.name}",
                file=template.file,
                hint=f"sections are {', '.join(SECTIONS)}",
            )
        found[section.name] = section
    history = found[HISTORY]
    share = history.max_share if history_share is None else history_share
    high_tokens = max(0, int(share * budget_tokens))
    most_tokens = high_tokens if history.max_tokens is None else min(high_tokens, history.max_tokens)
    found[HISTORY] = replace(
        history,
        max_tokens=max(most_tokens, history.min_tokens),
        max_share=min(1.0, _SPARE * share),
        contiguous=True,
        stability="session",
    )
    return tuple(found.values())
