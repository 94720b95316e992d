"""Errors of prompts."""

from __future__ import annotations

from llmapp.errors.root import LLMAppError


class PromptError(LLMAppError, code="prompt_failed"):
    """A prompt cannot be made."""


class TokenBudgetExceededError(PromptError, code="token_budget_exceeded"):
    """Not even the smallest prompt fits the token budget."""

    def __init__(self, *, needed_tokens: int, available_tokens: int, sections: dict[str, int]) -> None:
        """Say what is needed and what there is.

        Args:
            needed_tokens: Exact tokens of the smallest request.
            available_tokens: Tokens that the request may have.
            sections: Tokens that each section of the smallest request asks for.
        """
        table = ", ".join(f"{name} {tokens}" for name, tokens in sections.items())
        super().__init__(
            f"the smallest prompt needs {needed_tokens} tokens, the budget has {available_tokens} ({table})",
            hint="shorten the question, raise prompt.budget_tokens, ask for shorter answers, or choose a model with a larger window",
        )
        self.needed_tokens = needed_tokens
        self.available_tokens = available_tokens
        self.sections = sections


class QuestionTooLongError(PromptError, code="question_too_long"):
    """The question alone is over its limit."""

    def __init__(self, *, got_chars: int, limit_chars: int) -> None:
        """Say how long it is and how long it may be.

        Args:
            got_chars: Characters of the question.
            limit_chars: Characters that a question may have.
        """
        super().__init__(
            f"the question has {got_chars:,} characters, the limit is {limit_chars:,}",
            hint="ask in fewer words, or raise prompt.max_question_chars",
        )
        self.got_chars = got_chars
        self.limit_chars = limit_chars


class TemplateError(PromptError, code="template_invalid"):
    """A prompt template is missing, is not of the documented form, or cannot be filled."""

    def __init__(self, message: str, *, hint: str, file: str = "", line: int | None = None) -> None:
        """Say what is wrong, and where.

        Args:
            message: What is wrong, one line.
            hint: What to do next, one sentence.
            file: The file, as a message names it; empty where there is none.
            line: Line of the file, from 1; None where there is no such place.
        """
        place = f"{file}, line {line}: " if file and line is not None else f"{file}: " if file else ""
        super().__init__(f"{place}{message}", hint=hint)
        self.file = file
        self.line = line


class ExampleError(PromptError, code="example_invalid"):
    """A worked example, or the file of them, cannot be used; names file and line."""


class NothingToSummarizeError(PromptError, code="nothing_to_summarize"):
    """No document may be read that the filter admits: an empty summary would be taken for a fact about documents."""


class NotesTooLongError(PromptError, code="notes_too_long"):
    """A summary would go on for ever: the notes of a round do not get shorter."""

    def __init__(self, *, requests: int, needed: int) -> None:
        """Say how many requests the notes are of, and how many would have to read them.

        Args:
            requests: Of the round that wrote the notes.
            needed: Of the next one.
        """
        super().__init__(
            f"the notes of {requests} requests need {needed} to be read: they do not get shorter",
            hint="narrow the documents with a filter, ask for less, raise prompt.budget_tokens, or choose a model that keeps to its limit",
        )
        self.requests = requests
        self.needed = needed
