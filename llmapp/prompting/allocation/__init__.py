"""Which parts go into a prompt, so that the request that is sent never exceeds its token budget.

    allocation = allocate(items, sections=sections, budget_tokens=4_000, count_request=count)

`Section` is a kind of parts with its claim (tier, weight, minimum, maximum); `Item` is one that may be left out, subclassed
by whoever renders it; ``count(items)`` renders the request with some of them and counts all of it. `Allocation` says what
stands, with a `llmapp.types.Decision` on every item (reasons: `REASONS`) and a `llmapp.types.SectionShare` of every section.

    units.py      what stands or falls together, in order of worth
    floor.py      what must stand, counted; else `llmapp.errors.TokenBudgetExceededError`
    caps.py       what each section may have
    draft.py      a choice in the making; coverage.py: what an overlapping span adds
    filling.py    by order; choice.py, exact.py: by calibrated value
    recount.py    the exact count, and the repair
    report.py     what became of every item, and why
    allocator.py  one after the other

Token counts do not add up: sums choose, the count of the whole request decides (decision 0021). Knows tokens, and no
messages, templates, catalogs or models.
"""

from llmapp.prompting.allocation.allocator import MIN_USEFUL_TOKENS, allocate
from llmapp.prompting.allocation.parts import (
    JOINT_CHARS,
    REASONS,
    Allocation,
    CountRequest,
    Item,
    Optimizer,
    Section,
    Shorten,
    Shrink,
    Similarity,
    Span,
    Stability,
)

__all__ = [
    "JOINT_CHARS",
    "MIN_USEFUL_TOKENS",
    "REASONS",
    "Allocation",
    "CountRequest",
    "Item",
    "Optimizer",
    "Section",
    "Shorten",
    "Shrink",
    "Similarity",
    "Span",
    "Stability",
    "allocate",
]
