"""What a prompt is made of, as the settings and the files of a project say."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from llmapp.app.asides import Aside
from llmapp.prompting.assembly import Assembler
from llmapp.prompting.examples import Examples, read_examples
from llmapp.prompting.history import Summaries
from llmapp.retrieval.kept_vectors import KeptVectors

if TYPE_CHECKING:
    from llmapp.bootstrap import Parts


def prompt_assembler(parts: Parts) -> Assembler:
    """The assembler of the chat model's prompts.

    Raises:
        TemplateError: There is no such template, or it is wrong.
        ExampleError: The file of examples is wrong.
    """
    prompt = parts.settings.prompt
    return Assembler(
        parts.counter,
        **prompt_limits(parts),
        order=prompt.order,
        history_share=prompt.history_share,
        summaries=Summaries(Aside(parts.model)) if prompt.summarize_history else None,
        examples=parts.examples,
        template=parts.templates.get(prompt.template),
    )


class PromptLimits(TypedDict):
    """The limits of every prompt of the chat model, as `Assembler` takes them."""

    budget_tokens: int
    reserve_output_tokens: int
    context_window_tokens: int | None
    max_question_chars: int


def prompt_limits(parts: Parts) -> PromptLimits:
    """What the settings say, and what is known of the model."""
    prompt = parts.settings.prompt
    return PromptLimits(
        budget_tokens=prompt.budget_tokens,
        reserve_output_tokens=parts.max_output_tokens,
        context_window_tokens=prompt.context_window_tokens or parts.model_facts.context_window_tokens,
        max_question_chars=prompt.max_question_chars,
    )


def project_examples(parts: Parts) -> Examples:
    """The examples of the project's file; vectors are made when the first question is asked.

    Raises:
        ExampleError: The file is wrong.
    """
    examples = read_examples(parts.settings.examples)
    if not examples:
        return Examples(())
    kept = parts.settings.state / "example_vectors.npz"
    vectors = KeptVectors(kept, [example.question for example in examples], parts.embedder)
    return Examples(examples, vector_of=parts.dense.vector_of, vectors_of=vectors)
