"""The sections of a prompt that has sources, and what the head of a template says about them."""

from __future__ import annotations

from dataclasses import replace

from llmapp.errors import TemplateError
from llmapp.prompting.allocation import Section
from llmapp.prompting.templates import PromptTemplate

EXAMPLES, SUMMARY, EARLIER, HISTORY, SOURCES = "examples", "summary", "earlier", "history", "sources"

SECTIONS = {
    EXAMPLES: Section(EXAMPLES, tier=1, max_share=0.25),
    SUMMARY: Section(SUMMARY, tier=1, max_share=0.25, stability="session"),
    EARLIER: Section(EARLIER, tier=3, stability="session", contiguous=True),
    HISTORY: Section(HISTORY, tier=1, max_share=0.25, stability="session", contiguous=True),
    SOURCES: Section(SOURCES, tier=2, shrink="sentences"),
}
"""In the order of the prompt, with the claims that hold where a template says nothing. A quarter for what was said before is
our choice: it says what the question means, the sources answer it. What comes before that quarter has what they leave."""

_SPARE = 2.0
"""A long question may shrink the room, but not below that part of it which makes the conversation begin elsewhere: of the room
that is left, turns, and examples, may have so many times their share."""


def sections_of(template: PromptTemplate, *, budget_tokens: int, history_share: float | None) -> tuple[Section, ...]:
    """The sections in the order of the prompt.

    The shares of history and examples are shares of the budget, not of what a question leaves of it: the watermarks, and
    what a conversation begins with, must not move with the question.

    Args:
        template: What its head says of a section takes the place of that part of the common claim.
        budget_tokens: Of the whole request.
        history_share: In the place of the template's; None leaves that.

    Raises:
        TemplateError: The head has a section that is none.
    """
    found = dict(SECTIONS)
    for name, claims in template.sections.items():
        if name not in SECTIONS:
            raise TemplateError(
                f"{template.identity} has a section {name}",
                file=template.file,
                hint=f"sections are {', '.join(SECTIONS)}",
            )
        found[name] = replace(SECTIONS[name], **claims)
    history = found[HISTORY] if history_share is None else replace(found[HISTORY], max_share=history_share)
    if history.max_tokens is not None or not history.max_share:  # all that was said may have no more
        found[EARLIER] = replace(found[EARLIER], max_tokens=0, min_tokens=0)
    found[HISTORY] = replace(_of_budget(history, budget_tokens), contiguous=True, stability="session")
    if found[EXAMPLES].stability != "static":
        found[EXAMPLES] = _of_budget(found[EXAMPLES], budget_tokens)
    return tuple(found.values())


def _of_budget(section: Section, budget_tokens: int) -> Section:
    """The section with its share as a number of tokens."""
    high_tokens = max(0, int(section.max_share * budget_tokens))
    most_tokens = high_tokens if section.max_tokens is None else min(high_tokens, section.max_tokens)
    return replace(section, max_tokens=max(most_tokens, section.min_tokens), max_share=min(1.0, _SPARE * section.max_share))
