"""What summarizes documents, as the settings and the templates of a project say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmapp.app.summaries.summarizer import Assemblers, Summarizer
from llmapp.bootstrap.prompting import prompt_limits
from llmapp.models.backends import EXTRACTIVE
from llmapp.prompting.assembly import Assembler

if TYPE_CHECKING:
    from llmapp.bootstrap import Parts
    from llmapp.costs.guard import GuardedChatModel

_WORDS_A_TOKEN = 0.6
"""What a model is told to keep to, so that its notes are seldom cut off: English has some .75 words a token, others fewer."""
_ANSWERS_A_REQUEST = 4
"""Answers with notes that a request of the next round would hold, were there no rules and frames: with these it is about two."""
_EXTRACTIVE_CAVEAT = "the extractive model quotes passages near the task and summarizes nothing; choose a model that writes"


def summarizer(parts: Parts, *, words: int) -> Summarizer:
    """Who summarizes documents, in at most so many words.

    Raises:
        TemplateError: A template is wrong.
        UnknownPriceError: The model has no price.
    """
    budget_tokens = _summary_assembler(parts, "summary_whole", "documents", words).budget_tokens
    notes_tokens = max(1, min(parts.max_output_tokens, budget_tokens // _ANSWERS_A_REQUEST))
    notes_words = max(1, int(notes_tokens * _WORDS_A_TOKEN))
    of_documents, of_notes = (
        Assemblers(
            _summary_assembler(parts, "summary_whole", material, words),
            _summary_assembler(parts, "summary_part", material, notes_words),
        )
        for material in ("documents", "notes")
    )
    return Summarizer(
        parts.catalog,
        _of_each_source(parts.model) if parts.model_name == EXTRACTIVE else parts.model,
        model_name=parts.model_name,
        price=parts.prices.price(parts.model_name),
        of_documents=of_documents,
        of_notes=of_notes,
        notes_tokens=notes_tokens,
        summary_tokens=parts.max_output_tokens,
        balances=parts.ledger.balances,
        caveats=[_EXTRACTIVE_CAVEAT] if parts.model_name == EXTRACTIVE else [],
        learn=getattr(parts.counter, "learn", None),
    )


def _of_each_source(model: GuardedChatModel) -> GuardedChatModel:
    """The extractive model as it quotes for summaries."""
    return model.model_copy(update={"inner": model.inner.model_copy(update={"of_each_source": True})})


def _summary_assembler(parts: Parts, template: str, material: str, most_words: int) -> Assembler:
    return Assembler(
        parts.counter,
        **prompt_limits(parts),
        order="document",
        template=parts.templates.get(template),
        values={"material": material, "most_words": most_words},
    )
